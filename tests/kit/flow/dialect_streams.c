/*
 * dialect_streams — the tables.
 */
#include "tests/kit/flow/dialect_streams.h"

#include <stdio.h>

#include "common/net/aws_event.h"

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"

const struct stream_client stream_clients[STREAM_CLIENTS] = {
    {"chat", "/v1/chat/completions", "{\"model\":\"m\",\"stream\":true," HI "}",
     "\"role\":\"assistant\"", "\"content\":\"hi\"", 0},
    {"responses", "/v1/responses",
     "{\"model\":\"m\",\"input\":\"hello\",\"store\":false,\"stream\":true}",
     "event: response.created\n", "\"delta\":\"hi\"", 1},
    {"messages", "/v1/messages", "{\"model\":\"m\",\"max_tokens\":64,\"stream\":true," HI "}",
     "event: message_start\n", "\"text\":\"hi\"", 2},
    {"gemini", "/v1beta/models/m:streamGenerateContent?alt=sse",
     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}]}", NULL,
     "\"text\":\"hi\"", 3},
    {"converse", "/model/m/converse-stream",
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]}]}", "messageStart",
     "\"text\":\"hi\"", 4},
    {"cohere", "/v2/chat", "{\"model\":\"m\",\"stream\":true," HI "}", "event: message-start\n",
     "\"text\":\"hi\"", 5},
};

/* What comes before any word; @ is the id of the response. */
static const char *const opens_openai[] = {
    "data: {\"id\":\"@\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"x\","
    "\"choices\":[],\"prompt_filter_results\":[]}\n\n",
    "data: {\"id\":\"@\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"x\","
    "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
    "\"finish_reason\":null}]}\n\n",
    NULL};
static const char *const opens_responses[] = {
    "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,"
    "\"response\":{\"id\":\"@\",\"model\":\"x\",\"status\":\"in_progress\",\"output\":[]}}\n\n",
    "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"sequence_number\":1,"
    "\"response\":{\"id\":\"@\",\"model\":\"x\",\"status\":\"in_progress\",\"output\":[]}}\n\n",
    "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\","
    "\"sequence_number\":2,\"output_index\":0,\"item\":{\"id\":\"msg_@\",\"type\":\"message\","
    "\"role\":\"assistant\",\"status\":\"in_progress\",\"content\":[]}}\n\n",
    "event: response.content_part.added\ndata: {\"type\":\"response.content_part.added\","
    "\"sequence_number\":3,\"item_id\":\"msg_@\",\"output_index\":0,\"content_index\":0,"
    "\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}}\n\n",
    NULL};
static const char *const opens_anthropic[] = {
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"@\",\"type\":"
    "\"message\",\"role\":\"assistant\",\"model\":\"x\",\"content\":[],\"stop_reason\":null,"
    "\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n", NULL};
static const char *const opens_gemini[] = {
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"}}],"
    "\"usageMetadata\":{\"promptTokenCount\":7},\"modelVersion\":\"x\",\"responseId\":\"@\"}\n\n",
    NULL};
static const char *const opens_cohere[] = {
    "event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"@\",\"delta\":{\"message\":{"
    "\"role\":\"assistant\"}}}\n\n",
    "event: content-start\ndata: {\"type\":\"content-start\",\"index\":0,\"delta\":{\"message\":{"
    "\"content\":{\"type\":\"text\",\"text\":\"\"}}}}\n\n",
    NULL};
static const char *const opens_ollama[] = {
    "{\"model\":\"@\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":false}\n",
    NULL};
/* an event's type and its payload in turn */
static const char *const opens_bedrock[] = {"messageStart", "{\"role\":\"assistant\",\"p\":\"@\"}",
                                            NULL};

static const char *const says_openai[] = {
    "data: {\"id\":\"@\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"x\","
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"@\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"x\","
    "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n", NULL};
static const char *const says_responses[] = {
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
    "\"sequence_number\":4,\"item_id\":\"msg_@\",\"output_index\":0,\"content_index\":0,"
    "\"delta\":\"hi\"}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":5,"
    "\"response\":{\"id\":\"@\",\"object\":\"response\",\"created_at\":1,\"status\":\"completed\","
    "\"model\":\"x\",\"output\":[{\"id\":\"msg_@\",\"type\":\"message\",\"role\":\"assistant\","
    "\"status\":\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"hi\","
    "\"annotations\":[]}]}],\"usage\":{\"input_tokens\":10,\"output_tokens\":2,"
    "\"total_tokens\":12}}}\n\n",
    NULL};
static const char *const says_anthropic[] = {
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
    "\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
    "\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":2}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", NULL};
