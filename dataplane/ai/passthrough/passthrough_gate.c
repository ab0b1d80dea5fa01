/*
 * passthrough_gate — the table of filters, refusals in the provider's own dialect, and how the work
 * begins and is called off.
 */
#include "dataplane/ai/passthrough/passthrough_gate.h"

#include "dataplane/ai/passthrough/passthrough_private.h"

/* The body of a modelled path is read once the route is granted; any other streams, and begins when
 * everything else has passed. */
static const struct filter *const filters[] = {
    &filter_authenticate,      /* 401 */
    &filter_session,           /* the session */
    &filter_task,              /* 403 a task that the principal may not assume */
    &passthrough_filter_route, /* 404, 403 a provider or route that is not granted */
    &filter_body,              /* 413, 415 */
    &passthrough_filter_call,  /* 400, 404 what the dialect does not allow, or the key's models */
    &filter_limit,             /* 429 rates and parallel calls */
    &filter_budget,            /* 429 reserves the worst case; 400 what has none */
    NULL,
};

static struct relay *relay_of(struct request *rq)
{
    return &((struct passthrough_call *)rq->gate_state)->relay;
}

static void work(struct request *rq)
{
    passthrough_start(rq->gate_state);
}

static void on_body(struct request *rq, struct slice piece)
{
    if (rq->stage == REQUEST_WORK && relay_body(relay_of(rq), piece))
        rq->record.api.bytes_in += piece.len;
}

static void on_body_end(struct request *rq)
{
    if (rq->stage == REQUEST_WORK)
        relay_body_end(relay_of(rq));
}

static void on_drain(struct request *rq)
{
    relay_drain(relay_of(rq));
}

/* The client is gone, or its right ended: the upstream is let go at once. */
static void cancel(struct request *rq)
{
    struct passthrough_call *p = rq->gate_state;
    if (!p->relay.exchange && p->attempt) { /* it waits for a token */
        p->attempt->end = OUTCOME_CANCELLED;
        p->attempt->code = request_cut_code(rq);
    }
    relay_cancel(&p->relay);
}

static const char *why_not_bounded(const struct request *rq)
{
    return ((const struct passthrough_call *)rq->gate_state)->not_bounded;
}

/* ---- refusals: as the provider's own clients read them ---- */

static const struct ai_dialect *dialect_of(const struct request *rq)
{
    static const struct {
        struct slice word;
        const struct ai_dialect *dialect;
    } rows[] = {
        {{"anthropic", 9}, &dialect_anthropic_messages},
        {{"gemini", 6}, &dialect_gemini},
        {{"vertex", 6}, &dialect_gemini},
        {{"bedrock", 7}, &dialect_bedrock_converse},
        {{"cohere", 6}, &dialect_cohere_chat},
    };
    const struct passthrough_call *p = rq->gate_state;
    for (size_t i = 0; p && p->provider && i < ARRAY_LEN(rows); i++)
        if (slice_eq(p->provider->dialect, rows[i].word))
            return rows[i].dialect;
    /* before the provider is known, by what its clients alone send */
    bool known = p && p->provider;
    if (!known && http_head_find(rq->head, SLICE("anthropic-version")).len)
        return &dialect_anthropic_messages;
    if (!known && http_head_find(rq->head, SLICE("x-goog-api-key")).len)
        return &dialect_gemini;
    return &dialect_openai_chat;
}

static enum err refusal_body(struct request *rq, struct buf *out, const char **content_type)
{
    const struct passthrough_call *p = rq->gate_state;
    const struct refusal_row *row = refusal_row(rq->refusal.id);
    const struct ai_error e = {
        .status = row->status,
        .type = rq->refusal.id == REFUSAL_BUDGET ? SLICE("insufficient_quota") : SLICE_NONE,
        .message = refusal_sentence(&rq->refusal, rq->arena),
        .code = slice_str(row->code),
        .param = slice_str(p ? p->request.param : NULL),
        .request_id = slice_of(rq->request_id, sizeof(rq->request_id) - 1),
    };
    *content_type = ai_content_type(dialect_of(rq)).ptr;
    return dialect_of(rq)->write_error(out, &e);
}

static size_t refusal_headers(struct request *rq, struct http_header *out, size_t max)
{
    const struct ai_dialect *d = dialect_of(rq);
    if (!d->error_header || max == 0)
        return 0;
    out[0] = d->error_header(refusal_row(rq->refusal.id)->status);
    return 1;
}

static const struct header_names *header_names(const struct request *rq)
{
    static const struct header_names usual = {.id = "x-request-id",
                                              .limit = "x-ratelimit-limit-requests",
                                              .remaining = "x-ratelimit-remaining-requests",
                                              .reset = "x-ratelimit-reset-requests"};
    const struct header_names *own = dialect_of(rq)->header_names;
    return own ? own : &usual;
}

const struct gate passthrough_gate = {
    .name = "ai",
    .slot = GATE_AI,
    .header_names = header_names,
    .filters = filters,
    .body_max = LIMIT_PASSTHROUGH_BODY,
    .query_credential = passthrough_query_key,
    .work = work,
    .refusal_body = refusal_body,
    .refusal_headers = refusal_headers,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .streams_body = passthrough_streams_body,
    .on_drain = on_drain,
    .cancel = cancel,
    .still_allowed = passthrough_still_allowed,
    .worst_case = passthrough_worst_case,
    .not_bounded = why_not_bounded,
};
