/*
 * ai_stream — events relayed as they came, or decoded and written anew.
 */
#include "dataplane/ai/ai_stream.h"

#include <time.h>

#include "common/net/aws_event.h"
#include "common/net/json_lines.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_frame.h"
#include "dataplane/ai/ai_retry.h"

#define LINGER_MS 100 /* the upstream's own end follows the last event at once, or never */
#define BEAT_MS 15000

#define WRITTEN_MAX (16 * 1024)

#define GRACE_MS 5000 /* usage follows the finish within it, where it follows at all */

unsigned ai_stream_beat_ms = BEAT_MS;
unsigned ai_stream_grace_ms = GRACE_MS;

/* Without memory for it the stream fails at its first event. */
static void keep_whole(struct ai_call *c)
{
    ai_assembly_free(c->whole);
    c->whole = ai_assembly_new();
    c->writer.whole = c->whole;
}

/* Without memory for it each event is the dialect's to write. */
static void open_frame(struct ai_call *c)
{
    if (!c->frame)
        c->frame = arena_alloc(c->rq->arena, sizeof(*c->frame));
    if (c->frame)
        c->frame->before = 0;
}

void ai_stream_open(struct ai_call *c)
{
    sse_reader_reset(&c->sse);
    buf_clear(&c->opening);
    buf_clear(&c->unread);
    buf_clear(&c->written);
    buf_shelf_give(&c->rq->env->shelf, &c->gathered); /* an earlier target may have failed */
    c->writer = (struct ai_writer){.choices = c->request.choices,
                                   .wants_usage = c->request.wants_usage,
                                   .arena = c->rq->arena};
    c->writer.to = ai_call_context(c);
    c->usage = AI_USAGE_NONE;
    c->meter = (struct ai_meter){0};
    c->likeness.before = 0;
    c->last = SLICE_NONE;
    c->finished = c->failed_in = c->started = false;
    c->decoded = !c->native || response_is_heard(c->rq, &c->sink);
    if (c->decoded || c->observed)
        c->decoder = ai_call_decoder(c);
    if (c->decoded && c->endpoint->dialect->keeps_whole)
        keep_whole(c);
    if (c->decoded)
        open_frame(c);
    ai_call_move(c, AI_CALL_OPENING);
    timer_start(&c->beat, ai_stream_beat_ms);
}

/* ---- towards the client ---- */

static enum ai_stream_result result_of(struct ai_call *c, enum sink_result r)
{
    if (c->rq->stage != REQUEST_WORK)
        return AI_STREAM_OVER;
    switch (r) {
    case SINK_OK:
        break;
    case SINK_FULL:
        if (c->exchange)
            exchange_hold(c->exchange, EXCHANGE_HOLD_CLIENT);
        break;
    case SINK_CLOSED:
        return AI_STREAM_CLOSED;
    case SINK_REFUSED:
        return AI_STREAM_REFUSED;
    }
    return AI_STREAM_ON;
}

/* Events that were decoded from one read leave together, in one piece. */
static enum sink_result send_written(struct ai_call *c)
{
    enum sink_result r = response_write_below(c->rq, &c->sink, buf_slice(&c->written));
    buf_clear(&c->written);
    return r;
}

static enum ai_stream_result write_bytes(struct ai_call *c, struct slice bytes)
{
    enum ai_stream_result r = AI_STREAM_ON;
    if (c->decoded && c->written.len)
        r = result_of(c, send_written(c));
    return r == AI_STREAM_ON && bytes.len ? result_of(c, response_write(c->rq, bytes)) : r;
}

/* By the dialect, unless it wrote the last one alike. */
static enum err write_anew(struct ai_call *c, const struct ai_event *e, struct buf *out)
{
    size_t before = out->len;
    if (c->frame && ai_frame_fits(c->frame, e))
        return ai_frame_write(c->frame, e, out);
    c->writer.words = (struct ai_words){0};
    enum err err = c->endpoint->dialect->write_event(&c->writer, e, out);
    if (err)
        out->len = before;
    else if (c->frame)
        ai_frame_keep(c->frame, e, &c->writer, out);
    return err;
}

