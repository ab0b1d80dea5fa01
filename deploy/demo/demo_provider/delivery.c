/*
 * delivery — pieces as far as the network takes them, and the end.
 */
#include "deploy/demo/demo_provider/delivery.h"

#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/log.h"

#define CUT_MS 20 /* what was written still leaves */

static struct delivery *delivery_of(const struct visit *v)
{
    return v->state;
}

void delivery_init(struct visit *v, const struct delivery_words *words)
{
    struct delivery *d = delivery_of(v);
    d->words = words;
    d->id = ++provider_of(v)->calls;
    buf_init(&d->out, LIMIT_AI_ANSWER);
}

void delivery_fini(struct delivery *d)
{
    buf_fini(&d->out);
}

bool delivery_limit(struct delivery *d, uint64_t most)
{
    d->pieces = d->scenario.chunks < most ? d->scenario.chunks : most;
    return d->scenario.chunks > most;
}

/* ---- what is said ---- */

const char *delivery_word(uint64_t piece)
{
    static const char *const words[] = {"The ",   "demo ",     "provider ", "answers ",
                                        "every ", "question ", "with ",     "the ",
                                        "same ",  "few ",      "words. "};
    return words[piece % ARRAY_LEN(words)];
}

void delivery_piece(const struct delivery *d, uint64_t piece, char out[static DELIVERY_PIECE])
{
    uint64_t bytes =
        d->scenario.bytes < DELIVERY_PIECE - 1 ? d->scenario.bytes : DELIVERY_PIECE - 1;
    if (!bytes) {
        snprintf(out, DELIVERY_PIECE, "%s", delivery_word(piece));
        return;
    }
    memset(out, 'a' + (int)(piece % 26), bytes);
    out[bytes] = '\0';
}

size_t delivery_bytes_of(const json_t *part)
{
    struct buf text;
    buf_init(&text, LIMIT_AI_BODY);
    size_t n = part && json_write(part, &text) == ERR_OK ? text.len : 0;
    buf_fini(&text);
    return n;
}

/* ---- the connection is cut behind what was written ---- */

static void on_cut_timer(struct timer *timer)
{
    http_response_abort(CONTAINER_OF(timer, struct visit, timer)->x);
}

static void cut_soon(struct visit *v)
{
    v->on_drain = NULL;
    timer_init(&v->timer, serve_loop(v->serve), on_cut_timer);
    timer_start(&v->timer, CUT_MS);
}

/* ---- plain ---- */

static void note_spoken(const struct visit *v)
{
    const struct delivery *d = delivery_of(v);
    ledger_sent(provider_of(v)->ledger, d->entry, (uint32_t)d->words->spoken(v));
}

static void send_half(struct visit *v)
{
    struct delivery *d = delivery_of(v);
    struct http_header type = {SLICE("content-type"), SLICE("application/json")};
    enum err e = http_response_begin(v->x, 200, &type, 1, d->out.len);
    if (!e)
        e = http_response_write(v->x, slice_first(buf_slice(&d->out), d->out.len / 2));
    log_debug(NULL, "cut", "written=%s", err_name(e));
    cut_soon(v);
}

static void send_whole(struct visit *v)
{
    struct delivery *d = delivery_of(v);
    enum err e = d->words->whole(v);
    note_spoken(v);
    if (e) {
        http_response_abort(v->x);
    } else if (d->scenario.cut > 0) {
        send_half(v);
    } else { /* the visit may be over when visit_answer returns */
        ledger_complete(provider_of(v)->ledger, d->entry);
        visit_answer(v, 200, "application/json", buf_slice(&d->out));
    }
}

/* ---- streamed ---- */

/* With no pause between pieces all of them, as far as the network takes. */
static void say_on(struct visit *v)
{
    struct delivery *d = delivery_of(v);
    do {
        enum err e = d->words->next(v);
        note_spoken(v);
        bool over = d->sent >= d->pieces;
        if (!e)
            e = http_response_write(v->x, buf_slice(&d->out));
        buf_clear(&d->out);
        if (e) {
            http_response_abort(v->x);
            return;
        }
        if (d->scenario.cut > 0 && (over || d->sent >= d->scenario.cut)) {
            cut_soon(v);
            return;
        }
        if (over) {
            ledger_complete(provider_of(v)->ledger, d->entry);
            http_response_end(v->x);
            return;
        }
        if (http_response_is_full(v->x))
            return; /* on_drain goes on */
    } while (d->scenario.chunk_ms == 0);
    timer_start(&v->timer, d->scenario.chunk_ms);
}

static void on_chunk_timer(struct timer *timer)
{
    say_on(CONTAINER_OF(timer, struct visit, timer));
}

static void on_drain(struct visit *v)
{
    if (!timer_is_running(&v->timer))
        say_on(v);
}

static void begin_stream(struct visit *v)
{
    const struct delivery_words *words = delivery_of(v)->words;
    if (http_response_begin(v->x, 200, words->stream_headers, words->stream_header_count,
                            UINT64_MAX)) {
        http_response_abort(v->x);
        return;
    }
    timer_init(&v->timer, serve_loop(v->serve), on_chunk_timer);
    v->on_drain = on_drain;
    say_on(v);
}

/* ---- the beginning ---- */

static void respond(struct visit *v)
{
    struct delivery *d = delivery_of(v);
    uint64_t call = provider_of(v)->calls, percent = d->scenario.fail_percent;
    if (d->scenario.hang)
        return;
    /* spread evenly, so that a test knows how many of a hundred fail */
    if (call * percent / 100 != (call - 1) * percent / 100) {
        d->words->fail(v, (unsigned)d->scenario.fail_status);
        return;
    }
    d->entry = ledger_open(provider_of(v)->ledger, http_head_find(v->head, SLICE("traceparent")),
                           d->scenario.name, d->prompt_tokens, d->stream);
    if (d->stream)
        begin_stream(v);
    else
        send_whole(v);
}

static void on_delay_timer(struct timer *timer)
{
    respond(CONTAINER_OF(timer, struct visit, timer));
}

void delivery_start(struct visit *v)
{
    struct delivery *d = delivery_of(v);
    if (d->scenario.delay_ms == 0) {
        respond(v);
        return;
    }
    timer_init(&v->timer, serve_loop(v->serve), on_delay_timer);
    timer_start(&v->timer, d->scenario.delay_ms);
}
