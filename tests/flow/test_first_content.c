/* first_content — what only opens a stream reaches no client: until a model's first word the next
 * target takes the place of one that fails, in each client's dialect and on each provider's. */
#include "tests/kit/flow/dialect_streams.h"

static size_t count_of(struct slice in, const char *what)
{
    size_t n = 0;
    ptrdiff_t at;
    while ((at = slice_search(in, slice_str(what))) >= 0) {
        n++;
        in = slice_from(in, (size_t)at + 1);
    }
    return n;
}

enum failing { IS_CUT, ENDS, HANGS, FAILINGS };

static struct flow_policy policy_of(const struct stream_provider *p)
{
    return (struct flow_policy){
        .providers = {{.dialect = p->dialect, .path = p->path, .between_ms = 100},
                      {.dialect = p->dialect, .path = p->path}},
        .keys = {{.name = "alice", .models = {"m"}}},
        .models = {{.name = "m", .upstreams = {0, 1}, .upstream_count = 2}},
    };
}

static void fail_first(struct flow *k, const struct stream_provider *p, enum failing how)
{
    stream_opens(k, 0, p, "FIRST");
    if (how == IS_CUT)
        upstream_cuts(k, 0);
    else if (how == ENDS)
        upstream_says(k, 0, "0\r\n\r\n");
    else
        upstream_hangs(k, 0);
}

static void try_pair(struct flow *k, const struct stream_client *client,
                     const struct stream_provider *p, enum failing how)
{
    struct flow_policy policy = policy_of(p);
    policy_says(k, &policy);
    upstream_forget_script(k, 0);
    upstream_forget_script(k, 1);
    fail_first(k, p, how);
    stream_opens(k, 1, p, "SECOND");
    stream_says(k, 1, p, "SECOND");
    stream_goes_on(k, 1, p, "SECOND");

    struct flow_client *c = client_posts(k, "alice", client->path, NULL, client->body);

    WAIT(k, c->whole);
    struct slice body = buf_slice(&c->body);
    bool seen = slice_search(body, SLICE("FIRST")) >= 0;
    bool starts_once = !client->start || count_of(body, client->start) == 1;
    if (c->head.status != 200 || seen || !starts_once ||
        slice_search(body, slice_str(client->word)) < 0)
        fail_msg("%s on %s, failing %d: %u %.*s", client->name, p->name, (int)how, c->head.status,
                 SLICE_ARG(body));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->n_attempts, 2);
    assert_string_equal(r->span->status, "ok");
    flow_record_free(r);
    client_is_forgotten(c);
}

FLOW(what_opens_a_stream_is_held_until_its_first_word_in_every_dialect)
{
    for (size_t i = 0; i < STREAM_CLIENTS; i++)
        for (size_t j = 0; j < STREAM_PROVIDERS; j++)
            for (enum failing how = 0; how < FAILINGS; how++) {
                k->upstreams[0].forgets = k->upstreams[1].forgets = true;
                if (stream_pair_fits(&stream_clients[i], &stream_providers[j]))
                    try_pair(k, &stream_clients[i], &stream_providers[j], how);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(what_opens_a_stream_is_held_until_its_first_word_in_every_dialect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
