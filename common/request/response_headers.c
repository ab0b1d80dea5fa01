/*
 * response_headers — the headers that every response has (product.md, Answer headers), and the
 * headers of a refusal that say when to try again.
 *
 * Written by hand: these run for each request, and printf would cost more than the gates.
 */
#include "common/base/clock.h"
#include "common/net/origin_list.h"
#include "common/request/request_private.h"
#include "common/scope/meter.h"

struct adding {
    struct http_header *out;
    size_t max, n;
    struct header_texts *texts;
};

static void add(struct adding *a, struct slice name, struct slice value)
{
    if (value.len && a->n < a->max)
        a->out[a->n++] = (struct http_header){name, value};
}

static struct slice keep(struct header_texts *texts, const char *text, size_t len)
{
    if (len > sizeof(texts->text) - texts->used)
        return SLICE_NONE;
    char *at = texts->text + texts->used;
    memcpy(at, text, len);
    texts->used += len;
    return slice_of(at, len);
}

static struct slice number(struct header_texts *texts, uint64_t n)
{
    char text[SLICE_U64_MAX];
    size_t len = slice_write_u64(text + sizeof(text), n);
    return keep(texts, text + sizeof(text) - len, len);
}

/* OpenAI's form: "6ms", "12s", "1m30s" (dialects.md 1.9) */
static struct slice span_of_time(struct header_texts *texts, uint64_t us)
{
    char text[3 * SLICE_U64_MAX];
    char *p = text + sizeof(text);
    uint64_t ms = (us + 999) / 1000;
    if (ms < 1000) {
        *--p = 's';
        *--p = 'm';
        p -= slice_write_u64(p, ms);
    } else {
        uint64_t s = (ms + 999) / 1000;
        *--p = 's';
        p -= slice_write_u64(p, s % 60);
        if (s >= 60) {
            *--p = 'm';
            p -= slice_write_u64(p, s / 60);
        }
    }
    return keep(texts, p, (size_t)(text + sizeof(text) - p));
}

/* Anthropic's form: a moment, to the second */
static struct slice moment(struct header_texts *texts, int64_t wall_us)
{
    char text[CLOCK_TEXT_MAX], *end = text + sizeof("2026-11-22T17:29:15") - 1;
    clock_format(wall_us + 999999, text);
    *end++ = 'Z';
    return keep(texts, text, (size_t)(end - text));
}

static void add_rates(struct adding *a, struct request *rq, const struct header_names *names,
                      uint64_t took_us)
{
    const struct policy_key *key = rq->who.key;
    if (!key || !rq->session.known || key->scope.limits.rpm == 0)
        return;
    struct meter_state s;
    meter_look(key->scope.meter, key->scope.limits.rpm, rq->started_us + took_us, &s);
    add(a, slice_str(names->limit), number(a->texts, s.limit));
    add(a, slice_str(names->remaining), number(a->texts, s.remaining));
    add(a, slice_str(names->reset),
        names->reset_is_time ? moment(a->texts, rq->started_at_us + (int64_t)(took_us + s.reset_us))
                             : span_of_time(a->texts, s.reset_us));
}

static void add_cost(struct adding *a, const struct request *rq)
{
    char text[MONEY_TEXT_MAX];
    /* while a response only begins, what earlier targets cost is not all */
    if (!rq->ended_us || !rq->record.has_tokens || !rq->record.cost_known)
        return;
    struct slice cost = money_format(rq->record.cost, text);
    add(a, SLICE("x-gatehouse-cost-usd"), keep(a->texts, cost.ptr, cost.len));
}

/* What a web page may read: Fetch Standard, CORS protocol. */
static void add_cors(struct adding *a, const struct request *rq)
{
    if (!rq->env->allowed_origins)
        return;
    struct slice origin = http_head_find(rq->head, SLICE("origin"));
    if (!origin.len || !origin_list_has(rq->env->allowed_origins, origin))
        return;
    add(a, SLICE("access-control-allow-origin"), origin);
    add(a, SLICE("access-control-expose-headers"), SLICE("*"));
    add(a, SLICE("vary"), SLICE("origin"));
}

static const struct header_names *names_of(const struct request *rq)
{
    static const struct header_names usual = {.limit = "x-ratelimit-limit-requests",
                                              .remaining = "x-ratelimit-remaining-requests",
                                              .reset = "x-ratelimit-reset-requests"};
    const struct header_names *own = rq->gate->header_names ? rq->gate->header_names(rq) : NULL;
    return own ? own : &usual;
}

size_t headers_common(struct request *rq, struct http_header *out, size_t max,
                      struct header_texts *texts)
{
    struct adding a = {.out = out, .max = max, .texts = texts};
    const struct call_record *t = &rq->record;
    const struct header_names *names = names_of(rq);
    texts->used = 0;

    struct slice id = slice_of(rq->request_id, sizeof(rq->request_id) - 1);
    add(&a, SLICE("x-gatehouse-request-id"), id);
    if (names->id)
        add(&a, slice_str(names->id), id);
    if (rq->session.known)
        add(&a, SLICE("x-gatehouse-session"), slice_of(rq->session.id, SESSION_ID_LEN));
    add(&a, SLICE("x-gatehouse-model"), t->ai.model);
    add(&a, SLICE("x-gatehouse-provider"), t->ai.provider);
    if (t->attempt_count)
        add(&a, SLICE("x-gatehouse-attempts"), number(texts, t->attempt_count));
    if (t->ai.cache)
        add(&a, SLICE("x-gatehouse-cache"), slice_str(t->ai.cache));
    add_cost(&a, rq);
    add(&a, SLICE("x-gatehouse-overhead-us"), number(texts, request_overhead_us(rq)));
    add_rates(&a, rq, names, request_took_us(rq));
    add_cors(&a, rq);
    return a.n;
}

/* retry-after-ms beside it, because that is what the SDKs look at first (dialects.md 1.8) */
size_t headers_refusal(struct request *rq, struct http_header *out, size_t max,
                       struct header_texts *texts)
{
    struct adding a = {.out = out, .max = max, .texts = texts};
    unsigned after = rq->refusal.retry_after_s;
    if (after) {
        add(&a, SLICE("retry-after"), number(texts, after));
        add(&a, SLICE("retry-after-ms"), number(texts, (uint64_t)after * 1000));
    }
    if (rq->refusal.no_retry)
        add(&a, SLICE("x-should-retry"), SLICE("false"));
    if (rq->gate->refusal_headers)
        a.n += rq->gate->refusal_headers(rq, out + a.n, max - a.n);
    return a.n;
}
