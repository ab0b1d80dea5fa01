/* realtime — sessions over WebSocket: let in as calls are, charged response by response, and ended
 * with a word. */
#include <stdio.h>
#include <stdlib.h>

#include "common/wire/keyprint.h"
#include "tests/kit/flow/realtime_kit.h"

/* A response to a first prompt: 4096 tokens in at one dollar a million, 4096 out at two. */
#define FIRST_RESPONSE ((money)12288000)

static const struct flow_policy policy = {
    .keys = {{.name = "alice", .models = {"voice"}, .budget = MONEY_DOLLAR},
             {.name = "bob", .models = {"voice", "scribe"}},
             {.name = "poor", .models = {"voice"}, .budget = FIRST_RESPONSE + 1000}},
    .models =
        {{.name = "voice", .target_model = "gpt-realtime", .upstreams = {0}, .upstream_count = 1}},
};

/* The same, where the policy says less of the model's output than it may write, and waits less for
 * a response to begin than a conversation pauses. */
static const struct flow_policy brisk = {
    .keys = {{.name = "alice", .models = {"voice"}, .budget = MONEY_DOLLAR}},
    .models = {{.name = "voice",
                .target_model = "gpt-realtime",
                .upstreams = {0},
                .upstream_count = 1,
                .first_byte_ms = 300,
                .max_output_tokens = 100}},
};

#define VOICE "/v1/realtime?model=voice"
#define CREATED "{\"type\":\"response.created\",\"response\":{\"id\":\"r1\"}}"
#define DONE(in, out)                                                                              \
    "{\"type\":\"response.done\",\"response\":{\"id\":\"r1\",\"usage\":{\"total_tokens\":1,"       \
    "\"input_tokens\":" #in ",\"output_tokens\":" #out                                             \
    ",\"input_token_details\":{\"text_tokens\":1,\"audio_tokens\":6,\"cached_tokens\":4,"          \
    "\"cached_tokens_details\":{\"text_tokens\":2,\"audio_tokens\":2}},"                           \
    "\"output_token_details\":{\"text_tokens\":1,\"audio_tokens\":3}}}}"
#define MANUAL                                                                                     \
    "{\"type\":\"session.created\",\"session\":{\"audio\":{\"input\":{\"turn_detection\":null}}}}"
#define AUTOMATIC                                                                                  \
    "{\"type\":\"session.created\",\"session\":{\"audio\":{\"input\":{\"turn_detection\":{"        \
    "\"type\":\"server_vad\",\"create_response\":true}}}}}"
#define CREATE "{\"type\":\"response.create\"}"

#define REALTIME(name)                                                                             \
    static void name##_session(struct flow *k, struct realtime_kit *t);                            \
    FLOW(name)                                                                                     \
    {                                                                                              \
        struct realtime_kit t;                                                                     \
        realtime_kit_open(k, &t);                                                                  \
        policy_says(k, &policy);                                                                   \
        name##_session(k, &t);                                                                     \
        realtime_kit_close(&t);                                                                    \
    }                                                                                              \
    static void name##_session(struct flow *k, struct realtime_kit *t)

static struct realtime_end *opened(struct flow *k, struct realtime_kit *t, const char *key)
{
    struct realtime_end *c = realtime_client(t, VOICE, key, NULL);
    WAIT(k, c->status && t->upstream_count);
    assert_int_equal(c->status, 101);
    return c;
}

REALTIME(events_go_both_ways_and_each_response_is_counted)
{
    struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    realtime_says(c, CREATE);
    WAIT(k, realtime_heard(u, CREATE));
    realtime_says(u, CREATED);
    realtime_says(u, DONE(10, 5));
    WAIT(k, realtime_heard(c, "response.done"));
    realtime_says(c, CREATE);
    WAIT(k, u->heard_count == 2);
    realtime_says(u, CREATED);
    realtime_says(u, DONE(20, 5));
    WAIT(k, c->heard_count == 5);

    realtime_closes(c, 1000, "");
    WAIT(k, c->closed && u->gone);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "ok");
    assert_int_equal(r->span->tokens->input, 30);
    assert_int_equal(r->span->tokens->output, 10);
    assert_string_equal(r->span->usage_source, "provider");
    assert_int_equal(r->span->cost_nano, 30 * 1000 + 10 * 2000);
    flow_record_free(r);
    WAIT(k, flow_taken(k, "key:k_alice") >= 50000);
}