static enum sink_result write_event(struct response_sink *s, const struct ai_event *e)
{
    struct ai_call *c = CONTAINER_OF(s, struct ai_call, sink);
    struct buf *out = &c->written;
    if (!out->cap)
        buf_shelf_take(&c->rq->env->shelf, out);
    if (write_anew(c, e, out))
        return SINK_CLOSED;
    bool more = c->fed.ptr && out->len < WRITTEN_MAX; /* may follow from the same read */
    return more || !out->len ? SINK_OK : send_written(c);
}

const struct response_ops ai_stream_sink = {.event = write_event};

/* Once for a call: of a stream that is silent before its first word, the head alone goes out. */
static enum ai_stream_result begin_head(struct ai_call *c)
{
    struct http_header headers[ARRAY_LEN(c->pass) + 3];
    size_t n = 0;
    if (c->headed)
        return AI_STREAM_ON;
    for (size_t i = 0; i < c->pass_count; i++)
        if (c->native || !slice_eq(c->pass[i].name, SLICE("content-type")))
            headers[n++] = c->pass[i];
    if (!c->native)
        headers[n++] =
            (struct http_header){SLICE("content-type"), ai_stream_type(c->endpoint->dialect)};
    headers[n++] = (struct http_header){SLICE("cache-control"), SLICE("no-cache")};
    if (c->notice.len)
        headers[n++] = (struct http_header){SLICE("x-gatehouse-notice"), c->notice};
    c->headed = true;
    return result_of(c, response_begin(c->rq, c->status, headers, n, UINT64_MAX));
}

static enum ai_stream_result begin(struct ai_call *c)
{
    ai_call_move(c, AI_CALL_STREAMING);
    exchange_first(c->exchange);
    enum ai_stream_result r = begin_head(c);
    if (r == AI_STREAM_ON)
        r = write_bytes(c, buf_slice(&c->opening));
    if (r == AI_STREAM_ON && c->decoded && c->started)
        r = result_of(c, response_event(c->rq, &(struct ai_event){.kind = AI_START}));
    return r;
}

/* What opened it is kept back: another target may still take its place. */
static enum ai_stream_result keep_waiting(struct ai_call *c)
{
    enum ai_stream_result r = begin_head(c);
    return r == AI_STREAM_ON ? write_bytes(c, c->endpoint->dialect->keep_alive) : r;
}

/* ---- how it may end ---- */

static enum ai_stream_result failed(struct ai_call *c, enum refusal_id id, struct slice code,
                                    struct slice detail)
{
    c->failure =
        (struct ai_failure){.refusal = id, .class = FAILURE_5XX, .code = code, .detail = detail};
    return c->state == AI_CALL_OPENING ? AI_STREAM_FAILED : AI_STREAM_BROKEN;
}

static enum ai_stream_result failed_by(struct ai_call *c, const struct ai_fault *f)
{
    c->limited = c->limited || f->verdict == AI_LIMITED;
    ai_usage_merge(&c->usage, &f->usage);
    enum ai_stream_result r =
        failed(c, REFUSAL_UPSTREAM, SLICE("error_in_stream"),
               f->text.len ? f->text : SLICE("it began its stream with an error"));
    c->failure.class = ai_failure_class(f->verdict, 500);
    return r;
}

static enum ai_stream_result see_last(struct ai_call *c, struct slice last)
{
    if (c->state == AI_CALL_OPENING)
        return failed(c, REFUSAL_UPSTREAM, SLICE("empty"),
                      SLICE("its stream ended before a response had begun"));
    /* What waits for money is not waited for any more: all of it was written. */
    if (c->state == AI_CALL_STARVED)
        ai_call_move(c, AI_CALL_STREAMING);
    ai_call_move(c, AI_CALL_LINGERING);
    c->last = arena_copy(c->rq->arena, last);
    timer_start(&c->patience, LINGER_MS);
    return AI_STREAM_ON;
}

/* While the lease server's word is awaited, the stream waits, and so does its upstream. */
static enum ai_stream_result look_at_money(struct ai_call *c)
{
    bool waits;
    bool used_up = ai_cost_is_used_up(c, &waits);
    if (c->state == AI_CALL_STARVED && !waits) {
        ai_call_move(c, AI_CALL_STREAMING);
        exchange_release(c->exchange, EXCHANGE_HOLD_MONEY);
    } else if (c->state == AI_CALL_STREAMING && waits) {
        ai_call_move(c, AI_CALL_STARVED);
        exchange_hold(c->exchange, EXCHANGE_HOLD_MONEY);
    }
    return used_up && !waits ? AI_STREAM_USED_UP : AI_STREAM_ON;
}

