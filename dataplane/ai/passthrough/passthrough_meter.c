/*
 * passthrough_meter — what a call of a modelled path may cost, what its response says it took, and
 * what is billed: the provider's count, else ours.
 *
 * No limit is put into the client's body: under a budget the output is reserved as far as the
 * client or the model bounds it.
 */
#include "common/base/limits.h"
#include "common/net/aws_event.h"
#include "common/net/json_lines.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_model_rules.h"
#include "dataplane/ai/passthrough/passthrough_private.h"
#include "dataplane/ai/provider/openai.h"

#define OUTPUT_MOST 131072 /* as ai_cost has it, of a model that is not known by name */

/* ---- before ---- */

static bool is_free(const struct passthrough_call *p)
{
    struct slice m = p->rq->head->method;
    if (p->endpoint)
        return p->endpoint->kind == AI_COUNT;
    /* they request nothing to be done (RFC 9110 section 9.2.1), and no provider bills them */
    return slice_eq(m, SLICE("GET")) || slice_eq(m, SLICE("HEAD"));
}

static price dearer(price a, price b)
{
    return a > b ? a : b;
}

/* Whatever part of a prompt may be billed as, and of an output. */
static void raise_to(struct price_list *to, const struct price_list *p)
{
    to->input = dearer(to->input,
                       dearer(dearer(p->input, p->audio_input),
                              dearer(dearer(p->cache_read, p->cache_write), p->cache_write_long)));
    to->output = dearer(to->output, dearer(p->output, dearer(p->audio_output, p->image_output)));
}

static bool writes(const struct passthrough_call *p)
{
    return p->endpoint->kind == AI_CHAT;
}

static bool is_priced(const struct passthrough_call *p)
{
    return p->price && p->price->base.input != PRICE_NONE &&
           (!writes(p) || p->price->base.output != PRICE_NONE);
}

static uint64_t output_ceiling(const struct passthrough_call *p)
{
    uint64_t each = p->request.output_ceiling, known = ai_model_max_output(p->request.model);
    if (!each)
        each = known ? known : OUTPUT_MOST;
    return writes(p) ? each * p->request.choices : 0;
}

/* Under a budget what cannot be priced is refused, unless the grant says that it passes. */
static enum err not_bounded(struct passthrough_call *p, const char *why)
{
    p->not_bounded = why;
    return p->unpriced_allowed ? ERR_NOT_FOUND : ERR_INVALID;
}

enum err passthrough_worst_case(struct request *rq, money *ret)
{
    struct passthrough_call *p = rq->gate_state;
    struct price_list dearest = PRICE_LIST_NONE;
    if (is_free(p))
        return ERR_NOT_FOUND;
    if (!p->endpoint)
        return not_bounded(p, "what this path costs is not known, and its grant does not say "
                              "\"unpriced\":\"allow\"");
    if (p->request.prompt.unbounded)
        return not_bounded(p, p->request.prompt.unbounded);
    if (!is_priced(p))
        return not_bounded(p, "the price of the model is not known");
    const struct token_count most = {
        .input = p->request.prompt.text + p->speaker->hidden_prompt +
                 ai_cost_media_bound(&p->request.prompt, p->request.model),
        .output = output_ceiling(p),
    };
    raise_to(&dearest, &p->price->base);
    for (size_t i = 0; i < p->price->tier_count && p->price->tiers[i].above < most.input; i++)
        raise_to(&dearest, &p->price->tiers[i].prices);
    dearest.output = dearer(dearest.output, 0);
    p->output_bound = most.output;
    return money_cost(&dearest, &most, ret);
}

/* ---- meanwhile ---- */

static bool has_type(const struct http_head *head, const char *type)
{
    struct slice wanted = slice_str(type), said = http_head_find(head, SLICE("content-type"));
    return slice_ieq(slice_first(said, wanted.len), wanted);
}

static bool is_success(unsigned status)
{
    return status >= 200 && status <= 299;
}

static bool is_stream(const struct passthrough_call *p, const struct http_head *head)
{
    switch (p->speaker->framing) {
    case AI_FRAMES_AWS:
        return has_type(head, "application/vnd.amazon.eventstream");
    case AI_FRAMES_LINES:
        return has_type(head, "application/x-ndjson");
    case AI_FRAMES_SSE:
        break;
    }
    return has_type(head, "text/event-stream");
}