REALTIME(the_upstream_gets_its_own_credential_and_model_and_no_more)
{
    struct realtime_end *c = realtime_client(
        t, VOICE "&x=1", "bob",
        "Sec-WebSocket-Protocol: realtime\r\nOpenAI-Beta: realtime=v1\r\nCookie: a=b\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    WAIT(k, c->status && t->upstream_count);
    struct realtime_end *u = &t->upstreams[0];
    assert_int_equal(c->status, 101);
    assert_true(slice_starts(buf_slice(&u->head),
                             SLICE("GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\n")));
    assert_true(slice_starts(realtime_header(u, "authorization"), SLICE("Bearer ")));
    assert_true(slice_search(buf_slice(&u->head), slice_str(flow_secret(k, "bob"))) < 0);
    assert_true(slice_eq(realtime_header(u, "openai-beta"), SLICE("realtime=v1")));
    assert_null(realtime_header(u, "cookie").ptr);
    assert_null(realtime_header(u, "sec-websocket-extensions").ptr);
    assert_true(slice_eq(realtime_header(c, "sec-websocket-protocol"), SLICE("realtime")));
    assert_null(realtime_header(c, "sec-websocket-extensions").ptr);
    assert_non_null(realtime_header(c, "x-request-id").ptr);

    realtime_says(c, "{\"type\":\"session.update\",\"session\":{\"model\":\"voice\",\"a\":1}}");
    WAIT(k, realtime_heard(u, "{\"type\":\"session.update\",\"session\":{\"model\":"
                              "\"gpt-realtime\",\"a\":1}}"));
}

REALTIME(a_browser_names_its_key_among_the_subprotocols)
{
    char lines[300];
    snprintf(lines, sizeof(lines),
             "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.%s, "
             "openai-beta.realtime-v1\r\nOrigin: https://app.example\r\n",
             flow_secret(k, "bob"));
    struct realtime_end *c = realtime_client(t, VOICE, NULL, lines);
    WAIT(k, c->status && t->upstream_count);
    assert_int_equal(c->status, 101);
    assert_true(slice_eq(realtime_header(&t->upstreams[0], "openai-beta"), SLICE("realtime=v1")));
}

REALTIME(what_is_no_upgrade_or_no_right_is_refused_before_the_upstream)
{
    struct flow_client *plain = client_gets(k, "alice", VOICE);
    expect_status(plain, 426);
    expect_code(plain, "upgrade_required");
    assert_true(slice_eq(client_header(plain, "upgrade"), SLICE("websocket")));

    plain = client_asks(k, "HEAD", "alice", VOICE,
                        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n");
    expect_status(plain, 426);

    struct realtime_end *c = realtime_client(t, VOICE, NULL, NULL);
    WAIT(k, c->status);
    assert_int_equal(c->status, 401);
    c = realtime_client(t, "/v1/realtime?model=other", "alice", NULL);
    WAIT(k, c->status);
    assert_int_equal(c->status, 404);
    c = realtime_client(t, "/v1/realtime", "alice", NULL);
    WAIT(k, c->status);
    assert_int_equal(c->status, 400);
    assert_int_equal(t->upstream_count, 0);
}

REALTIME(an_upstreams_refusal_is_the_clients_status)
{
    t->refuses = 400;
    t->refusal = "{\"error\":{\"message\":\"no such model\",\"type\":\"invalid_request_error\","
                 "\"param\":null,\"code\":\"model_not_found\"}}";
    struct realtime_end *c = realtime_client(t, VOICE, "alice", NULL);
    WAIT(k, c->status && c->body.len);
    assert_int_equal(c->status, 400);
    assert_true(slice_search(buf_slice(&c->body), SLICE("no such model")) >= 0);
}

/* The clients' server lends half of what it may open, to sessions and back. */
REALTIME(sessions_take_no_descriptors_that_connections_need)
{
    const size_t most = LIMIT_CONNECTIONS * LIMIT_LENT_DESCRIPTORS / 100;
    struct http_server *server = k->env.clients;
    assert_true(http_server_lend(server, most - LIMIT_REALTIME_DESCRIPTORS + 1));
    struct realtime_end *c = realtime_client(t, VOICE, "alice", NULL);
    WAIT(k, c->status && c->body.len);
    assert_int_equal(c->status, 503);
    assert_int_equal(t->upstream_count, 0);

    http_server_take_back(server, 1);
    c = opened(k, t, "alice");
    assert_false(http_server_lend(server, 1));
    realtime_closes(c, 1000, "");
    WAIT(k, c->closed && k->env.request_count == 0);
    assert_true(http_server_lend(server, LIMIT_REALTIME_DESCRIPTORS));
    http_server_take_back(server, most);
}

REALTIME(a_response_that_the_budget_does_not_hold_is_told_and_not_sent)
{
    struct realtime_end *c = opened(k, t, "poor"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    realtime_says(c, CREATE);
    WAIT(k, realtime_heard(u, CREATE));
    realtime_says(u, CREATED);
    realtime_says(u, DONE(4000, 4000)); /* 12 of 12.289 thousandths of a dollar */
    WAIT(k, realtime_heard(c, "response.done"));
    realtime_says(c, CREATE);
    WAIT(k, realtime_heard(c, "budget_exceeded"));
    realtime_says(c, "{\"type\":\"conversation.item.delete\",\"item_id\":\"x\"}");
    WAIT(k, realtime_heard(u, "item.delete")); /* goes on, and comes behind */
    assert_int_equal(u->heard_count, 2);
    assert_false(c->closed);
}

REALTIME(where_responses_begin_by_themselves_the_session_ends_with_the_budget)
{
    struct realtime_end *c = opened(k, t, "poor"), *u = &t->upstreams[0];
    realtime_says(u, AUTOMATIC);
    realtime_says(u, CREATED);
    realtime_says(u, DONE(4000, 4000));
    WAIT(k, c->closed);
    assert_true(realtime_heard(c, "response.done"));
    assert_true(realtime_heard(c, "\"type\":\"error\"") > realtime_heard(c, "response.done"));
    assert_true(realtime_heard(c, "budget_exceeded"));
    assert_int_equal(c->code, 1008);
    WAIT(k, u->gone);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->cost_nano, 12000000);
    assert_string_equal(r->span->status, "refused");
    flow_record_free(r);
}

/* Each byte may be a token: as much is reserved before it goes on. */
REALTIME(what_is_said_is_reserved_for_before_it_goes_on)
{
    static char item[100 * 1000];
    const char *head = "{\"type\":\"conversation.item.create\",\"item\":{\"text\":\"";
    memset(item, 'a', sizeof(item) - 1);
    memcpy(item, head, strlen(head));
    memcpy(item + sizeof(item) - 4, "\"}}", 3);
    struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[0];
    realtime_says(u, AUTOMATIC);
    realtime_says(c, item);
    realtime_says(c, "{\"type\":\"input_audio_buffer.commit\"}");
    WAIT(k, realtime_heard(u, "commit"));
    assert_int_equal(u->heard_count, 2);
    assert_true(flow_lost_at(k) >= 100 * 1000 * 1000);

    struct realtime_end *poor = opened(k, t, "poor");
    realtime_says(&t->upstreams[1], AUTOMATIC);
    WAIT(k, realtime_heard(poor, AUTOMATIC));
    realtime_says(poor, item);
    WAIT(k, poor->closed);
    assert_true(realtime_heard(poor, "budget_exceeded"));
    assert_int_equal(t->upstreams[1].heard_count, 0);
}

/* So many bytes of an item, which may be as many tokens. */
static const char *item_of(size_t len)
{
    static char item[100 * 1000];
    const char *head = "{\"type\":\"conversation.item.create\",\"item\":{\"type\":\"message\","
                       "\"content\":[{\"type\":\"input_text\",\"text\":\"";
    assert_true(len > 200 && len < sizeof(item));
    memset(item, 'a', len);
    memcpy(item, head, strlen(head));
    memcpy(item + len - 5, "\"}]}}", 6);
    return item;
}

/* A dollar a million, and 4096 tokens of output at two. */
#define RESPONSE_TO(tokens) ((money)(tokens)*1000 + 4096 * 2000)

/* Its usage is that of another prompt, or of none: the conversation is as long as it was. */
REALTIME(a_response_that_does_not_show_the_conversation_makes_it_no_shorter)
{
    static const struct {
        const char *create, *done;
    } rows[] = {
        {"{\"type\":\"response.create\",\"response\":{\"conversation\":\"none\",\"input\":[]}}",
         "{\"type\":\"response.done\",\"response\":{\"conversation_id\":null,\"usage\":{"
         "\"input_tokens\":3,\"output_tokens\":1}}}"},
        {"{\"type\":\"response.create\",\"response\":{\"conversation\":\"none\"}}", DONE(3, 1)},
        {"{\"type\":\"response.create\",\"response\":{\"instructions\":\"short\"}}", DONE(3, 1)},
        {CREATE, DONE(0, 0)},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[i];
        realtime_says(u, MANUAL);
        WAIT(k, realtime_heard(c, MANUAL));
        realtime_says(c, item_of(40000));
        realtime_says(c, rows[i].create);
        WAIT(k, u->heard_count == 2);
        realtime_says(u, CREATED);
        realtime_says(u, rows[i].done);
        WAIT(k, realtime_heard(c, "response.done"));
        realtime_says(c, item_of(40000));
        realtime_says(c, CREATE);
        WAIT(k, u->heard_count == 4);
        assert_true(flow_lost_at(k) >= RESPONSE_TO(80000));
        realtime_cuts(c);
        WAIT(k, u->gone && k->env.request_count == 0);
        flow_record_free(flow_record(k));
    }
}

/* It is not in the response's prompt, although it was here before the word of its begin. */
REALTIME(what_is_said_behind_a_create_is_still_reserved_for)
{
    struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    realtime_says(c, CREATE);
    realtime_says(c, item_of(40000));
    WAIT(k, u->heard_count == 2);
    realtime_says(u, CREATED);
    realtime_says(u, DONE(10, 5));
    WAIT(k, realtime_heard(c, "response.done"));
    realtime_says(c, CREATE);
    WAIT(k, u->heard_count == 3);
    assert_true(flow_lost_at(k) >= RESPONSE_TO(40000));
}

/* Sound that was appended and not committed is in no prompt yet, and will be in a later one. */
REALTIME(sound_that_waits_to_be_committed_is_still_reserved_for)
{
    static char audio[4 * 1024 * 1024];
    const char *head = "{\"type\":\"input_audio_buffer.append\",\"audio\":\"";
    memset(audio, 'A', sizeof(audio) - 1);
    memcpy(audio, head, strlen(head));
    memcpy(audio + sizeof(audio) - 3, "\"}", 2);
    struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    for (size_t i = 0; i < 2; i++) { /* as much as 8192 tokens */
        realtime_says(c, audio);
        realtime_says(c, CREATE);
        WAIT(k, u->heard_count == 2 * i + 2);
        if (i == 1)
            break;
        realtime_says(u, CREATED);
        realtime_says(u, DONE(10, 5));
        WAIT(k, realtime_heard(c, "response.done"));
    }
    assert_true(flow_lost_at(k) >= RESPONSE_TO(16384));
    realtime_says(c, "{\"type\":\"input_audio_buffer.commit\"}");
    WAIT(k, u->heard_count == 5);
    realtime_says(u, "{\"type\":\"input_audio_buffer.committed\"}");
    for (size_t i = 0; i < 2; i++) { /* the one that was asked for before, and one behind */
        realtime_says(u, CREATED);
        realtime_says(u, DONE(11, 5));
        WAIT(k, c->heard_count == 2 * i + 6);
        realtime_says(c, CREATE);
        WAIT(k, u->heard_count == i + 6);
    }
    money before = flow_lost_at(k);
    realtime_says(u, CREATED);
    realtime_says(u, DONE(11, 5));
    WAIT(k, c->heard_count == 10);
    realtime_says(c, CREATE); /* all of it was counted by the provider */
    WAIT(k, u->heard_count == 8);
    assert_int_equal(flow_lost_at(k), before);
}

REALTIME(an_image_is_reserved_for_by_what_a_model_may_make_of_it)
{
    struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    realtime_says(c, "{\"type\":\"conversation.item.create\",\"item\":{\"type\":\"message\","
                     "\"content\":[{\"type\":\"input_image\",\"image_url\":\"data:\"}]}}");
    realtime_says(c, CREATE);
    WAIT(k, u->heard_count == 2);
    assert_true(flow_lost_at(k) >= RESPONSE_TO(16384));
}

/* The provider may begin one of the conversation while it runs. */
REALTIME(a_response_beside_the_conversation_is_reserved_for_beside_it)
{
    struct realtime_end *c = opened(k, t, "poor"), *u = &t->upstreams[0];
    realtime_says(u, AUTOMATIC);
    WAIT(k, realtime_heard(c, AUTOMATIC));
    realtime_says(
        c, "{\"type\":\"response.create\",\"response\":{\"conversation\":\"none\",\"input\":[]}}");
    WAIT(k, realtime_heard(c, "budget_exceeded"));
    realtime_says(c, CREATE); /* this one is of the conversation: none begins beside it */
    WAIT(k, realtime_heard(u, CREATE));
    assert_int_equal(u->heard_count, 1);
}

REALTIME(a_response_that_nothing_is_reserved_for_ends_the_session)
{
    struct realtime_end *c = opened(k, t, "poor"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    realtime_says(u, CREATED);
    WAIT(k, realtime_heard(c, CREATED));
    assert_false(c->closed);
    realtime_says(u, CREATED);
    WAIT(k, c->closed && u->gone);
    assert_true(realtime_heard(c, "budget_exceeded"));
    assert_int_equal(c->code, 1008);
}

REALTIME(a_create_that_the_upstream_refuses_gives_back_its_place)
{
    struct realtime_end *c = opened(k, t, "poor"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    for (size_t i = 1; i <= 3; i++) {
        realtime_says(c, CREATE);
        WAIT(k, u->heard_count == i);
        realtime_says(u, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                         "\"code\":\"unknown_parameter\",\"param\":\"response.x\"}}");
        WAIT(k, c->heard_count == i + 1);
    }
    assert_false(realtime_heard(c, "budget_exceeded"));
}

REALTIME(a_response_without_usage_takes_no_others_place)
{
    struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    realtime_says(c, CREATE);
    realtime_says(c, CREATE);
    WAIT(k, u->heard_count == 2);
    assert_true(flow_lost_at(k) >= 2 * FIRST_RESPONSE - 4096 * 1000);
    realtime_says(u, CREATED);
    realtime_says(u, "{\"type\":\"response.output_text.delta\",\"delta\":\"some words\"}");
    realtime_says(u, "{\"type\":\"response.done\",\"response\":{\"status\":\"failed\"}}");
    WAIT(k, realtime_heard(c, "response.done"));
    realtime_says(c, CREATE);
    realtime_says(c, CREATE);
    WAIT(k, u->heard_count == 4);
    assert_true(flow_lost_at(k) >= 3 * RESPONSE_TO(2048));
}

REALTIME(what_was_asked_for_and_not_heard_of_costs_its_prompt)
{
    struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    realtime_says(c, item_of(40000));
    realtime_says(c, CREATE);
    WAIT(k, u->heard_count == 2);
    realtime_cuts(c);
    WAIT(k, u->gone && k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->usage_source, "estimate");
    assert_true(r->span->cost_nano >= 10000 * 1000);
    flow_record_free(r);
}

REALTIME(what_the_policy_says_of_a_models_output_is_not_believed_of_a_session)
{
    policy_says(k, &brisk);
    struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    realtime_says(c, CREATE);
    realtime_says(c, CREATE);
    WAIT(k, u->heard_count == 2);
    assert_true(flow_lost_at(k) >= 2 * FIRST_RESPONSE);
}

static void on_pause(struct timer *t)
{
    (void)t;
}

REALTIME(a_pause_is_no_response_that_does_not_come)
{
    struct timer pause;
    policy_says(k, &brisk);
    struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    realtime_says(c, "{\"type\":\"input_audio_buffer.commit\"}");
    WAIT(k, realtime_heard(u, "commit"));
    timer_init(&pause, k->loop, on_pause);
    timer_start(&pause, 700);
    WAIT(k, !timer_is_running(&pause));
    realtime_says(u, "{\"type\":\"input_audio_buffer.committed\"}");
    WAIT(k, c->closed || realtime_heard(c, "committed"));
    assert_false(c->closed);
}

REALTIME(a_key_that_is_revoked_ends_its_sessions_with_a_word)
{
    struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[0];
    struct flow_policy revoked = policy;
    revoked.keys[0].revoked = true;
    policy_says(k, &revoked);
    WAIT(k, c->closed && u->gone);
    assert_true(realtime_heard(c, "invalid_api_key"));
    assert_int_equal(c->code, 1008);
}

REALTIME(a_plane_that_ends_says_so)
{
    struct realtime_end *c = opened(k, t, "alice");
    request_cut_drained(&k->env);
    WAIT(k, c->closed);
    assert_true(realtime_heard(c, "drained"));
    assert_int_equal(c->code, 1001);
}

REALTIME(the_upstreams_close_is_passed_on_behind_what_it_said)
{
    struct realtime_end *c = opened(k, t, "bob"), *u = &t->upstreams[0];
    realtime_says(u, "{\"type\":\"error\",\"error\":{\"code\":\"session_expired\"}}");
    realtime_closes(u, 4008, "session_expired");
    WAIT(k, c->closed);
    assert_true(realtime_heard(c, "session_expired"));
    assert_int_equal(c->code, 4008);
    assert_string_equal(c->reason, "session_expired");
}

REALTIME(an_upstream_that_breaks_off_is_told_as_an_error)
{
    struct realtime_end *c = opened(k, t, "bob"), *u = &t->upstreams[0];
    realtime_says(u, CREATED);
    WAIT(k, realtime_heard(c, "response.created"));
    realtime_cuts(u);
    WAIT(k, c->closed);
    assert_true(realtime_heard(c, "upstream_error"));
    assert_int_equal(c->code, 1011);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_string_equal(r->span->status, "error");
    assert_string_equal(r->span->usage_source, "estimate");
    flow_record_free(r);
}

REALTIME(an_upstream_that_breaks_off_while_it_does_not_read_is_told_too)
{
    static char audio[4 * 1024 * 1024];
    const char *head = "{\"type\":\"input_audio_buffer.append\",\"audio\":\"";
    struct timer pause;
    memset(audio, 'A', sizeof(audio) - 1);
    memcpy(audio, head, strlen(head));
    memcpy(audio + sizeof(audio) - 3, "\"}", 2);
    struct realtime_end *c = opened(k, t, "bob"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    websocket_hold(u->websocket);
    for (size_t i = 0; i < 4; i++)
        realtime_says(c, audio);
    timer_init(&pause, k->loop, on_pause);
    timer_start(&pause, 500); /* until no more goes through */
    WAIT(k, !timer_is_running(&pause));
    realtime_cuts(u);
    WAIT(k, c->closed);
    assert_true(realtime_heard(c, "upstream_error"));
    assert_int_equal(c->code, 1011);
}

REALTIME(a_client_that_is_gone_takes_the_upstream_with_it)
{
    struct realtime_end *c = opened(k, t, "bob"), *u = &t->upstreams[0];
    realtime_cuts(c);
    WAIT(k, u->gone);
    WAIT(k, k->env.request_count == 0);
}

REALTIME(what_cannot_be_read_or_is_not_granted_goes_no_further)
{
    struct realtime_end *c = opened(k, t, "alice"), *u = &t->upstreams[0];
    realtime_says(c, "{\"type\":\"response.create\",\"type\":\"x\"}");
    WAIT(k, realtime_heard(c, "duplicate member"));
    realtime_says(c, "{\"type\":\"session.update\",\"session\":{\"model\":\"other\"}}");
    WAIT(k, realtime_heard(c, "model_not_found"));
    realtime_says(c, "{\"type\":\"session.update\",\"session\":{\"audio\":{\"input\":{"
                     "\"transcription\":{\"model\":\"scribe\"}}}}}");
    WAIT(k, c->heard_count == 3); /* not granted to alice */
    realtime_says(c, "{\"type\":\"input_audio_buffer.commit\"}");
    WAIT(k, realtime_heard(u, "commit"));
    assert_int_equal(u->heard_count, 1);
}

REALTIME(a_transcription_costs_the_teams_own_price)
{
    struct flow_policy p = policy;
    p.keys[1].team = "research";
    p.teams[0] =
        (struct flow_team){.name = "research", .models = {"voice", "scribe"}, .own_prices = true};
    p.own_prices[0] = (struct flow_price){.pattern = "scribe", .input = 3, .output = 5};
    policy_says(k, &p);
    struct realtime_end *c = opened(k, t, "bob"), *u = &t->upstreams[0];
    realtime_says(u, "{\"type\":\"session.created\",\"session\":{\"audio\":{\"input\":{"
                     "\"turn_detection\":null,\"transcription\":{\"model\":\"scribe\"}}}}}");
    realtime_says(u, "{\"type\":\"conversation.item.input_audio_transcription.completed\","
                     "\"transcript\":\"hello\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":100,"
                     "\"output_tokens\":10,\"total_tokens\":110}}");
    WAIT(k, realtime_heard(c, "hello"));
    realtime_closes(c, 1000, "");
    WAIT(k, c->closed && u->gone);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_int_equal(r->span->cost_nano, 100 * 3000 + 10 * 5000);
    flow_record_free(r);
}

REALTIME(a_large_message_goes_through_whole)
{
    static char audio[3 * 1024 * 1024];
    const char *head = "{\"type\":\"input_audio_buffer.append\",\"audio\":\"";
    memset(audio, 'A', sizeof(audio) - 1);
    memcpy(audio, head, strlen(head));
    memcpy(audio + sizeof(audio) - 3, "\"}", 2);
    struct realtime_end *c = opened(k, t, "bob"), *u = &t->upstreams[0];
    realtime_says(u, MANUAL);
    WAIT(k, realtime_heard(c, MANUAL));
    realtime_says(c, audio);
    WAIT(k, u->heard_count == 1);
    assert_int_equal(strlen(u->heard[0]), strlen(audio));
    realtime_says(u, audio);
    WAIT(k, c->heard_count == 2);
    assert_int_equal(strlen(c->heard[1]), strlen(audio));
}

#define MINTED                                                                                     \
    "{\"value\":\"ek_68af296e8e408191\",\"expires_at\":4102444800,\"session\":{\"model\":"         \
    "\"gpt-realtime\",\"client_secret\":{\"value\":\"ek_68af296e8e408191\"}}}"

/* The "value" of a minted secret, behind "Authorization: Bearer ". */
static const char *minted(struct flow *k, struct realtime_kit *t, const char *key)
{
    static char line[1200];
    t->refuses = 200;
    t->refusal = MINTED;
    struct flow_client *c = client_posts(
        k, key, "/v1/realtime/client_secrets", NULL,
        "{\"session\":{\"type\":\"realtime\",\"model\":\"voice\",\"instructions\":\"x\"}}");
    expect_status(c, 200);
    t->refuses = 0;
    struct slice body = buf_slice(&c->body);
    ptrdiff_t at = slice_search(body, SLICE("\"value\":\""));
    assert_true(at >= 0);
    struct slice value = slice_from(body, (size_t)at + 9);
    value = slice_first(value, (size_t)slice_find(value, '"'));
    assert_true(slice_search(body, SLICE("ek_68af")) < 0);
    snprintf(line, sizeof(line), "Authorization: Bearer %.*s\r\n", SLICE_ARG(value));
    return line;
}

REALTIME(a_client_secret_is_sealed_and_opens_one_models_session_at_its_account)
{
    const char *secret = minted(k, t, "alice");
    assert_true(slice_search(buf_slice(&t->upstreams[0].head),
                             SLICE("POST /v1/realtime/client_secrets")) == 0);
    struct realtime_end *c = realtime_client(t, "/v1/realtime", NULL, secret);
    WAIT(k, c->status && t->upstream_count == 2);
    assert_int_equal(c->status, 101);
    struct realtime_end *u = &t->upstreams[1];
    assert_true(slice_eq(realtime_header(u, "authorization"), SLICE("Bearer ek_68af296e8e408191")));
    assert_true(
        slice_starts(buf_slice(&u->head), SLICE("GET /v1/realtime?model=gpt-realtime HTTP")));
    struct realtime_end *other = realtime_client(t, "/v1/realtime?model=scribe", NULL, secret);
    WAIT(k, other->status);
    assert_int_equal(other->status, 404);
    struct flow_policy revoked = policy;
    revoked.keys[0].revoked = true;
    policy_says(k, &revoked);
    WAIT(k, c->closed);
    assert_int_equal(c->code, 1008);
    struct realtime_end *late = realtime_client(t, VOICE, NULL, secret);
    WAIT(k, late->status);
    assert_int_equal(late->status, 401);
}

REALTIME(a_client_secret_of_a_key_that_was_rotated_opens_nothing)
{
    const char *secret = minted(k, t, "alice");
    struct realtime_end *c = realtime_client(t, "/v1/realtime", NULL, secret);
    WAIT(k, c->status && t->upstream_count == 2);
    assert_int_equal(c->status, 101);
    for (size_t i = 0; i < k->secret_count; i++)
        if (strcmp(k->secret_names[i], "alice") == 0)
            keyprint_make(k->secrets[i]);
    policy_says(k, &policy);
    WAIT(k, c->closed);
    struct realtime_end *late = realtime_client(t, "/v1/realtime", NULL, secret);
    WAIT(k, late->status);
    assert_int_equal(late->status, 401);
}

REALTIME(a_client_secret_opens_nothing_else_and_only_as_it_was_given)
{
    static char headers[1300], bad[1300];
    const char *secret = minted(k, t, "bob");
    snprintf(headers, sizeof(headers), "%s", secret);
    snprintf(bad, sizeof(bad), "%s", secret);
    bad[strlen(bad) - 6] = bad[strlen(bad) - 6] == 'A' ? 'B' : 'A';
    struct flow_client *list = client_asks(k, "GET", NULL, "/v1/models", headers);
    expect_status(list, 401);
    struct realtime_end *c = realtime_client(t, VOICE, NULL, bad);
    WAIT(k, c->status);
    assert_int_equal(c->status, 401);
    assert_int_equal(t->upstream_count, 1);
}

REALTIME(a_secret_for_a_session_that_cannot_be_bounded_is_refused_under_a_budget)
{
    const char *body =
        "{\"session\":{\"type\":\"realtime\",\"model\":\"voice\",\"audio\":{\"input\":{"
        "\"transcription\":{\"model\":\"voice\"}}}}}";
    struct flow_client *c = client_posts(k, "alice", "/v1/realtime/client_secrets", NULL, body);
    expect_status(c, 400);
    expect_code(c, "unbounded_cost");
    c = client_posts(k, "alice", "/v1/realtime/client_secrets", NULL, "{\"session\":{}}");
    expect_status(c, 400);
    assert_int_equal(t->upstream_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(events_go_both_ways_and_each_response_is_counted),
        SCENARIO(the_upstream_gets_its_own_credential_and_model_and_no_more),
        SCENARIO(a_browser_names_its_key_among_the_subprotocols),
        SCENARIO(what_is_no_upgrade_or_no_right_is_refused_before_the_upstream),
        SCENARIO(an_upstreams_refusal_is_the_clients_status),
        SCENARIO(sessions_take_no_descriptors_that_connections_need),
        SCENARIO(a_response_that_the_budget_does_not_hold_is_told_and_not_sent),
        SCENARIO(where_responses_begin_by_themselves_the_session_ends_with_the_budget),
        SCENARIO(what_is_said_is_reserved_for_before_it_goes_on),
        SCENARIO(a_response_that_does_not_show_the_conversation_makes_it_no_shorter),
        SCENARIO(what_is_said_behind_a_create_is_still_reserved_for),
        SCENARIO(sound_that_waits_to_be_committed_is_still_reserved_for),
        SCENARIO(an_image_is_reserved_for_by_what_a_model_may_make_of_it),
        SCENARIO(a_response_beside_the_conversation_is_reserved_for_beside_it),
        SCENARIO(a_response_that_nothing_is_reserved_for_ends_the_session),
        SCENARIO(a_create_that_the_upstream_refuses_gives_back_its_place),
        SCENARIO(a_response_without_usage_takes_no_others_place),
        SCENARIO(what_was_asked_for_and_not_heard_of_costs_its_prompt),
        SCENARIO(what_the_policy_says_of_a_models_output_is_not_believed_of_a_session),
        SCENARIO(a_pause_is_no_response_that_does_not_come),
        SCENARIO(a_key_that_is_revoked_ends_its_sessions_with_a_word),
        SCENARIO(a_plane_that_ends_says_so),
        SCENARIO(the_upstreams_close_is_passed_on_behind_what_it_said),
        SCENARIO(an_upstream_that_breaks_off_is_told_as_an_error),
        SCENARIO(an_upstream_that_breaks_off_while_it_does_not_read_is_told_too),
        SCENARIO(a_client_that_is_gone_takes_the_upstream_with_it),
        SCENARIO(what_cannot_be_read_or_is_not_granted_goes_no_further),
        SCENARIO(a_transcription_costs_the_teams_own_price),
        SCENARIO(a_large_message_goes_through_whole),
        SCENARIO(a_client_secret_is_sealed_and_opens_one_models_session_at_its_account),
        SCENARIO(a_client_secret_of_a_key_that_was_rotated_opens_nothing),
        SCENARIO(a_client_secret_opens_nothing_else_and_only_as_it_was_given),
        SCENARIO(a_secret_for_a_session_that_cannot_be_bounded_is_refused_under_a_budget),
    };
    /* libwebsockets connects to its pair alone, whatever the environment says */
    setenv("http_proxy", "http://127.0.0.1:9/", 1);
    setenv("socks_proxy", "127.0.0.1:9", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
