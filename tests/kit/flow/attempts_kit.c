/* attempts_kit — the model, the call, and what the record says of it. */
#include "tests/kit/flow/attempts_kit.h"

#include <stdio.h>

struct flow_policy attempts_policy(size_t targets)
{
    return (struct flow_policy){
        .keys = {{.name = "alice", .models = {"small"}}},
        .models = {{.name = "small", .upstreams = {0, 1, 2}, .upstream_count = targets}},
    };
}

struct flow_client *attempts_ask(struct flow *k)
{
    return client_posts(k, "alice", CHAT, NULL, HELLO);
}

void expect_attempts(struct flow *k, const char *want)
{
    char got[256] = "";
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    for (size_t i = 0; i < r->n_attempts; i++) {
        const Gatehouse__Span *a = r->attempts[i];
        bool ok = !strcmp(a->status, "ok");
        size_t len = strlen(got);
        snprintf(got + len, sizeof(got) - len, "%s%s%s%s", i ? " " : "",
                 (a->provider ? a->provider : r->span->provider) + 9, ok ? "" : ":",
                 ok        ? ""
                 : a->code ? a->code
                           : "?");
    }
    flow_record_free(r);
    assert_string_equal(got, want);
}