void passthrough_meter_open(struct passthrough_call *p, const struct http_head *head)
{
    bool strips = p->strips;
    p->strips = false;
    bool reads = p->endpoint && p->endpoint->kind != AI_COUNT && is_success(head->status);
    if (reads && is_stream(p, head) && p->speaker->decode) {
        p->decoder = arena_zalloc(p->rq->arena, sizeof(*p->decoder));
        if (!p->decoder)
            return;
        *p->decoder = (struct ai_decoder){.arena = p->rq->arena, .model = p->request.model};
        sse_reader_init(&p->events);
        sse_reader_limit(&p->events, LIMIT_AI_EVENT);
        p->meter = METER_EVENTS;
        p->strips = strips && p->speaker->framing == AI_FRAMES_SSE;
        if (p->strips)
            buf_init(&p->shown, 2 * LIMIT_AI_EVENT + LIMIT_STREAM_HIGH);
    } else if (reads && has_type(head, "application/json")) {
        buf_init(&p->whole, LIMIT_AI_ANSWER);
        p->meter = METER_WHOLE;
    }
}

static enum err on_event(void *arg, const struct ai_event *e)
{
    struct passthrough_call *p = arg;
    if (e->kind == AI_USAGE)
        ai_usage_merge(&p->usage, &e->usage);
    if (e->kind >= AI_TEXT && e->kind <= AI_REFUSAL)
        ai_meter_add(&p->words, e->text.len);
    p->finished = p->finished || e->kind == AI_FINISH;
    p->failed = p->failed || e->kind == AI_ERROR;
    return ERR_OK;
}

static enum err next_event(struct passthrough_call *p, struct slice *bytes, struct sse_event *ret)
{
    switch (p->speaker->framing) {
    case AI_FRAMES_AWS:
        return aws_event_next(&p->events.raw, LIMIT_AI_EVENT, bytes, ret);
    case AI_FRAMES_LINES:
        return json_lines_next(&p->events.raw, LIMIT_AI_EVENT, bytes, ret);
    case AI_FRAMES_SSE:
        break;
    }
    return sse_reader_next(&p->events, bytes, ret);
}

/* What can be read no more goes on all the same: it is estimated then. */
static void stop_reading(struct passthrough_call *p)
{
    if (p->meter == METER_EVENTS)
        sse_reader_fini(&p->events);
    if (p->meter == METER_WHOLE)
        buf_fini(&p->whole);
    p->meter = METER_OFF;
}

/* Beside the event that holds the usage alone, providers put `"usage":null` into every other one.
 */
static enum err show(struct passthrough_call *p, const struct sse_event *e)
{
    struct ai_glance g = {0};
    const char *from = e->raw.ptr, *to = from + e->raw.len;
    if (e->has_data)
        openai_glance(e->data, false, &g);
    if (g.usage_alone)
        return ERR_OK;
    if (!g.unasked.ptr || e->data.ptr < from || e->data.ptr >= to)
        return buf_append(&p->shown, e->raw);
    size_t at = (size_t)(g.unasked.ptr - from);
    enum err shown = buf_append(&p->shown, slice_first(e->raw, at));
    return shown ? shown : buf_append(&p->shown, slice_from(e->raw, at + g.unasked.len));
}

/* What can be read no more goes on as it comes. */
static void show_rest(struct passthrough_call *p, struct slice data)
{
    if (p->strips &&
        (buf_append(&p->shown, sse_reader_rest(&p->events)) || buf_append(&p->shown, data)))
        p->cut = true;
    p->strips = false;
}

static void feed_events(struct passthrough_call *p, struct slice data)
{
    struct sse_event event;
    enum err e = ERR_OK;
    while (!e && !(e = next_event(p, &data, &event))) {
        if (p->strips && show(p, &event))
            p->cut = true;
        if (event.has_data)
            e = p->speaker->decode(p->decoder, &event, on_event, p);
    }
    if (e == ERR_AGAIN)
        return;
    show_rest(p, data);
    stop_reading(p);
}

struct slice passthrough_meter_feed(struct passthrough_call *p, struct slice data)
{
    bool strips = p->strips;
    if (strips)
        buf_clear(&p->shown);
    if (p->meter == METER_EVENTS)
        feed_events(p, data);
    else if (p->meter == METER_WHOLE && buf_append(&p->whole, data))
        stop_reading(p);
    return strips ? buf_slice(&p->shown) : data;
}

struct slice passthrough_meter_rest(struct passthrough_call *p)
{
    bool held = p->strips && p->meter == METER_EVENTS;
    return held ? arena_copy(p->rq->arena, sse_reader_rest(&p->events)) : SLICE_NONE;
}

/* ---- afterwards ---- */

static enum ai_counted read_whole(struct passthrough_call *p, struct token_count *ret)
{
    struct slice body = buf_slice(&p->whole);
    if (p->speaker->read_whole) {
        struct ai_whole whole = {0};
        p->speaker->read_whole(body, p->endpoint->kind, &whole);
        *ret = whole.tokens;
        p->failed = whole.fails;
        return whole.counted;
    }
    p->decoder = arena_zalloc(p->rq->arena, sizeof(*p->decoder));
    if (!p->decoder || !p->speaker->decode_whole)
        return AI_COUNTED_NOTHING;
    *p->decoder = (struct ai_decoder){.arena = p->rq->arena, .model = p->request.model};
    enum err e = p->speaker->decode_whole(p->decoder, body, on_event, p);
    p->read = e == ERR_OK;
    if (e)
        log_debug(&p->rq->log, "passthrough_unread", "why=%s", err_name(e));
    return ai_usage_count(&p->usage, ret);
}

