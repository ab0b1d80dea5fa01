/*
 * passthrough_response — what of a provider's response its client gets, and what is read of it to
 * bill it.
 */
#include "common/request/forward_headers.h"
#include "dataplane/ai/passthrough/passthrough_private.h"

static struct passthrough_call *call_of(struct relay *r)
{
    return CONTAINER_OF(r, struct passthrough_call, relay);
}

/* Beside what any service may say. */
static const struct slice provider_names[] = {
    {"retry-after-ms", 14}, {"openai-processing-ms", 20}, {"openai-version", 14},
    {"x-should-retry", 14}, {"x-amzn-errortype", 16},     {"x-goog-upload-status", 20},
};

static bool passes(const struct relay *r, struct slice name)
{
    (void)r;
    for (size_t i = 0; i < ARRAY_LEN(provider_names); i++)
        if (slice_ieq(provider_names[i], name))
            return true;
    return forward_response_header(name, false);
}

/* About the credential, which is the gateway's: a client would take it for its own. */
static bool is_about_credential(unsigned status)
{
    return status == 401 || status == 407;
}

static void note_request_id(struct passthrough_call *p, const struct http_head *head)
{
    static const struct slice names[] = {
        {"x-request-id", 12}, {"request-id", 10}, {"x-amzn-requestid", 16}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct slice id = http_head_find(head, names[i]);
        if (!id.len || id.len > 128 || !exchange_may_pass(p->relay.exchange, id))
            continue;
        p->attempt->upstream_request_id = arena_copy(p->rq->arena, id);
        return;
    }
}

static bool on_head(struct relay *r, const struct http_head *head)
{
    struct passthrough_call *p = call_of(r);
    note_request_id(p, head);
    if (head->status >= 500 || is_about_credential(head->status))
        exchange_log_status(r->exchange);
    if (is_about_credential(head->status)) {
        exchange_judge(r->exchange, ENDPOINT_REFUSED);
        if (p->token)
            access_token_doubt(p->rq->env->upstreams.tokens, &p->account->token_key);
        relay_fail(r, REFUSAL_UPSTREAM, SLICE("it refused the gateway's credential"),
                   arena_printf(p->rq->arena, "status_%u", head->status));
        return false;
    }
    passthrough_meter_open(p, head);
    r->edits = p->strips;
    return true;
}

static struct slice on_data(struct relay *r, struct slice data)
{
    struct passthrough_call *p = call_of(r);
    p->rq->record.api.bytes_out += data.len;
    data = passthrough_meter_feed(p, data);
    if (p->cut)
        relay_fail(r, REFUSAL_NO_CAPACITY, SLICE_NONE, SLICE("no_memory"));
    return data;
}

static struct slice rest(struct relay *r)
{
    return passthrough_meter_rest(call_of(r));
}

static void over(struct relay *r, enum relay_end how_far)
{
    passthrough_bill(call_of(r), how_far);
}

const struct relay_hooks passthrough_relay_hooks = {
    .passes = passes, .on_head = on_head, .on_data = on_data, .rest = rest, .over = over};