/* ---- as it came ---- */

/* Providers put `"usage":null` into every chunk once usage is asked for. A client that did not ask
 * gets the chunk without it. In an event of several data lines the member may stand across them:
 * such an event, which no provider sends, stays as it is. */
static bool has_unasked(const struct sse_event *e, const struct ai_glance *g)
{
    const char *from = e->raw.ptr, *to = from + e->raw.len;
    return g->unasked.ptr && e->data.ptr >= from && e->data.ptr < to;
}

static enum ai_stream_result write_run(struct ai_call *c)
{
    struct slice run = c->run;
    c->run = SLICE_NONE;
    return write_bytes(c, run);
}

static bool is_being_fed(const struct ai_call *c, struct slice bytes)
{
    return bytes.ptr >= c->fed.ptr && bytes.ptr + bytes.len <= c->fed.ptr + c->fed.len;
}

/* What came together leaves together, in one piece. */
static enum ai_stream_result write_in_order(struct ai_call *c, struct slice bytes)
{
    if (is_being_fed(c, bytes)) {
        sse_run_join(&c->run, bytes);
        return AI_STREAM_ON;
    }
    enum ai_stream_result r = write_run(c);
    return r == AI_STREAM_ON ? write_bytes(c, bytes) : r;
}

static enum ai_stream_result forward(struct ai_call *c, struct slice bytes)
{
    if (c->state != AI_CALL_OPENING)
        return write_in_order(c, bytes);
    if (!buf_append(&c->opening, bytes))
        return AI_STREAM_ON;
    enum ai_stream_result r = begin(c); /* more than opens a stream */
    return r == AI_STREAM_ON ? write_bytes(c, bytes) : r;
}

static void cut_out(struct slice raw, struct slice part, struct slice *front, struct slice *rest)
{
    size_t at = (size_t)(part.ptr - raw.ptr);
    *front = slice_first(raw, at);
    *rest = slice_from(raw, at + part.len);
}

/* With marks behind what its provider keeps; .ptr NULL: it goes on as it came. */
static struct slice marked(struct ai_call *c, struct slice raw)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    struct buf *out = &c->rq->env->scratch;
    if (!c->observed || !d->mark_event)
        return SLICE_NONE;
    buf_clear(out);
    return d->mark_event(&c->writer.to, raw, out) ? SLICE_NONE : buf_slice(out);
}

static enum ai_stream_result forward_event(struct ai_call *c, const struct sse_event *e,
                                           const struct ai_glance *g)
{
    struct slice with_marks = marked(c, e->raw);
    if (with_marks.ptr && !slice_eq(with_marks, e->raw)) {
        c->likeness.before = 0;
        return forward(c, with_marks);
    }
    if (!has_unasked(e, g))
        return forward(c, e->raw);
    struct buf *out = &c->rq->env->scratch;
    struct slice front, rest;
    cut_out(e->raw, g->unasked, &front, &rest);
    buf_clear(out);
    if (!is_being_fed(c, e->raw) && !buf_append(out, front) && !buf_append(out, rest))
        return forward(c, buf_slice(out));
    enum ai_stream_result r = forward(c, front); /* moves no byte of the rest */
    return r == AI_STREAM_ON ? forward(c, rest) : r;
}

/* The provider's own error passes where it has the dialect's form, else it is written anew. */
static enum ai_stream_result forward_error(struct ai_call *c, const struct sse_event *e,
                                           const struct ai_glance *g)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    struct buf *out = &c->rq->env->scratch;
    struct ai_fault fault;
    if (d->is_error(e->data))
        return forward_event(c, e, g);
    c->provider->read_error(500, e->data, c->rq->arena, &fault);
    buf_clear(out);
    if (d->write_stream_error(out, &(struct ai_error){.status = AI_UPSTREAM_FAILED,
                                                      .message = fault.text,
                                                      .code = fault.code,
                                                      .request_id = ai_call_id(c)}))
        return AI_STREAM_ON;
    return write_in_order(c, buf_slice(out));
}