static uint64_t written(const struct passthrough_call *p)
{
    uint64_t tokens = ai_meter_tokens(&p->words);
    return p->output_bound && p->output_bound < tokens ? p->output_bound : tokens;
}

static enum err cost_of(const struct passthrough_call *p, const struct token_count *tokens,
                        money *ret)
{
    struct price_list prices = *price_for(p->price, tokens->input);
    prices.output = dearer(prices.output, 0);
    return money_cost(&prices, tokens, ret);
}

/* As ai_cost: more output than was allowed is not believed at the budget's expense; a prompt may
 * have been longer than its bytes show, as far as the budget goes. */
static void keep_within(struct passthrough_call *p, const struct token_count *tokens, money *cost)
{
    struct token_count believed = *tokens;
    money reserved = budget_reserved(p->rq), most = reserved, within;
    if (!reserved || *cost <= reserved || budget_reserve_up_to(p->rq, *cost) == ERR_OK)
        return;
    log_warn(&p->rq->log, "cost_above_reservation", "provider=%.*s",
             SLICE_ARG(p->provider->o.name));
    if (believed.output > p->output_bound)
        believed.output = p->output_bound;
    if (cost_of(p, &believed, &within) == ERR_OK && within > reserved) {
        most = ai_cost_money_left(p->rq);
        most = within < most ? within : most;
    }
    *cost = most;
}

static void put(struct passthrough_call *p, const struct token_count *tokens, bool estimated)
{
    struct call_record *t = &p->rq->record;
    t->tokens = *tokens;
    t->has_tokens = true;
    t->usage_source = estimated ? "estimate" : "provider";
    t->cost_known = false;
    p->attempt->tokens = *tokens;
    if (!is_priced(p))
        return;
    t->cost_known = cost_of(p, tokens, &t->cost) == ERR_OK;
    if (t->cost_known)
        keep_within(p, tokens, &t->cost);
}

static uint64_t prompt_estimate(const struct passthrough_call *p)
{
    return ai_usage_estimate_prompt(p->request.prompt.text);
}

static bool bills_cancelled(const struct passthrough_call *p)
{
    enum policy_answer said = p->provider->bills_cancelled;
    return said == POLICY_YES || (said == POLICY_UNSAID && p->speaker->bills_cancelled);
}

/* No usage was reported. A stream shows what was written of it, and so does a whole response that
 * was decoded. Any other that has begun may be as long as it was allowed to be: its provider has
 * written it, also where the client or the upstream broke it off, and in a form that is not read.
 */
static void estimate(struct passthrough_call *p, enum meter_kind was, enum relay_end end)
{
    bool begun = exchange_status(p->relay.exchange) != 0;
    struct token_count tokens = {.input = prompt_estimate(p), .output = written(p)};
    bool read = was == METER_EVENTS || (end == RELAY_WHOLE && p->read);
    if (begun && !read && p->output_bound)
        tokens.output = p->output_bound;
    if (end == RELAY_CANCELLED && !begun && !bills_cancelled(p))
        return;
    if (p->endpoint->kind == AI_TASK && p->request.prompt.unbounded)
        return; /* what an image or a sound took, its provider alone can say */
    put(p, &tokens, true);
}

void passthrough_bill(struct passthrough_call *p, enum relay_end end)
{
    struct token_count tokens = {0};
    enum meter_kind was = p->meter;
    unsigned status = p->relay.exchange ? exchange_status(p->relay.exchange) : 0;
    bool sent = p->relay.exchange && (status || exchange_is_sent(p->relay.exchange));
    if (!p->endpoint || p->endpoint->kind == AI_COUNT || !sent || (status && !is_success(status))) {
        stop_reading(p);
        return; /* nothing to bill: an error costs nothing */
    }
    enum ai_counted counted = was == METER_WHOLE && end == RELAY_WHOLE
                                  ? read_whole(p, &tokens)
                                  : ai_usage_count(&p->usage, &tokens);
    stop_reading(p);
    if (counted != AI_COUNTED_ALL) {
        if (!p->failed ||
            p->words.bytes) /* an error inside a response of 200 is one all the same */
            estimate(p, was, end);
        return;
    }
    bool too_little =
        was == METER_EVENTS && !p->finished && writes(p) && tokens.output < written(p);
    if (too_little)
        tokens.output = written(p);
    put(p, &tokens, too_little);
}
