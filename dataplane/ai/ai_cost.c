/*
 * ai_cost — the worst case, reservations that grow, and bills.
 *
 * A text token is at least one byte, so a body's length bounds its text tokens. What is told by
 * reference (an image's URL, a file's id) costs tokens its bytes do not show, and is bounded by
 * a constant each.
 */
#include "dataplane/ai/ai_cost.h"

#include "dataplane/ai/dialect/openai_body.h"

/* What a call without any ceiling of its own is taken to write at most. Larger than what models
 * write unasked. Where a budget applies, a stream that nears it has as much reserved again, and
 * ends with finish_reason "length" where there is no more money. */
#define OUTPUT_DEFAULT 16384

/* The dearest image known: 36,835 tokens for a full-size one on the model with the largest
 * multiplier (OpenAI's own table for gpt-4o-mini), rounded up. */
#define REFERENCE_TOKENS 40000

/* ---- before ---- */

static bool stands_at(struct slice text, size_t at, struct slice word)
{
    return at <= text.len && text.len - at >= word.len &&
           memcmp(text.ptr + at, word.ptr, word.len) == 0;
}

/* How often "image_url" or "file_id" stands in the text, found by their underscores: rare in
 * prose, and memchr runs at memory speed where a search for a word does not. */
static uint64_t count_references(struct slice text)
{
    const char *p = text.ptr, *end = text.ptr + text.len;
    uint64_t n = 0;
    while (p < end && (p = memchr(p, '_', (size_t)(end - p)))) {
        size_t at = (size_t)(p - text.ptr);
        n += (at >= 5 && stands_at(text, at - 5, SLICE("image_url"))) ||
             (at >= 4 && stands_at(text, at - 4, SLICE("file_id")));
        p++;
    }
    return n;
}

static uint64_t reference_tokens(const struct ai_call *c)
{
    if (c->endpoint->kind != AI_CHAT)
        return 0;
    return count_references(c->request.hits[OPENAI_MESSAGES].raw) * REFERENCE_TOKENS;
}

/* Prompts may be billed as cache writes, which can be dearer than plain input. */
static struct price_list dearest(const struct price_list *p)
{
    struct price_list d = *p;
    if (d.input != PRICE_NONE && d.cache_write > d.input)
        d.input = d.cache_write;
    if (d.input != PRICE_NONE && d.cache_read > d.input)
        d.input = d.cache_read;
    return d;
}

static uint64_t output_ceiling(struct ai_call *c)
{
    if (c->endpoint->kind != AI_CHAT)
        return 0;
    uint64_t each = c->request.output_ceiling;
    if (!each)
        each = c->model->max_output_tokens;
    if (each)
        return c->output_bound = each * c->request.choices;
    return c->output_step = c->output_reserved = OUTPUT_DEFAULT * c->request.choices;
}

enum err ai_worst_case(struct request *rq, money *ret)
{
    struct ai_call *c = rq->gate_state;
    if (!ai_calls_upstream(c->endpoint))
        return ERR_NOT_FOUND;
    /* A search that the provider runs by itself is billed by the search, without any bound. */
    uint64_t output = output_ceiling(c);
    if (c->request.hosted_tools)
        return ERR_INVALID;
    /* Each failed attempt that was sent is billed its prompt, so each is reserved. The output of
     * one is: few fail without a word, and ai_cost_reserve_unread reserves the next one's then. */
    uint64_t prompt = (uint64_t)rq->body.len + reference_tokens(c);
    struct token_count most = {.input = prompt * c->candidate_count, .output = output};
    struct price_list prices = dearest(&c->model->price);
    if (prices.output == PRICE_NONE && c->endpoint->kind == AI_EMBEDDINGS)
        prices.output = 0; /* nothing is written */
    return money_cost(&prices, &most, ret);
}

/* ---- meanwhile ---- */

/* Tokens of output that the worst case of one attempt holds as it stands now. */
static uint64_t output_set_aside(const struct ai_call *c)
{
    return c->output_reserved ? c->output_reserved : c->output_bound;
}

static enum err extend_output(struct ai_call *c)
{
    /* `worst` holds the first step, so what is beyond it, one more included, is what stands now */
    struct token_count beyond = {.output = c->output_reserved};
    money more, worst = 0;
    budget_worst_case(c->rq, &worst);
    enum err e = money_cost(&c->model->price, &beyond, &more);
    if (!e)
        e = budget_reserve_up_to(c->rq, money_add(worst, more));
    if (!e)
        c->output_reserved += c->output_step;
    return e;
}

bool ai_cost_is_limited(const struct ai_call *c)
{
    return c->output_reserved && budget_reserved(c->rq) > 0;
}

/* At three quarters: early enough that a larger slice of the budget is here before the tokens. */
static void extend_in_time(struct ai_call *c, uint64_t written)
{
    enum err e = ERR_OK;
    while (!e && written >= c->output_reserved - c->output_step / 4)
        e = extend_output(c);
    if (e)
        log_debug(&c->rq->log, "stream_not_extended", "why=%s", err_name(e));
}