static void note(struct ai_call *c, const struct sse_event *e, const struct ai_glance *g)
{
    c->events++;
    if (g->has_usage)
        ai_usage_merge(&c->usage, &g->usage);
    c->finished = c->finished || g->finishes;
    ai_meter_add(&c->meter, g->words);
    if (c->provider->identify && ai_cost_is_limited(c))
        c->provider->identify(e->data, c->rq->arena, &c->writer);
}

static void glance(struct ai_call *c, const struct sse_event *e, struct ai_glance *ret)
{
    c->provider->glance(e->data, c->request.wants_usage, ret);
    ai_likeness_remember(&c->likeness, e, ret, NULL);
}

/* ---- observed: decoded to be accounted for ---- */

static struct slice json_quoted(struct ai_call *c, struct slice text)
{
    struct buf *out = &c->rq->env->scratch;
    buf_clear(out);
    if (buf_json_string(out, text))
        return SLICE_NONE;
    return arena_copy(c->rq->arena, buf_slice(out));
}

static void note_start(struct ai_call *c, const struct ai_event *e)
{
    c->started = true;
    c->writer.id = json_quoted(c, e->id);
    c->writer.model = json_quoted(c, e->name);
    c->writer.created = arena_printf(c->rq->arena, "%lld", (long long)time(NULL));
}

/* What was decoded from one event of the provider's. */
struct decoded {
    size_t count;
    struct ai_event first;
};

static void note_decoded(struct decoded *d, const struct ai_event *e)
{
    if (d->count++ == 0)
        d->first = *e;
}

/* The next one may differ in its words alone. */
static void remember(struct ai_call *c, const struct sse_event *e, const struct decoded *d)
{
    struct ai_glance g = {0};
    if (d->count == 1 && ai_event_is_words(&d->first)) {
        g.text = d->first.text;
        g.words = g.text.len;
    }
    ai_likeness_remember(&c->likeness, e, &g, &d->first);
}

struct observation {
    struct ai_call *c;
    struct ai_glance g;
    bool says; /* something of the model's */
    struct decoded decoded;
};

static enum err observe_event(void *arg, const struct ai_event *e)
{
    struct observation *o = arg;
    struct ai_call *c = o->c;
    note_decoded(&o->decoded, e);
    switch (e->kind) {
    case AI_START:
        note_start(c, e);
        break;
    case AI_USAGE:
        o->g.has_usage = true;
        ai_usage_merge(&o->g.usage, &e->usage);
        break;
    case AI_ERROR:
        o->g.fails = true;
        break;
    case AI_END:
        o->g.ends = true;
        break;
    case AI_OTHER:
    case AI_BLOCK_END:
        break;
    case AI_FINISH:
        o->g.finishes = true;
        o->says = true;
        break;
    case AI_TEXT:
    case AI_REASONING:
    case AI_REFUSAL:
    case AI_TOOL_START:
    case AI_TOOL_ARGUMENTS:
    case AI_TOOL_END:
    case AI_CITATION:
    case AI_MEDIA:
        o->g.words += e->text.len;
        o->says = true;
        break;
    }
    if (c->endpoint->dialect->note_event)
        c->endpoint->dialect->note_event(&c->writer, e);
    return ERR_OK;
}

/* What a glance would have found. */
static enum err observe(struct ai_call *c, const struct sse_event *e, struct ai_glance *ret)
{
    struct observation o = {.c = c, .g = {.usage = AI_USAGE_NONE}};
    enum err err = c->provider->decode(&c->decoder, e, observe_event, &o);
    o.g.usage_alone = o.g.has_usage && !o.g.ends && o.decoded.count == 1;
    o.g.opens = !o.says && !o.g.fails && !o.g.ends;
    *ret = o.g;
    remember(c, e, &o.decoded);
    return err;
}