static const char *const says_gemini[] = {
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hi\"}],\"role\":\"model\"},"
    "\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":7,"
    "\"candidatesTokenCount\":2,\"totalTokenCount\":9},\"modelVersion\":\"x\",\"responseId\":"
    "\"@\"}\n\n",
    NULL};
static const char *const says_cohere[] = {
    "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{"
    "\"content\":{\"text\":\"hi\"}}}}\n\n",
    "event: content-end\ndata: {\"type\":\"content-end\",\"index\":0}\n\n",
    "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":"
    "\"COMPLETE\",\"usage\":{\"tokens\":{\"input_tokens\":7,\"output_tokens\":2}}}}\n\n",
    NULL};
static const char *const says_ollama[] = {
    "{\"model\":\"@\",\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"done\":false}\n",
    "{\"model\":\"@\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,"
    "\"done_reason\":\"stop\",\"prompt_eval_count\":7,\"eval_count\":2}\n",
    NULL};
static const char *const says_bedrock[] = {
    "contentBlockDelta",
    "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"hi\"}}",
    "contentBlockStop",
    "{\"contentBlockIndex\":0}",
    "messageStop",
    "{\"stopReason\":\"end_turn\"}",
    "metadata",
    "{\"usage\":{\"inputTokens\":7,\"outputTokens\":2,\"totalTokens\":9},"
    "\"metrics\":{\"latencyMs\":7}}",
    NULL};

#define SSE "text/event-stream"
#define AWS "application/vnd.amazon.eventstream"

const struct stream_provider stream_providers[STREAM_PROVIDERS] = {
    {"openai", "openai", NULL, SSE, opens_openai, says_openai, false},
    {"openai's responses", "openai", NULL, SSE, opens_responses, says_responses, true},
    {"anthropic", "anthropic", NULL, SSE, opens_anthropic, says_anthropic, false},
    {"gemini", "gemini", "", SSE, opens_gemini, says_gemini, false},
    {"bedrock", "bedrock", "", AWS, opens_bedrock, says_bedrock, false},
    {"cohere", "cohere", "", SSE, opens_cohere, says_cohere, false},
    {"ollama", "ollama", "", "application/x-ndjson", opens_ollama, says_ollama, false},
    {"mistral", "mistral", NULL, SSE, opens_openai, says_openai, false},
};

static void put_id(struct buf *out, const char *text, const char *id)
{
    for (; *text; text++)
        assert_int_equal(buf_append(out, *text == '@' ? slice_str(id) : slice_of(text, 1)), ERR_OK);
}

static void send_events(struct flow *k, size_t upstream, const struct stream_provider *p,
                        const char *const *events, size_t most, const char *id)
{
    bool aws = !strcmp(p->type, AWS);
    for (; *events && most--; events += aws ? 2 : 1) {
        struct buf text, event, chunk;
        buf_init(&text, 1 << 16);
        buf_init(&event, 1 << 16);
        buf_init(&chunk, 1 << 16);
        put_id(&text, events[aws], id);
        struct slice bytes = buf_slice(&text);
        if (aws) {
            assert_int_equal(aws_event_write(&event, SLICE("event"), slice_str(events[0]), bytes),
                             ERR_OK);
            bytes = buf_slice(&event);
        }
        assert_int_equal(buf_printf(&chunk, "%zx\r\n", bytes.len), ERR_OK);
        assert_int_equal(buf_append(&chunk, bytes), ERR_OK);
        assert_int_equal(buf_append(&chunk, SLICE("\r\n")), ERR_OK);
        upstream_says_bytes(k, upstream, buf_slice(&chunk));
        buf_fini(&chunk);
        buf_fini(&event);
        buf_fini(&text);
    }
}

void stream_opens(struct flow *k, size_t upstream, const struct stream_provider *p, const char *id)
{
    char head[160];
    snprintf(head, sizeof(head),
             "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", p->type);
    upstream_says(k, upstream, head);
    send_events(k, upstream, p, p->opens, SIZE_MAX, id);
}

void stream_says(struct flow *k, size_t upstream, const struct stream_provider *p, const char *id)
{
    send_events(k, upstream, p, p->says, 1, id);
}

void stream_goes_on(struct flow *k, size_t upstream, const struct stream_provider *p,
                    const char *id)
{
    bool aws = !strcmp(p->type, AWS);
    send_events(k, upstream, p, p->says + (aws ? 2 : 1), SIZE_MAX, id);
    upstream_says(k, upstream, "0\r\n\r\n");
}

bool stream_pair_fits(const struct stream_client *c, const struct stream_provider *p)
{
    bool of_responses = strcmp(c->name, "responses") == 0;
    return strcmp(p->dialect, "openai") != 0 || of_responses == p->of_responses;
}
