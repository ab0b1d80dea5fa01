/*
 * relay — a stream on its way through: events go on as they came, byte for byte; the usage chunk
 * that only we asked for is taken out; the end waits until the record is written.
 */
#include "common/base/json_scan.h"
#include "dataplane/ai/ai_private.h"

#define DONE_LINGER_MS 100 /* the upstream's own end follows [DONE] at once, or never */
#define ECHO_WINDOW (16 * 1024)

static bool is_over(const struct ai_work *w)
{
    return w->rq->stage != REQUEST_WORK;
}

/* ---- towards the client ---- */

static void bill(struct ai_work *w)
{
    if (w->look.has_usage)
        bill_reported(w, &w->look.tokens);
    else
        bill_estimated(w);
}

/* The response can take nothing more: the client is gone, or a filter refused what was written. */
static void stop_by(struct ai_work *w, enum sink_result why)
{
    enum request_outcome end = why == SINK_REFUSED ? OUTCOME_REFUSED : OUTCOME_CANCELLED;
    timer_cancel(&w->linger);
    attempt_drop(w);
    if (w->attempt) {
        bill(w);
        attempt_end(w, end, why == SINK_REFUSED ? SLICE("refused") : SLICE("client_closed"));
    }
    request_finish(w->rq, &(struct request_end){.outcome = end, .cut = why == SINK_CLOSED});
}

static void take_result(struct ai_work *w, enum sink_result r)
{
    if (w->rq->stage != REQUEST_WORK)
        return;
    if (r == SINK_FULL && w->call)
        http_call_pause(w->call);
    if (r > SINK_FULL)
        stop_by(w, r);
}

static void forward(struct ai_work *w, struct slice raw)
{
    take_result(w, response_write(w->rq, raw));
}

static void end_stream(struct ai_work *w, enum request_outcome end, struct slice last)
{
    timer_cancel(&w->linger);
    request_finish(w->rq, &(struct request_end){.outcome = end, .body = last});
}

/* The upstream is read on where nothing holds it back: neither the client nor the money. */
static void resume(struct ai_work *w)
{
    if (w->call && !w->short_of_money && !response_is_full(w->rq))
        http_call_resume(w->call);
}

void relay_drain(struct ai_work *w)
{
    if (w->streaming)
        resume(w);
}

/* ---- what a chunk says ---- */

static bool is_done(struct slice data)
{
    return slice_eq(slice_trim(data), SLICE("[DONE]"));
}

/* `"usage":null` stands in every chunk where usage was asked for: not worth a scan */
static bool may_hold_usage(struct slice data)
{
    ptrdiff_t at = slice_search(data, SLICE("\"usage\""));
    if (at < 0)
        return false;
    struct slice rest = slice_trim(slice_from(data, (size_t)at + 7));
    if (!rest.len || rest.ptr[0] != ':')
        return true;
    return !slice_starts(slice_trim(slice_from(rest, 1)), SLICE("null"));
}

/* A choice has ended: the member is a text, and not null as until then. */
static bool names_a_reason(struct slice data)
{
    const struct slice name = SLICE("\"finish_reason\"");
    ptrdiff_t at;
    while ((at = slice_search(data, name)) >= 0) {
        data = slice_trim(slice_from(data, (size_t)at + name.len));
        if (slice_starts(data, SLICE(":")) &&
            slice_starts(slice_trim(slice_from(data, 1)), SLICE("\"")))
            return true;
    }
    return false;
}

static bool says_error(struct slice data)
{
    struct usage_look look;
    if (slice_search(data, SLICE("\"error\"")) < 0)
        return false;
    if (usage_read(data, &look))
        return slice_starts(data, SLICE("{\"error\"")); /* broken, and meant as one */
    return look.has_error;
}

/* true: the chunk is the one that only we asked for */
static bool read_usage(struct ai_work *w, struct slice data)
{
    struct usage_look look;
    if (!may_hold_usage(data) || usage_read(data, &look))
        return false;
    if (look.has_usage)
        w->look = look; /* some repeat it; the last one counts */
    return look.only_usage && !w->request.wants_usage;
}