bool ai_cost_is_used_up(struct ai_call *c, bool *waits)
{
    money worst;
    *waits = false;
    if (!c->output_reserved || !budget_worst_case(c->rq, &worst))
        return false;
    uint64_t written = ai_meter_tokens(&c->meter);
    extend_in_time(c, written);
    if (!ai_cost_is_limited(c) || written < c->output_reserved)
        return false;
    *waits = budget_is_waiting(c->rq) && c->exchange;
    return true;
}

enum err ai_cost_reserve_unread(struct ai_call *c)
{
    struct token_count unread = {.output = c->unread_output};
    money more, worst;
    if (!unread.output || !budget_worst_case(c->rq, &worst))
        return ERR_OK;
    enum err e = money_cost(&c->model->price, &unread, &more);
    if (!e)
        e = budget_reserve_up_to(c->rq, money_add(worst, more));
    if (e)
        return e;
    budget_raise_worst_case(c->rq, money_add(worst, more));
    c->unread_output = 0;
    return ERR_OK;
}

/* ---- afterwards ---- */

static struct token_count sum(const struct token_count *a, const struct token_count *b)
{
    return (struct token_count){
        .input = a->input + b->input,
        .cache_read = a->cache_read + b->cache_read,
        .cache_write = a->cache_write + b->cache_write,
        .output = a->output + b->output,
        .reasoning = a->reasoning + b->reasoning,
    };
}

static void put(struct ai_call *c, const struct token_count *tokens, bool estimated)
{
    struct call_record *t = &c->rq->record;
    struct price_list prices = c->model->price;
    if (prices.output == PRICE_NONE && c->endpoint->kind == AI_EMBEDDINGS)
        prices.output = 0;
    t->tokens = sum(tokens, &c->failed);
    t->has_tokens = true;
    t->usage_source = estimated || c->failed_estimated ? "estimate" : "provider";
    t->cost_known = money_cost(&prices, &t->tokens, &t->cost) == ERR_OK;
}

static void put_attempt(struct ai_call *c, const struct token_count *tokens, bool estimated)
{
    if (c->attempt)
        c->attempt->tokens = *tokens;
    put(c, tokens, estimated);
}

void ai_cost_counted(struct ai_call *c, const struct token_count *tokens)
{
    put_attempt(c, tokens, false);
}

/* An estimate must not take what was not reserved. The prompt's cannot: it is half of its bytes,
 * and all of them are. */
static uint64_t written(const struct ai_call *c)
{
    uint64_t tokens = ai_meter_tokens(&c->meter), most = output_set_aside(c);
    money worst;
    return budget_worst_case(c->rq, &worst) && most < tokens ? most : tokens;
}

/* What some protocols report at the beginning of a stream is not all of it. */
static bool reports_too_little(const struct ai_call *c, const struct token_count *tokens)
{
    return c->decoded && ai_call_streams(c) && !c->finished && tokens->output < written(c);
}

void ai_cost_reported(struct ai_call *c)
{
    struct token_count tokens;
    if (ai_usage_count(&c->usage, &tokens) != AI_COUNTED_ALL) {
        ai_cost_estimated(c);
        return;
    }
    bool estimated = reports_too_little(c, &tokens);
    if (estimated)
        tokens.output = written(c);
    put_attempt(c, &tokens, estimated);
}

struct token_count ai_cost_so_far(const struct ai_call *c)
{
    return (struct token_count){.input = ai_usage_estimate_prompt(c->rq->body.len),
                                .output = written(c)};
}

void ai_cost_estimated(struct ai_call *c)
{
    bool plain = c->state == AI_CALL_GATHERING && c->native && c->endpoint->kind == AI_CHAT;
    if (plain && !c->gathers_events)
        c->meter = (struct ai_meter){.bytes = c->provider->words(buf_slice(&c->gathered))};
    struct token_count tokens = ai_cost_so_far(c);
    put_attempt(c, &tokens, true);
}

static void add_failed(struct ai_call *c, const struct token_count *tokens, bool estimated)
{
    if (c->attempt)
        c->attempt->tokens = *tokens;
    c->failed = sum(&c->failed, tokens);
    c->failed_estimated = c->failed_estimated || estimated;
    put(c, &(struct token_count){0}, false);
}

void ai_cost_failed_counted(struct ai_call *c, const struct token_count *tokens)
{
    add_failed(c, tokens, false);
}

/* Prompt tokens are taken at no less than they may be, within the worst case. */
void ai_cost_unread(struct ai_call *c)
{
    struct token_count most = {.input =
                                   ai_usage_estimate_prompt(c->rq->body.len) + reference_tokens(c),
                               .output = output_set_aside(c)};
    c->unread_output += most.output;
    add_failed(c, &most, true);
}

void ai_cost_failed(struct ai_call *c)
{
    add_failed(c, &(struct token_count){.input = ai_usage_estimate_prompt(c->rq->body.len)}, true);
}

void ai_cost_cancelled(struct ai_call *c)
{
    if (c->provider->bills_cancelled)
        ai_cost_failed(c);
}