static enum ai_stream_result relay_event(struct ai_call *c, const struct sse_event *e)
{
    struct ai_glance g = {0};
    enum ai_stream_result r = AI_STREAM_ON;
    if (c->observed && observe(c, e, &g))
        return failed(c, REFUSAL_UPSTREAM, SLICE("unreadable"),
                      SLICE("its stream could not be read"));
    if (!c->observed && e->has_data)
        glance(c, e, &g);
    if (g.ends) {
        struct slice last = marked(c, e->raw);
        if (c->observed)
            note(c, e, &g);
        return see_last(c, last.ptr ? last : e->raw);
    }
    note(c, e, &g);
    if (g.usage_alone && !c->request.wants_usage)
        return AI_STREAM_ON;
    if (c->state == AI_CALL_OPENING && g.fails) {
        struct ai_fault fault;
        c->provider->read_error(500, e->data, c->rq->arena, &fault);
        return failed_by(c, &fault);
    }
    c->started = c->started || e->has_data;
    if (c->state == AI_CALL_OPENING && e->has_data && !g.opens)
        r = begin(c);
    if (r != AI_STREAM_ON)
        return r;
    c->failed_in = c->failed_in || g.fails;
    r = g.fails ? forward_error(c, e, &g) : forward_event(c, e, &g);
    return r == AI_STREAM_ON && c->state != AI_CALL_OPENING ? look_at_money(c) : r;
}

/* An event of which only the words are new. */
static struct ai_alike next_alike(const struct ai_call *c, struct slice bytes)
{
    bool running = c->state == AI_CALL_STREAMING || c->state == AI_CALL_STARVED;
    bool unidentified = !c->writer.id.ptr && ai_cost_is_limited(c);
    if (!running || unidentified || !sse_reader_is_between(&c->sse))
        return (struct ai_alike){0};
    return ai_likeness_match(&c->likeness, bytes);
}

static enum ai_stream_result relay_alike(struct ai_call *c, struct slice raw,
                                         const struct ai_alike *a)
{
    struct slice front = raw, rest = SLICE_NONE;
    c->events++;
    ai_meter_add(&c->meter, a->words.len);
    if (a->unasked.len)
        cut_out(raw, a->unasked, &front, &rest);
    enum ai_stream_result r = write_in_order(c, front);
    if (r == AI_STREAM_ON && rest.len)
        r = write_in_order(c, rest);
    return r == AI_STREAM_ON ? look_at_money(c) : r;
}

/* ---- decoded ---- */

struct feeding {
    struct ai_call *c;
    enum ai_stream_result result;
    struct slice raw; /* of an event that stands alone in what the provider sent */
    struct decoded decoded;
};

static void note_usage(struct ai_call *c, const struct ai_usage *u)
{
    ai_usage_merge(&c->usage, u);
    enum ai_counted counted = ai_usage_count(&c->usage, &c->writer.usage);
    if (counted == AI_COUNTED_PROMPT)
        c->writer.usage.output = ai_cost_so_far(c).output;
    else if (counted == AI_COUNTED_NOTHING)
        c->writer.usage = ai_cost_so_far(c);
}

static enum ai_stream_result end_event(struct ai_call *c, const struct ai_event *e)
{
    struct buf *out = &c->rq->env->scratch;
    struct token_count tokens;
    if (ai_usage_count(&c->usage, &tokens) != AI_COUNTED_ALL)
        c->writer.usage = ai_cost_so_far(c);
    buf_clear(out);
    if (c->endpoint->dialect->write_event(&c->writer, e, out))
        return AI_STREAM_CLOSED;
    return see_last(c, buf_slice(out));
}

/* Where the provider counts at the end alone, the first event has a rough number. The last one has
 * what was counted. */
static void tell_prompt(struct ai_call *c)
{
    struct token_count counted;
    if (c->endpoint->dialect->tells_prompt &&
        ai_usage_count(&c->usage, &counted) == AI_COUNTED_NOTHING)
        c->writer.usage = (struct token_count){.input = ai_cost_prompt_guess(c)};
}

static enum ai_stream_result pass_event(struct ai_call *c, const struct ai_event *e)
{
    if (c->state == AI_CALL_OPENING) {
        tell_prompt(c);
        enum ai_stream_result r = begin(c);
        if (r != AI_STREAM_ON)
            return r;
    }
    enum ai_stream_result r = result_of(c, response_event(c->rq, e));
    return r == AI_STREAM_ON ? look_at_money(c) : r;
}

