/* gone, in every dialect — a client that hangs up in mid-stream: its upstream sees the connection
 * closed within 100 ms, and nothing stays reserved.
 *
 * A pair of a client's dialect and a provider's is a row. GATEHOUSE_GONE_CALLS: how many clients of
 * each row hang up; 50, unless it says another number. */
#include "tests/kit/flow/flow.h"

#include <stdlib.h>

#define WITHIN_MS 100
#define SLACK_MS 50 /* of a machine that is busy with something else; a single call may take it */
#define CALLS 50
/* holds three of these calls at once, beside what those that have gone may be billed */
#define BUDGET(gone) (MONEY_DOLLAR / 10 + (money)(gone)*MONEY_DOLLAR / 1000)

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"

struct asking {
    const char *path, *body;
    const char *sees; /* the first word, in its dialect */
};

struct saying {
    const char *dialect;
    const char *events[4]; /* up to the first word */
};

static const struct asking openai_chat = {
    "/v1/chat/completions", "{\"model\":\"m\",\"stream\":true," HI "}", "\"content\":\"word\""};
static const struct asking anthropic_messages = {
    "/v1/messages", "{\"model\":\"m\",\"stream\":true,\"max_tokens\":16384," HI "}",
    "\"text\":\"word\""};

static const struct saying openai = {
    "openai",
    {"data: {\"id\":\"c\",\"model\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
     "\"assistant\",\"content\":\"\"}}]}\n\n",
     "data: {\"id\":\"c\",\"model\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
     "\"word\"}}]}\n\n"}};
static const struct saying anthropic = {
    "anthropic",
    {"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\","
     "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"x\",\"content\":[],\"stop_reason\":"
     "null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
     "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
     "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
     "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
     "{\"type\":\"text_delta\",\"text\":\"word\"}}\n\n"}};

static const struct asking openai_responses = {
    "/v1/responses",
    "{\"model\":\"m\",\"stream\":true,\"max_output_tokens\":16384,\"input\":\"hello\"}",
    "\"delta\":\"word\""};
static const struct asking gemini_generate = {
    "/v1beta/models/m:streamGenerateContent?alt=sse",
    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}],"
    "\"generationConfig\":{\"maxOutputTokens\":16384}}",
    "\"text\":\"word\""};

/* what OpenAI says to a client of its own newer dialect */
static const struct saying openai_newer = {
    "openai",
    {"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,"
     "\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"model\":\"x\",\"status\":"
     "\"in_progress\",\"output\":[]}}\n\n",
     "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
     "\"sequence_number\":1,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,"
     "\"delta\":\"word\"}\n\n"}};
static const struct saying gemini = {
    "gemini",
    {"data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"word\"}]},"
     "\"index\":0}],\"modelVersion\":\"x\",\"responseId\":\"r\"}\r\n\r\n"}};

static const struct {
    const char *row;
    const struct asking *client;
    const struct saying *provider;
} rows[] = {
    {"OpenAI's on OpenAI's", &openai_chat, &openai},
    {"OpenAI's on Anthropic's", &openai_chat, &anthropic},
    {"OpenAI's on Gemini's", &openai_chat, &gemini},
    {"OpenAI's newer on its own", &openai_responses, &openai_newer},
    {"OpenAI's newer on Anthropic's", &openai_responses, &anthropic},
    {"OpenAI's newer on Gemini's", &openai_responses, &gemini},
    {"Anthropic's on OpenAI's", &anthropic_messages, &openai},
    {"Anthropic's on Anthropic's", &anthropic_messages, &anthropic},
    {"Anthropic's on Gemini's", &anthropic_messages, &gemini},
    {"Gemini's on OpenAI's", &gemini_generate, &openai},
    {"Gemini's on Anthropic's", &gemini_generate, &anthropic},
    {"Gemini's on Gemini's", &gemini_generate, &gemini},
};

static size_t calls_wanted(void)
{
    const char *said = getenv("GATEHOUSE_GONE_CALLS");
    uint64_t n;
    return said && !slice_u64(slice_str(said), &n) && n ? (size_t)n : CALLS;
}

static void says_word(struct flow *k, const struct saying *p)
{
    upstream_opens_stream(k, 0);
    for (size_t i = 0; i < ARRAY_LEN(p->events) && p->events[i]; i++)
        upstream_sends(k, 0, p->events[i]);
    upstream_hangs(k, 0);
    k->upstreams[0].forgets = true;
}

/* Milliseconds from its hanging up to the upstream's seeing it. */
static uint64_t one_goes(struct flow *k, const struct asking *asks)
{
    struct upstream_call *call = &k->upstreams[0].calls[0];
    struct flow_client *c = client_posts(k, "alice", asks->path, NULL, asks->body);
    WAIT(k, slice_search(buf_slice(&c->got), slice_str(asks->sees)) >= 0);
    assert_false(call->cut);
    uint64_t from = flow_now_ms();
    client_hangs_up(c);
    WAIT(k, call->cut);
    uint64_t took = flow_now_ms() - from;
    client_is_forgotten(c);
    return took;
}

FLOW(a_client_that_goes_takes_its_upstream_along_in_every_dialect)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t late = 0, n = calls_wanted();
        struct flow_policy p = {
            .providers = {{.dialect = rows[i].provider->dialect}},
            .keys = {{.name = "alice", .models = {"m"}, .budget = BUDGET((i + 1) * n)}},
            .models = {{.name = "m", .upstreams = {0}, .upstream_count = 1}},
        };
        policy_says(k, &p);
        upstream_forget_script(k, 0);
        says_word(k, rows[i].provider);
        for (size_t j = 0; j < n; j++) {
            uint64_t took = one_goes(k, rows[i].client);
            if (took > WITHIN_MS + SLACK_MS)
                fail_msg("%s: it took %llu ms", rows[i].row, (unsigned long long)took);
            late += took > WITHIN_MS;
            WAIT(k, k->env.request_count == 0);
        }
        if (late > n / 50)
            fail_msg("%s: %zu of %zu took longer than %d ms", rows[i].row, late, n, WITHIN_MS);
        for (Gatehouse__JournalRecord *r; (r = flow_record(k)); flow_record_free(r))
            assert_string_equal(r->span->status, "cancelled");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_client_that_goes_takes_its_upstream_along_in_every_dialect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
