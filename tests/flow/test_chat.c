/* chat — one call through the AI gate, plain and streamed, with its span in the journal. */
#include "tests/kit/flow/flow.h"

#include <stdio.h>

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"small\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define RESPONSE                                                                                   \
    "{\"id\":\"c1\",\"object\":\"chat.completion\",\"model\":\"small-v2\",\"choices\":[{"          \
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"                         \
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":500,"    \
    "\"total_tokens\":1500}}"

static const struct flow_policy alice = {
    .keys = {{.name = "alice", .models = {"small"}}},
    .models = {{.name = "small", .upstreams = {0}, .upstream_count = 1}},
};

FLOW(a_plain_call_is_answered_priced_and_recorded)
{
    policy_says(k, &alice);
    upstream_answers(k, 0, 200, RESPONSE);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);

    expect_status(c, 200);
    expect_body(c, RESPONSE);
    assert_true(slice_eq(client_header(c, "x-gatehouse-cost-usd"), SLICE("0.002000000")));
    assert_true(slice_eq(client_header(c, "x-gatehouse-model"), SLICE("small")));
    assert_true(slice_eq(client_header(c, "x-gatehouse-provider"), SLICE("provider-0")));
    assert_true(slice_eq(client_header(c, "x-gatehouse-attempts"), SLICE("1")));
    assert_true(client_header(c, "x-gatehouse-session").len == SESSION_ID_LEN);
    assert_true(
        slice_eq(client_header(c, "x-request-id"), client_header(c, "x-gatehouse-request-id")));

    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_string_equal(r->span->status, "ok");
    assert_string_equal(r->span->gate, "ai");
    assert_string_equal(r->span->kind, "call");
    assert_string_equal(r->span->key_id, "k_alice");
    assert_int_equal(r->span->tokens->input, 1000);
    assert_int_equal(r->span->tokens->output, 500);
    assert_int_equal(r->span->cost_nano, 2000000);
    assert_string_equal(r->span->usage_source, "provider");
    assert_int_equal(r->n_attempts, 1);
    assert_null(r->attempts[0]->parent); /* its call */
    flow_record_free(r);
    assert_null(flow_record(k));
}

FLOW(a_stream_is_relayed_as_it_came_without_the_usage_only_we_asked_for)
{
    policy_says(k, &alice);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0,
                   "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n");
    upstream_sends(k, 0,
                   "data: {\"usage\" : null , \"choices\":[{\"delta\":{\"content\":"
                   "\"\\\"usage\\\":null\"}}]}\n\n");
    upstream_sends(k, 0, ": comment\n\n");
    upstream_sends(k, 0, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n");
    upstream_sends(k, 0,
                   "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,"
                   "\"completion_tokens\":3,\"total_tokens\":10}}\n\n");
    upstream_sends(k, 0, "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL,
                                         "{\"model\":\"small\",\"stream\":true,\"messages\":[]}");

    expect_status(c, 200);
    expect_body(c, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n"
                   "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null\"}}]}\n\n"
                   ": comment\n\n"
                   "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n"
                   "data: [DONE]\n\n");
    assert_true(slice_search(k->upstreams[0].calls[0].body,
                             SLICE("\"stream_options\":{\"include_usage\":true}")) > 0);

    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    assert_int_equal(r->span->tokens->input, 7);
    assert_int_equal(r->span->tokens->output, 3);
    assert_string_equal(r->span->usage_source, "provider");
    flow_record_free(r);
}

FLOW(a_stream_that_was_asked_for_usage_is_relayed_byte_for_byte)
{
    static const char chunk[] =
        "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n";
    static const char count[] = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,"
                                "\"completion_tokens\":3,\"total_tokens\":10}}\n\n";
    char all[sizeof(chunk) + sizeof(count) + sizeof("data: [DONE]\n\n")];
    snprintf(all, sizeof(all), "%s%sdata: [DONE]\n\n", chunk, count);
    policy_says(k, &alice);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, chunk);
    upstream_sends(k, 0, count);
    upstream_sends(k, 0, "data: [DONE]\n\n");
    upstream_ends_stream(k, 0);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL,
                                         "{\"model\":\"small\",\"stream\":true,\"stream_options\":"
                                         "{\"include_usage\":true},\"messages\":[]}");

    expect_status(c, 200);
    expect_body(c, all);
}

/* Sent at once, so that they are read together: events that differ only in their text, and others.
 */
FLOW(events_that_differ_only_in_their_text_are_distinguished_from_those_with_more_members)
{
#define CHUNK(words) "data: {\"choices\":[{\"delta\":{\"content\":\"" words "\"}}]"
    policy_says(k, &alice);
    upstream_opens_stream(k, 0);
    upstream_sends(
        k, 0,
        CHUNK("one") ",\"usage\":null}\n\n" CHUNK("second") ",\"usage\":null}\n\n" CHUNK("usage") ",\"usage\":null}\n\n" CHUNK(
            "\\\"x") ",\"usage\":null}\n\n" CHUNK("error") ",\"usage\":{\"prompt_tokens\":7,"
                                                           "\"completion_tokens\":3}}\n\n" CHUNK(
                                                               "e"
                                                               "n"
                                                               "d") ",\"finish_reason\":\"stop\"}"
                                                                    "\n\ndata: [DONE]\n\n");
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL,
                                         "{\"model\":\"small\",\"stream\":true,\"messages\":[]}");
    expect_status(c, 200);
    expect_body(c,
                CHUNK("one") "}\n\n" CHUNK("second") "}\n\n" CHUNK("usage") "}\n\n" CHUNK(
                    "\\\"x") "}\n\n" CHUNK("error") ",\"usage\":{\"prompt_tokens\":7,\"completion_"
                                                    "tokens\":3}}\n\n" CHUNK(
                                                        "end") ",\"finish_reason\":\"stop\"}"
                                                               "\n\ndata: [DONE]\n\n");
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "provider");
    assert_int_equal(r->span->tokens->output, 3);
    assert_string_equal(r->span->status, "ok");
    flow_record_free(r);
