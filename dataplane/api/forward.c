/*
 * forward — the request as the company's service gets it: our head, the same path that was
 * granted, the company's credential, the client's body as it comes.
 */
#include "common/base/clock.h"
#include "common/base/secret.h"
#include "common/journey/passage.h"
#include "common/journey/trace.h"
#include "dataplane/api/work.h"

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
    struct slice base = w->service->url.path, query = w->j->query;
    return arena_printf(w->j->arena, "%.*s%.*s%s%.*s", SLICE_ARG(base), SLICE_ARG(w->rest),
                        query.len > 0 ? "?" : "", SLICE_ARG(query));
}

static size_t build_headers(struct api_work *w, struct http_header *out, size_t max,
                            char traceparent[static TRACE_HEADER_LEN + 1])
{
    const struct policy_service *s = w->service;
    struct passage_in in = {.head = w->j->head, .injected = s->credential_header};
    size_t n = passage_request(&in, out, max - OURS);
    if (s->credential && s->credential_header.len > 0)
        out[n++] = (struct http_header){s->credential_header, secret_reveal(s->credential)};
    out[n++] = (struct http_header){
        SLICE("traceparent"), trace_header(w->j->trace.trace_id, w->attempt->span_id, traceparent)};
    out[n++] = (struct http_header){SLICE("via"), SLICE("1.1 gatehouse")};
    return n;
}

static void begin_attempt(struct api_work *w)
{
    struct journey *j = w->j;
    w->attempt = &j->trace.attempts[j->trace.attempt_count++];
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
    const struct http_head *h = w->j->head;
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
    return http_call_start(w->j->env->client, &spec, &api_relay_events, w, &w->call);
}

void api_forward_start(struct api_work *w)
{
    struct journey *j = w->j;
    buf_init(&w->piece, LIMIT_STREAM_OUT);
    echo_init(&w->echo,
              w->service->credential ? secret_reveal(w->service->credential) : SLICE_NONE);
    enum err e = journey_open_record(j);
    if (e != ERR_OK) {
        journey_refuse(j, REFUSAL_NO_CAPACITY, SLICE_NONE);
        api_forward_drop(w);
        journey_finish(j, JOURNEY_REFUSED);
        return;
    }
    begin_attempt(w);
    e = start_call(w);
    if (e != ERR_OK) {
        api_relay_end(w, JOURNEY_ERROR, slice_str(err_name(e)));
        journey_refuse(j, REFUSAL_NO_CAPACITY, SLICE_NONE);
        api_forward_drop(w);
        journey_finish(j, JOURNEY_ERROR);
        return;
    }
    if (has_body(j->head))
        j->answer_ops->read_body(j->answer, j->wing->body_max);
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
        w->j->answer_ops->pause_body(w->j->answer);
    }
}

void api_forward_body_end(struct api_work *w)
{
    if (!w->call || w->body_ended)
        return;
    w->body_ended = true;
    http_call_write_end(w->call);
}
