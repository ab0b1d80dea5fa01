/*
 * forward — the request as the company's service gets it: our head, the same path that was
 * granted, the company's credential, the client's body as it comes.
 */
#include "common/base/clock.h"
#include "common/base/secret.h"
#include "common/request/forward_headers.h"
#include "common/request/trace.h"
#include "dataplane/api/api_private.h"

#define OURS 3 /* credential, traceparent, via */

void api_forward_drop(struct api_work *w)
{
    if (w->call)
        http_call_close(&w->call);
    echo_fini(&w->echo);
    buf_fini(&w->piece);
}

static struct slice upstream_path(const struct api_work *w)
{
    struct slice base = w->service->url.path, query = w->rq->query;
    return arena_printf(w->rq->arena, "%.*s%.*s%s%.*s", SLICE_ARG(base), SLICE_ARG(w->rest),
                        query.len > 0 ? "?" : "", SLICE_ARG(query));
}

static size_t build_headers(struct api_work *w, struct http_header *out, size_t max,
                            char traceparent[static TRACE_HEADER_LEN + 1])
{
    const struct policy_service *s = w->service;
    struct forward_in in = {.head = w->rq->head, .injected = s->credential_header};
    size_t n = forward_request_headers(&in, out, max - OURS);
    if (s->credential && s->credential_header.len > 0)
        out[n++] = (struct http_header){s->credential_header, secret_reveal(s->credential)};
    out[n++] =
        (struct http_header){SLICE("traceparent"), trace_header(w->rq->record.trace_id,
                                                                w->attempt->span_id, traceparent)};
    out[n++] = (struct http_header){SLICE("via"), SLICE("1.1 gatehouse")};
    return n;
}

static void begin_attempt(struct api_work *w)
{
    struct request *rq = w->rq;
    w->attempt = &rq->record.attempts[rq->record.attempt_count++];
    *w->attempt = (struct attempt){.service = w->service->o.name, .started_at_us = clock_wall_us()};
    trace_span_id(w->attempt->span_id);
    w->attempt_us = w->waiting_us = clock_mono_us();
}

static bool has_body(const struct http_head *h)
{
    return h->chunked || (h->has_length && h->length > 0);
}

static enum err start_call(struct api_work *w)
{
    const struct http_head *h = w->rq->head;
    struct http_header headers[LIMIT_HTTP_HEADERS];
    char traceparent[TRACE_HEADER_LEN + 1];
    struct slice path = upstream_path(w);
    if (!path.ptr)
        return ERR_NOMEM;
    struct http_call_spec spec = {
        .method = h->method,
        .url = w->service->url,
        .path = path,
        .headers = headers,
        .header_count = build_headers(w, headers, ARRAY_LEN(headers), traceparent),
        .streamed = has_body(h),
        .body_length = h->chunked ? UINT64_MAX : h->length,
        .rule = {.allowed = w->service->allowed, .allowed_count = w->service->allowed_count},
    };
    return http_call_start(w->rq->env->client, &spec, &api_relay_events, w, &w->call);
}

void api_forward_start(struct api_work *w)
{
    struct request *rq = w->rq;
    buf_init(&w->piece, LIMIT_STREAM_OUT);
    echo_init(&w->echo,
              w->service->credential ? secret_reveal(w->service->credential) : SLICE_NONE);
    enum err e = request_open_record(rq);
    if (e != ERR_OK) {
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        api_forward_drop(w);
        request_finish_as(rq, OUTCOME_REFUSED);
        return;
    }
    begin_attempt(w);
    e = start_call(w);
    if (e != ERR_OK) {
        api_relay_end(w, OUTCOME_ERROR, slice_str(err_name(e)));
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        api_forward_drop(w);
        request_finish_as(rq, OUTCOME_ERROR);
        return;
    }
    if (has_body(rq->head))
        request_read_body(rq, rq->gate->body_max);
}

/* The client is read no faster than the upstream takes it. */
void api_forward_body(struct api_work *w, struct slice piece)
{
    if (!w->call || w->body_ended)
        return;
    if (http_call_write(w->call, piece) != ERR_OK)
        return; /* the call's own error says why */
    if (!w->client_paused && http_call_pending(w->call) > LIMIT_STREAM_HIGH) {
        w->client_paused = true;
        request_pause_body(w->rq);
    }
}

void api_forward_body_end(struct api_work *w)
{
    if (!w->call || w->body_ended)
        return;
    w->body_ended = true;
    http_call_write_end(w->call);
}