static enum ai_stream_result take_event(struct ai_call *c, const struct ai_event *e)
{
    c->events++;
    switch (e->kind) {
    case AI_START:
        note_start(c, e);
        return AI_STREAM_ON; /* goes out with the first event that is the model's */
    case AI_USAGE:
        note_usage(c, &e->usage);
        return AI_STREAM_ON;
    case AI_TEXT:
    case AI_REASONING:
    case AI_REFUSAL:
    case AI_TOOL_ARGUMENTS:
        ai_meter_add(&c->meter, e->text.len);
        break;
    case AI_FINISH:
        c->finished = true;
        break;
    case AI_ERROR:
        if (c->state == AI_CALL_OPENING)
            return failed_by(
                c,
                &(struct ai_fault){.verdict = e->verdict, .text = e->text, .usage = AI_USAGE_NONE});
        c->failed_in = true;
        break;
    case AI_END:
        return end_event(c, e);
    case AI_OTHER:
        return AI_STREAM_ON;
    case AI_TOOL_START:
    case AI_TOOL_END:
    case AI_CITATION:
    case AI_MEDIA:
    case AI_BLOCK_END:
        break;
    }
    return pass_event(c, e);
}

/* What the dialect needs at the stream's end is gathered beside it. The provider's own error is no
 * part of it, and is told as an event. */
static enum ai_stream_result keep_event(struct ai_call *c, const struct ai_event *e)
{
    if (!c->endpoint->dialect->keeps_whole || e->kind == AI_ERROR)
        return AI_STREAM_ON;
    enum err err = c->whole ? ai_assembly_add(c->whole, e) : ERR_NOMEM;
    return err ? failed(c, REFUSAL_UPSTREAM, slice_str(err_name(err)),
                        SLICE("its stream is larger than allowed here"))
               : AI_STREAM_ON;
}

static enum err on_model_event(void *arg, const struct ai_event *e)
{
    struct feeding *f = arg;
    struct ai_event with_raw = *e;
    with_raw.raw = f->raw;
    note_decoded(&f->decoded, e);
    f->result = keep_event(f->c, e);
    if (f->result == AI_STREAM_ON && f->c->state != AI_CALL_LINGERING)
        f->result = take_event(f->c, &with_raw);
    return f->result == AI_STREAM_ON ? ERR_OK : ERR_CANCELLED;
}

static enum err count_event(void *arg, const struct ai_event *e)
{
    (void)e;
    ++*(size_t *)arg;
    return ERR_OK;
}

/* Where the client speaks the provider's dialect, what came alone goes on as it came. */
static struct slice raw_of(const struct ai_call *c, const struct sse_event *e)
{
    struct ai_decoder d = c->decoder;
    size_t n = 0;
    if (!c->native || c->provider->decode(&d, e, count_event, &n))
        return SLICE_NONE;
    return n == 1 ? e->raw : SLICE_NONE;
}

static enum ai_stream_result decode_event(struct ai_call *c, const struct sse_event *e)
{
    struct feeding f = {.c = c, .result = AI_STREAM_ON, .raw = raw_of(c, e)};
    struct ai_sealing s = {on_model_event, &f};
    enum err err = ai_call_seals(c) ? c->provider->decode(&c->decoder, e, ai_event_seal, &s)
                                    : c->provider->decode(&c->decoder, e, on_model_event, &f);
    remember(c, e, &f.decoded);
    if (!err || err == ERR_CANCELLED)
        return f.result;
    return failed(c, REFUSAL_UPSTREAM, slice_str(err_name(err)),
                  SLICE("its stream could not be read"));
}

static enum ai_stream_result decode_alike(struct ai_call *c, struct slice raw,
                                          const struct ai_alike *a)
{
    bool heard = response_is_heard(c->rq, &c->sink); /* and may say other words then */
    const struct ai_event e = {.kind = c->likeness.kind,
                               .choice = c->likeness.choice,
                               .block = c->likeness.block,
                               .text = a->words,
                               .plain = a->plain && !heard,
                               .raw = c->native ? raw : SLICE_NONE};
    enum ai_stream_result r = keep_event(c, &e);
    return r == AI_STREAM_ON ? take_event(c, &e) : r;
}

/* ---- from the upstream ---- */

