/*
 * forward — the request to the company's service: a head made by the gateway, the same path that
 * was granted, the company's credential, the client's body as it comes.
 */
#include "common/request/forward_headers.h"
#include "common/upstream/trace_context.h"
#include "dataplane/api/api_gate_private.h"

#define ADDED 4 /* credential, accept-encoding, traceparent, via */

static struct slice upstream_path(const struct api_work *w)
{
    struct slice base = w->service->url.path, query = w->rq->query;
    return arena_printf(w->rq->arena, "%.*s%.*s%s%.*s", SLICE_ARG(base), SLICE_ARG(w->rest),
                        query.len > 0 ? "?" : "", SLICE_ARG(query));
}

static size_t build_headers(struct api_work *w, const struct attempt *at, struct http_header *out,
                            size_t max, char traceparent[static TRACE_HEADER_LEN + 1])
{
    const struct policy_service *s = w->service;
    struct forward_in in = {.head = w->rq->head, .injected = s->credential_header};
    size_t n = forward_request_headers(&in, out, max - ADDED);
    if (s->credential && s->credential_header.len > 0)
        out[n++] = (struct http_header){s->credential_header, secret_reveal(s->credential)};
    if (s->credential) /* the credential is looked for in what comes back */
        out[n++] = (struct http_header){SLICE("accept-encoding"), SLICE("identity")};
    out[n++] = (struct http_header){SLICE("traceparent"),
                                    trace_header(w->rq->record.trace_id, at->span_id, traceparent)};
    out[n++] = (struct http_header){SLICE("via"), forward_via(w->rq->head)};
    return n;
}

static struct attempt *add_attempt(struct api_work *w)
{
    struct call_record *t = &w->rq->record;
    struct attempt *at = &t->attempts[t->attempt_count++];
    *at = (struct attempt){.service = w->service->o.name};
    trace_span_id(at->span_id);
    return at;
}

static enum err start_exchange(struct api_work *w)
{
    struct request *rq = w->rq;
    const struct http_head *h = rq->head;
    const struct policy_service *s = w->service;
    struct http_header headers[LIMIT_HTTP_HEADERS] UNINITIALIZED;
    char traceparent[TRACE_HEADER_LEN + 1];
    struct slice path = upstream_path(w);
    struct attempt *at = add_attempt(w);
    struct exchange_spec spec = {
        .upstream = s->o.name,
        .target_id = s->o.id,
        .revision = s->o.revision,
        .credential = s->credential,
        .log = &rq->log,
        .attempt = at,
        .waited_us = &rq->record.upstream_us,
        .call = {.method = h->method,
                 .url = s->url,
                 .path = path,
                 .headers = headers,
                 .header_count = build_headers(w, at, headers, ARRAY_LEN(headers), traceparent),
                 .streamed = relay_has_body(h),
                 .body_length = h->chunked ? UINT64_MAX : h->length,
                 .rule = {.allowed = s->allowed, .allowed_count = s->allowed_count}},
    };
    return exchange_start(&rq->env->upstreams, &spec, &relay_events, &w->relay, &w->relay.exchange);
}

void api_forward_start(struct api_work *w)
{
    struct request *rq = w->rq;
    bool recorded = request_open_record(rq) == ERR_OK;
    if (!recorded || start_exchange(w) != ERR_OK) {
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        request_finish_as(rq, recorded ? OUTCOME_ERROR : OUTCOME_REFUSED);
        return;
    }
    if (relay_has_body(rq->head))
        request_read_body(rq, rq->gate->body_max);
}
