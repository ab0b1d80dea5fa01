/* relay_kit — the first steps of the tests of relays. */
#include "tests/kit/flow/relay_kit.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void expect_row(struct flow *k, const struct route_row *r)
{
    struct upstream *up = &k->upstreams[0];
    size_t calls = up->call_count;
    struct flow_client *c = client_asks(k, r->method, "alice", r->path, NULL);
    WAIT(k, c->whole || c->closed);
    if (c->head.status != r->status)
        fail_msg("%s %s was %u", r->method, r->path, c->head.status);
    if (r->code)
        expect_code(c, r->code);
    if (up->call_count != calls + (r->line != NULL))
        fail_msg("%s %s: the upstream heard %zu calls", r->method, r->path, up->call_count - calls);
    if (r->line && !slice_starts(up->calls[calls].head, slice_str(r->line)))
        fail_msg("%s became %.*s", r->path, SLICE_ARG(up->calls[calls].head));
    client_is_forgotten(c);
}

void expect_routes(struct flow *k, const struct route_row *rows, size_t n)
{
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for (size_t i = 0; i < n; i++)
        expect_row(k, &rows[i]);
}

void expect_upload_waits(struct flow *k, const char *path)
{
    enum { UPLOAD = 48 * 1024 * 1024 }; /* more than the kernel's buffers take */
    upstream_says(k, 0, OK);
    k->upstreams[0].deaf = true;
    struct flow_client *c = client_asks(k, "POST", "alice", path, "Content-Length: 50331648\r\n");
    client_uploads(c, UPLOAD);
    for (int i = 0; i < 100; i++)
        flow_turn(k);
    assert_true(c->upload > 0); /* the client waits; nothing is buffered */
    assert_false(c->has_head);
    upstream_reads_on(k, 0);
    expect_status(c, 200);
    const struct upstream *up = &k->upstreams[0];
    assert_int_equal(up->calls[up->call_count - 1].body.len, UPLOAD);
}

void expect_chunks_pass(struct flow *k, const char *path)
{
    const struct upstream *up = &k->upstreams[0];
    upstream_says(k, 0, OK);
    struct flow_client *c = client_asks(k, "POST", "alice", path, "Transfer-Encoding: chunked\r\n");
    client_adds(c, "5\r\nhello\r\n");
    client_adds(c, "7;a=b\r\n, there\r\n0\r\nTrailer: x\r\n\r\n");
    expect_status(c, 200);
    assert_true(slice_eq(up->calls[0].body, SLICE("hello, there")));
    assert_true(slice_search(buf_slice(&up->calls[0].bytes), SLICE("Trailer")) < 0);
}

void expect_leaving_is_passed_on(struct flow *k, const char *path)
{
    upstream_says(k, 0, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it");
    upstream_hangs(k, 0);
    struct flow_client *c = client_gets(k, "alice", path);
    WAIT(k, c->has_head);
    client_hangs_up(c);
    WAIT(k, k->upstreams[0].calls[0].cut);
}