static enum err next_event(struct ai_call *c, struct slice *bytes, struct sse_event *ret)
{
    switch (c->provider->framing) {
    case AI_FRAMES_AWS:
        return aws_event_next(&c->sse.raw, c->sse.max, bytes, ret);
    case AI_FRAMES_LINES:
        return json_lines_next(&c->sse.raw, c->sse.max, bytes, ret);
    case AI_FRAMES_SSE:
        break;
    }
    return sse_reader_next(&c->sse, bytes, ret);
}

/* What ends an event that a stream's end has cut; a binary message cannot be ended. */
static struct slice end_of_rest(const struct ai_call *c)
{
    switch (c->provider->framing) {
    case AI_FRAMES_AWS:
        break;
    case AI_FRAMES_LINES:
        return json_lines_is_begun(&c->sse.raw) ? SLICE("\n") : SLICE("");
    case AI_FRAMES_SSE:
        return sse_reader_rest(&c->sse).len ? SLICE("\n\n") : SLICE("");
    }
    return SLICE("");
}

static enum ai_stream_result take_sse_event(struct ai_call *c, const struct sse_event *e)
{
    if (c->state == AI_CALL_LINGERING)
        return AI_STREAM_ON; /* nothing belongs behind the last event */
    return c->decoded ? decode_event(c, e) : relay_event(c, e);
}

/* Behind an event that money is awaited for, nothing is read: *bytes is what is left then.
 * to_the_end: all of it is, since nothing more will come. */
/* Comments and pings do not put it off, nor do several choices, of which one may be silent for
 * long. */
static void grant_grace(struct ai_call *c, const struct sse_event *e)
{
    bool says = e->has_data && !slice_eq(e->event, SLICE("ping"));
    if (c->finished && says && c->state == AI_CALL_STREAMING && c->request.choices == 1)
        timer_start(&c->patience, ai_stream_grace_ms);
}

static enum ai_stream_result feed_all(struct ai_call *c, struct slice *bytes, bool to_the_end,
                                      enum err *e)
{
    enum ai_stream_result r = AI_STREAM_ON;
    struct sse_event event;
    while (r == AI_STREAM_ON && (c->state != AI_CALL_STARVED || to_the_end)) {
        struct ai_alike a = next_alike(c, *bytes);
        if (a.len) {
            struct slice raw = slice_first(*bytes, a.len);
            *bytes = slice_from(*bytes, a.len);
            r = c->decoded ? decode_alike(c, raw, &a) : relay_alike(c, raw, &a);
            continue;
        }
        *e = next_event(c, bytes, &event);
        if (*e)
            break;
        r = take_sse_event(c, &event);
        if (r == AI_STREAM_ON)
            grant_grace(c, &event);
    }
    return r;
}

/* Also where a later event of the same read was refused, or could not be written. The memory is
 * another stream's until the next read. */
static enum ai_stream_result write_events(struct ai_call *c)
{
    enum ai_stream_result r = write_bytes(c, SLICE_NONE);
    if (r != AI_STREAM_OVER)
        buf_shelf_give(&c->rq->env->shelf, &c->written);
    return r;
}

static enum ai_stream_result feed(struct ai_call *c, struct slice data, bool to_the_end)
{
    enum err e = ERR_OK;
    c->fed = data;
    c->run = SLICE_NONE;
    enum ai_stream_result r = feed_all(c, &data, to_the_end, &e);
    bool heard = r != AI_STREAM_OVER && r != AI_STREAM_CLOSED && r != AI_STREAM_REFUSED;
    enum ai_stream_result written = AI_STREAM_ON;
    if (c->decoded)
        written = r == AI_STREAM_OVER ? AI_STREAM_ON : write_events(c);
    else if (heard)
        written = write_run(c);
    c->fed = c->run = SLICE_NONE;
    if (written == AI_STREAM_OVER || (written != AI_STREAM_ON && heard))
        return written;
    if (r != AI_STREAM_ON || e == ERR_AGAIN)
        return r;
    if (!e)
        e = buf_append(&c->unread, data);
    if (!e)
        return AI_STREAM_ON;
    return failed(c, REFUSAL_UPSTREAM, slice_str(err_name(e)),
                  SLICE("an event of its stream is larger than allowed here"));
}

