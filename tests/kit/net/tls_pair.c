/* tls_pair — makes and closes the authority, the server and the client's context. */
#include "tests/kit/net/tls_pair.h"

#include "common/net/stream_private.h"

static void echo(struct end *e, enum moment m)
{
    if (m != ON_DATA)
        return;
    struct slice all = end_text(e);
    assert_int_equal(stream_write(e->stream, &all, 1), ERR_OK);
    buf_clear(&e->got);
}

void tls_pair_echoes(struct end *e)
{
    e->then = echo;
}

void tls_pair_serve(struct tls_pair *r, const struct certs_files *files, const char *client_ca)
{
    const struct tls_server_config config = {
        .cert_file = files->cert, .key_file = files->key, .client_ca_file = client_ca};
    stage_open(&r->stage, r->servers, ARRAY_LEN(r->servers));
    r->stage.on_accepted = tls_pair_echoes;
    assert_int_equal(tls_server_new(&config, &r->stage.tls), ERR_OK);
}

void tls_pair_open(struct tls_pair *r)
{
    *r = (struct tls_pair){.certs = certs_new()};
    struct certs_files files = certs_server(r->certs);
    tls_pair_serve(r, &files, NULL);
    r->client = ends_client_tls(certs_ca(r->certs));
}

void tls_pair_close(struct tls_pair *r)
{
    tls_drop(r->client);
    stage_close(&r->stage);
    certs_free(r->certs);
}

void tls_pair_dial(struct tls_pair *r, struct end *client, const char *host)
{
    end_init(client, &r->stage);
    assert_int_equal(end_dial(client, host, r->client), ERR_OK);
}

void tls_pair_ping(struct tls_pair *r, struct end *client)
{
    size_t before = client->got.len;
    assert_int_equal(end_say(client, "ping"), ERR_OK);
    WAIT(&r->stage, client->got.len == before + 4);
}

void tls_pair_meet(struct tls_pair *r, struct end *client, const char *host)
{
    tls_pair_dial(r, client, host);
    WAIT(&r->stage, client->count[ON_OPEN] + client->count[ON_CLOSE] > 0);
    assert_int_equal(client->count[ON_OPEN], 1);
    tls_pair_ping(r, client);
}

bool end_is_resumed(const struct end *e)
{
    return tls_session_is_resumed(e->stream->tls);
}

void tls_pair_refuses(struct tls_pair *r, const char *host)
{
    struct end client;
    tls_pair_dial(r, &client, host);
    WAIT(&r->stage, client.count[ON_OPEN] + client.count[ON_CLOSE] > 0);
    assert_int_equal(client.count[ON_OPEN], 0);
    assert_int_equal(client.count[ON_CLOSE], 1);
    assert_int_equal(client.why, ERR_TLS);
    assert_int_equal(end_say(&client, "secret"), ERR_CLOSED);
    end_fini(&client);
}