static void note_identity(struct ai_work *w, struct slice data)
{
    static const char *const wants[] = {"id", "created", "model"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    if (w->chunk_id.ptr || json_scan(data, wants, ARRAY_LEN(wants), hits, &root, &problem))
        return;
    w->chunk_id = arena_copy(w->rq->arena, hits[0].raw);
    w->chunk_created = arena_copy(w->rq->arena, hits[1].raw);
    w->chunk_model = arena_copy(w->rq->arena, hits[2].raw);
}

static bool is_limited(const struct ai_work *w)
{
    return w->output_reserved && budget_reserved(w->rq) > 0;
}

/* At three quarters: early enough that a larger slice of the budget is here before the tokens. */
static void extend_in_time(struct ai_work *w, uint64_t written)
{
    enum err e = ERR_OK;
    while (!e && written >= w->output_reserved - w->output_step / 4)
        e = ai_extend_output(w);
    if (e)
        log_debug(&w->rq->log, "stream_not_extended", "why=%s", err_name(e));
}

/* While the answer to its last question is under way, it waits, and so does the upstream. */
static bool has_reached_its_end(struct ai_work *w)
{
    money worst;
    if (!w->output_reserved || !budget_worst_case(w->rq, &worst))
        return false;
    uint64_t written = usage_meter_tokens(&w->meter);
    extend_in_time(w, written);
    if (!is_limited(w))
        return false;
    bool used_up = written >= w->output_reserved;
    w->short_of_money = used_up && budget_is_waiting(w->rq) && w->call;
    if (w->short_of_money)
        http_call_pause(w->call);
    return used_up && !w->short_of_money;
}

/* The reservation is used up: the stream ends as a model ends at its own ceiling. */
static void stop_at_length(struct ai_work *w)
{
    struct slice last = SLICE("data: [DONE]\n\n");
    struct buf *out = &w->rq->env->scratch;
    attempt_drop(w);
    bill_estimated(w);
    attempt_end(w, OUTCOME_OK, SLICE("length"));
    buf_clear(out);
    if (!openai_length_stop(w, out))
        forward(w, buf_slice(out));
    if (!is_over(w))
        end_stream(w, OUTCOME_OK, last);
}

void relay_reserved(struct ai_work *w, enum err e)
{
    if (!w->short_of_money || is_over(w))
        return;
    if (e || has_reached_its_end(w))
        stop_at_length(w);
    else
        resume(w);
}

/* A credential that comes back inside the first 16 KiB is masked; the event keeps its length. */
static struct slice without_echo(struct ai_work *w, struct slice raw)
{
    bool early = w->relayed < ECHO_WINDOW;
    w->relayed += raw.len;
    if (!early || !ai_echo_in(w, raw))
        return raw;
    struct slice copy = arena_copy(w->rq->arena, raw);
    if (!copy.ptr)
        return SLICE("\n\n");
    ai_echo_mask(w, (char *)(uintptr_t)copy.ptr, copy.len, "stream");
    return copy;
}

/* Providers put `"usage":null` into every chunk once usage is asked for. Who did not ask gets the
 * chunk without it. In an event of several data lines the member may stand across them: such an
 * event, which nobody sends, stays as it is. */
static bool has_null_of_ours(const struct ai_work *w, const struct sse_event *e, struct slice *ret)
{
    const char *from = e->raw.ptr, *to = from + e->raw.len;
    bool in_raw = e->data.ptr >= from && e->data.ptr < to;
    return e->has_data && in_raw && !w->request.wants_usage &&
           slice_search(e->data, SLICE("\"usage\"")) >= 0 && usage_find_null(e->data, ret);
}

static void forward_event(struct ai_work *w, const struct sse_event *e)
{
    struct slice raw = without_echo(w, e->raw), null;
    if (raw.len != e->raw.len || !has_null_of_ours(w, e, &null)) {
        forward(w, raw);
        return;
    }
    size_t at = (size_t)(null.ptr - e->raw.ptr);
    struct slice front = slice_first(raw, at), rest = slice_from(raw, at + null.len);
    struct buf *out = &w->rq->env->scratch;
    buf_clear(out);
    if (!buf_append(out, front) && !buf_append(out, rest)) {
        forward(w, buf_slice(out));
        return;
    }
    forward(w, front); /* larger than the scratch */
    if (!is_over(w))
        forward(w, rest);
}

static bool on_event(void *arg, const struct sse_event *e)
{
    struct ai_work *w = arg;
    if (is_over(w))
        return false;
    if (w->done)
        return true; /* nothing belongs behind [DONE] */
    if (e->has_data && is_done(e->data)) {
        w->done = true;
        w->last = arena_copy(w->rq->arena, e->raw);
        timer_start(&w->linger, DONE_LINGER_MS);
        return true;
    }
    if (e->has_data) {
        if (read_usage(w, e->data))
            return true;
        w->failed = w->failed || says_error(e->data);
        w->closed = w->closed || names_a_reason(e->data);
        usage_meter_feed(&w->meter, e->data);
        if (is_limited(w))
            note_identity(w, e->data);
    }
    forward_event(w, e);
    if (is_over(w))
        return false;
    if (has_reached_its_end(w)) {
        stop_at_length(w);
        return false;
    }
    return true;
}

/* ---- from the upstream ---- */

void relay_begin(struct ai_work *w, const struct http_head *head)
{
    struct http_header headers[ARRAY_LEN(w->pass) + 1];
    (void)head;
    memcpy(headers, w->pass, w->pass_count * sizeof(headers[0]));
    headers[w->pass_count] = (struct http_header){SLICE("cache-control"), SLICE("no-cache")};
    w->streaming = true;
    take_result(w, response_begin(w->rq, w->status, headers, w->pass_count + 1, UINT64_MAX));
}

void relay_data(struct ai_work *w, struct slice data)
{
    if (is_over(w))
        return;
    enum err e = sse_reader_feed(&w->sse, data, on_event, w);
    if (!e || e == ERR_CANCELLED || is_over(w))
        return;
    relay_upstream_lost(w, ERR_PROTOCOL); /* an event that never ends */
}

void relay_upstream_end(struct ai_work *w)
{
    if (is_over(w))
        return;
    if (!w->done && !w->closed && !w->failed && !w->look.has_usage) {
        relay_upstream_lost(w, ERR_CLOSED); /* it ended in the middle of a sentence */
        return;
    }
    struct slice rest = sse_reader_rest(&w->sse);
    if (rest.len && !w->done)
        forward(w, rest);
    if (is_over(w))
        return;
    attempt_drop(w);
    bill(w);
    enum request_outcome end = w->failed ? OUTCOME_ERROR : OUTCOME_OK;
    attempt_end(w, end, w->failed ? SLICE("error_in_stream") : SLICE_NONE);
    end_stream(w, end, w->last);
}

/* The status is long gone, so the client hears it as an event, which OpenAI's SDKs raise. */
void relay_upstream_lost(struct ai_work *w, enum err why)
{
    if (is_over(w))
        return;
    if (w->done) { /* all was said; only the connection broke */
        attempt_drop(w);
        bill(w);
        attempt_end(w, OUTCOME_OK, SLICE_NONE);
        end_stream(w, OUTCOME_OK, w->last);
        return;
    }
    log_warn(&w->rq->log, "upstream_lost", "provider=%.*s why=%s", SLICE_ARG(w->attempt->provider),
             err_name(why));
    attempt_drop(w);
    bill(w);
    attempt_end(w, OUTCOME_ERROR, slice_str(err_name(why)));
    timer_cancel(&w->linger);
    request_refuse(w->rq, why == ERR_TIMEOUT ? REFUSAL_UPSTREAM_TIMEOUT : REFUSAL_UPSTREAM,
                   SLICE("it broke off in mid-stream"));
    request_finish_as(w->rq, OUTCOME_ERROR);
}