static enum ai_stream_result feed_unread(struct ai_call *c, bool to_the_end)
{
    struct buf data = c->unread;
    buf_init(&c->unread, data.max);
    enum ai_stream_result r = feed(c, buf_slice(&data), to_the_end);
    buf_fini(&data);
    return r;
}

enum ai_stream_result ai_stream_feed(struct ai_call *c, struct slice data)
{
    if (c->unread.len == 0)
        return feed(c, data, false);
    enum err e = buf_append(&c->unread, data); /* it was under way when the upstream was held */
    return e ? failed(c, REFUSAL_UPSTREAM, slice_str(err_name(e)),
                      SLICE("too much of its stream came while it was held"))
             : AI_STREAM_ON;
}

enum ai_stream_result ai_stream_on_money(struct ai_call *c)
{
    enum ai_stream_result r = look_at_money(c);
    return r == AI_STREAM_ON && c->state == AI_CALL_STREAMING ? feed_unread(c, false) : r;
}

/* OpenAI's protocol counts at the end; others at the beginning too. */
static bool says_usage(const struct ai_call *c)
{
    struct token_count tokens;
    return c->native && !c->observed && ai_usage_count(&c->usage, &tokens) == AI_COUNTED_ALL;
}

enum ai_stream_result ai_stream_ended(struct ai_call *c)
{
    enum ai_stream_result r = feed_unread(c, true);
    if (r == AI_STREAM_ON && c->state != AI_CALL_LINGERING)
        r = feed(c, end_of_rest(c), true); /* its last event had no end */
    if (r != AI_STREAM_ON || c->state == AI_CALL_LINGERING)
        return r == AI_STREAM_ON ? AI_STREAM_COMPLETE : r;
    if (c->state == AI_CALL_OPENING)
        return failed(c, REFUSAL_UPSTREAM, SLICE("empty"),
                      SLICE("its stream ended before a response had begun"));
    if (!c->finished && !c->failed_in && !says_usage(c))
        return failed(c, REFUSAL_UPSTREAM, SLICE("closed"), SLICE("it broke off in mid-stream"));
    return c->failed_in ? AI_STREAM_COMPLETE : ai_stream_end_for_it(c);
}

enum ai_stream_result ai_stream_end_for_it(struct ai_call *c)
{
    enum ai_stream_result r = AI_STREAM_ON;
    if (c->decoded)
        r = end_event(c, &(struct ai_event){.kind = AI_END});
    else
        c->last = c->endpoint->dialect->stream_end;
    return r == AI_STREAM_ON ? AI_STREAM_COMPLETE : r;
}

enum ai_stream_result ai_stream_stop_at_length(struct ai_call *c)
{
    struct token_count so_far = ai_cost_so_far(c);
    struct buf *out = &c->rq->env->scratch;
    buf_clear(out);
    if (c->endpoint->dialect->write_length_stop(&c->writer, &so_far, out))
        return AI_STREAM_ON;
    return write_bytes(c, buf_slice(out));
}

enum ai_stream_result ai_stream_on_beat(struct ai_call *c)
{
    enum ai_stream_result r = AI_STREAM_ON;
    timer_start(&c->beat, ai_stream_beat_ms);
    if (c->state == AI_CALL_OPENING)
        r = c->started && !response_is_full(c->rq) ? keep_waiting(c) : AI_STREAM_ON;
    else if (c->events == c->events_at_beat && !response_is_full(c->rq))
        r = write_bytes(c, c->endpoint->dialect->keep_alive);
    c->events_at_beat = c->events;
    return r;
}

enum err ai_stream_decode_all(struct ai_call *c, struct slice bytes, ai_event_fn *fn, void *arg)
{
    struct sse_event event;
    bool ended = false;
    enum err e = ERR_OK;
    c->decoder = ai_call_decoder(c);
    while (!e) {
        e = next_event(c, &bytes, &event);
        if (!e)
            e = c->provider->decode(&c->decoder, &event, fn, arg);
        if (e != ERR_AGAIN || ended)
            continue;
        ended = true; /* its last event may have no end */
        bytes = end_of_rest(c);
        e = ERR_OK;
    }
    return e == ERR_AGAIN ? ERR_OK : e;
}