#undef CHUNK
}

/* ---- random runs of events, cut anywhere ---- */

#define ROUNDS 12
#define EVENTS 80

static uint32_t roll(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

static void add_text(struct buf *out, const char *text)
{
    assert_int_equal(buf_append(out, slice_str(text)), ERR_OK);
}

/* One event as the provider sends it, and as the client gets it. */
static void add_event(uint32_t *seed, struct buf *sent, struct buf *want)
{
    static const char *const words[] = {"a",
                                        "usage",
                                        "and more of it",
                                        "\\\"usage\\\":null",
                                        "error",
                                        " \\n",
                                        "Gr\xc3\xbc\xc3\x9f"
                                        "e",
                                        "\xe4\xbd\xa0",
                                        "finish",
                                        "[DONE] ",
                                        "}],\\\"x\\\":{",
                                        ""};
    static const char *const others[] = {
        ": ping\n\n", "event: x\ndata: {\"choices\":[]}\n\n", "\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[]}}]}\r\n\r\n"};
    char front[256];
    uint32_t kind = roll(seed, 16);
    if (kind == 0) {
        const char *other = others[roll(seed, ARRAY_LEN(others))];
        add_text(sent, other);
        add_text(want, other);
        return;
    }
    snprintf(front, sizeof(front),
             "data: {\"id\":\"c%u\",\"choices\":[{\"delta\":{\"content\":\"%s%s\"}}]",
             roll(seed, 8) == 0, words[roll(seed, ARRAY_LEN(words))],
             words[roll(seed, ARRAY_LEN(words))]);
    add_text(sent, front);
    add_text(want, front);
    add_text(sent, kind == 1   ? "}\n\n"
                   : kind == 2 ? ",\"usage\":null}\r\n\r\n"
                               : ",\"usage\":null}\n\n");
    add_text(want, kind == 2 ? "}\r\n\r\n" : "}\n\n");
}

/* The output that was counted, by estimate. */
static uint64_t stream_it(struct flow *k, struct slice sent, struct slice want, uint32_t seed)
{
    char piece[4096];
    upstream_forget_script(k, 0);
    upstream_opens_stream(k, 0);
    for (size_t rest = sent.len; rest;) {
        size_t n = seed ? 1 + roll(&seed, (uint32_t)sent.len / (FLOW_STEPS / 4)) : 2000;
        struct slice part = slice_first(slice_from(sent, sent.len - rest), n);
        snprintf(piece, sizeof(piece), "%.*s", SLICE_ARG(part));
        upstream_sends(k, 0, piece);
        rest -= part.len;
    }
    upstream_ends_stream(k, 0);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL,
                                         "{\"model\":\"small\",\"stream\":true,\"messages\":[]}");
    expect_status(c, 200);
    if (!slice_eq(buf_slice(&c->body), want))
        fail_msg("seed %u: body\n%.*s\nexpected\n%.*s", seed, SLICE_ARG(buf_slice(&c->body)),
                 SLICE_ARG(want));
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    uint64_t output = r->span->tokens->output;
    flow_record_free(r);
    return output;
}

FLOW(a_run_of_events_reaches_the_client_byte_for_byte_however_it_is_cut)
{
    struct buf sent, want;
    buf_init(&sent, 1 << 20);
    buf_init(&want, 1 << 20);
    policy_says(k, &alice);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        uint32_t seed = round;
        buf_clear(&sent);
        buf_clear(&want);
        for (int i = 0; i < EVENTS; i++)
            add_event(&seed, &sent, &want);
        const char *end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
                          "data: [DONE]\n\n";
        add_text(&sent, end);
        add_text(&want, end);
        uint64_t whole = stream_it(k, buf_slice(&sent), buf_slice(&want), 0);
        assert_true(whole > EVENTS / 2);
        assert_int_equal(stream_it(k, buf_slice(&sent), buf_slice(&want), round), whole);
    }
    buf_fini(&sent);
    buf_fini(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(
            events_that_differ_only_in_their_text_are_distinguished_from_those_with_more_members),
        SCENARIO(a_run_of_events_reaches_the_client_byte_for_byte_however_it_is_cut),
        SCENARIO(a_plain_call_is_answered_priced_and_recorded),
        SCENARIO(a_stream_is_relayed_as_it_came_without_the_usage_only_we_asked_for),
        SCENARIO(a_stream_that_was_asked_for_usage_is_relayed_byte_for_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
