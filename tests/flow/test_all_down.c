/* all_down — no target of a model answers: each dialect's client gets an error in its own form, in
 * time, that names what was tried; never an empty 200, and never the provider's 401. */
#include <stdio.h>

#include "common/base/json.h"
#include "tests/kit/flow/dialect_streams.h"

enum down { ANSWERS, IS_CUT, ENDS_EMPTY, HANGS };

static void break_down(struct flow *k, enum down how, unsigned status)
{
    for (size_t i = 0; i < 2; i++) {
        upstream_forget_script(k, i);
        upstream_forgets_calls(k, i);
        if (how == ANSWERS)
            upstream_answers(k, i, status, "{\"error\":{\"message\":\"down\"}}");
        else if (how == IS_CUT)
            upstream_cuts(k, i);
        else if (how == HANGS)
            upstream_hangs(k, i);
        else
            upstream_says(k, i,
                          "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                          "Content-Length: 0\r\n\r\n");
    }
}

static void say_policy(struct flow *k, const struct stream_provider *p)
{
    static unsigned turn;
    char row[16];
    snprintf(row, sizeof(row), "%u", turn++); /* another revision: no credential is out */
    const struct flow_provider one = {
        .dialect = p->dialect, .path = p->path, .header = "x-turn", .value = row};
    const struct flow_policy policy = {
        .providers = {one, one},
        .keys = {{.name = "alice", .models = {"m"}}},
        .models = {{.name = "m", .upstreams = {0, 1}, .upstream_count = 2}},
    };
    policy_says(k, &policy);
}

/* Where the dialect's errors have their sentence. */
static struct slice message_of(const json_t *body)
{
    const json_t *error = json_object_get(body, "error");
    return json_text(json_is_object(error) ? error : body, "message");
}

static void expect_error(struct flow_client *c, const struct stream_client *client, unsigned status,
                         const char *says)
{
    struct json_problem problem;
    json_t *body = NULL;
    WAIT(c->flow, c->whole);
    if (c->head.status != status || json_read(buf_slice(&c->body), &body, &problem) ||
        slice_search(message_of(body), slice_str(says)) < 0)
        fail_msg("%s: %u, not %u with \"%s\": %.*s", client->name, c->head.status, status, says,
                 SLICE_ARG(buf_slice(&c->body)));
    json_decref(body);
    client_is_forgotten(c);
}

FLOW(each_client_hears_what_was_tried_in_its_own_form)
{
    static const struct {
        enum down how;
        unsigned status, told;
        const char *code;
    } rows[] = {
        {ANSWERS, 503, 503, "status_503"}, {ANSWERS, 500, 502, "status_500"},
        {ANSWERS, 401, 502, "status_401"}, {ANSWERS, 403, 502, "status_403"},
        {ANSWERS, 407, 502, "status_407"}, {IS_CUT, 0, 502, "closed"},
    };
    char says[160];
    for (size_t i = 0; i < STREAM_CLIENTS; i++)
        for (size_t j = 0; j < ARRAY_LEN(rows); j++) {
            say_policy(k, &stream_providers[stream_clients[i].home]);
            break_down(k, rows[j].how, rows[j].status);
            bool overloaded = rows[j].told == 503 && !strcmp(stream_clients[i].name, "messages");
            unsigned told = overloaded ? 529 : rows[j].told; /* as Anthropic says it */
            snprintf(says, sizeof(says), "tried provider-0/m (%s), provider-1/m (%s)", rows[j].code,
                     rows[j].code);
            expect_error(
                client_posts(k, "alice", stream_clients[i].path, NULL, stream_clients[i].body),
                &stream_clients[i], told, says);
        }
}

FLOW(an_empty_200_reaches_no_client)
{
    for (size_t i = 0; i < STREAM_CLIENTS; i++) {
        say_policy(k, &stream_providers[stream_clients[i].home]);
        break_down(k, ENDS_EMPTY, 200);
        expect_error(client_posts(k, "alice", stream_clients[i].path, NULL, stream_clients[i].body),
                     &stream_clients[i], 502, "tried provider-0/m (");
    }
}

FLOW(silence_is_told_within_the_clients_deadline)
{
    for (size_t i = 0; i < STREAM_CLIENTS; i++) {
        say_policy(k, &stream_providers[stream_clients[i].home]);
        break_down(k, HANGS, 0);
        uint64_t before = flow_now_ms();
        expect_error(client_posts(k, "alice", stream_clients[i].path, "x-stainless-timeout: 1\r\n",
                                  stream_clients[i].body),
                     &stream_clients[i], 504, "did not respond in time");
        assert_in_range(flow_now_ms() - before, 900, 4000);
    }
}

FLOW(what_clients_of_other_gateways_say_of_their_patience_is_heard_too)
{
    static const char *const headers[] = {"x-server-timeout: 1\r\n", "x-litellm-timeout: 0.5\r\n",
                                          "x-portkey-request-timeout: 300\r\n",
                                          "cf-aig-request-timeout: 300\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        say_policy(k, &stream_providers[0]);
        break_down(k, HANGS, 0);
        uint64_t before = flow_now_ms();
        expect_error(
            client_posts(k, "alice", stream_clients[0].path, headers[i], stream_clients[0].body),
            &stream_clients[0], 504, "did not respond in time");
        assert_in_range(flow_now_ms() - before, 900, 4000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(each_client_hears_what_was_tried_in_its_own_form),
        SCENARIO(an_empty_200_reaches_no_client),
        SCENARIO(silence_is_told_within_the_clients_deadline),
        SCENARIO(what_clients_of_other_gateways_say_of_their_patience_is_heard_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
