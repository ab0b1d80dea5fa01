/*
 * worst_case — what a call may cost at most, before it is sent.
 *
 * A text token is at least one byte, so a body's length bounds its text tokens. What is told by
 * reference (an image's URL, a file's id) costs tokens its bytes do not show, and is bounded by
 * a constant each.
 */
#include "dataplane/ai/ai_private.h"

/* The dearest image known: 36,835 tokens for a full-size one on the model with the largest
 * multiplier (OpenAI's own table for gpt-4o-mini), rounded up. */
#define REFERENCE_TOKENS 40000

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

static uint64_t reference_tokens(const struct ai_work *w)
{
    if (w->endpoint->kind != AI_CHAT)
        return 0;
    return count_references(w->request.hits[WANT_MESSAGES].raw) * REFERENCE_TOKENS;
}

uint64_t ai_prompt_unread(const struct ai_work *w)
{
    return usage_estimate_prompt(w->rq->body.len) + reference_tokens(w);
}

/* prompts may be billed as cache writes, which can be dearer than plain input */
static struct price_list dearest(const struct price_list *p)
{
    struct price_list d = *p;
    if (d.input != PRICE_NONE && d.cache_write > d.input)
        d.input = d.cache_write;
    if (d.input != PRICE_NONE && d.cache_read > d.input)
        d.input = d.cache_read;
    return d;
}

static uint64_t output_ceiling(struct ai_work *w)
{
    if (w->endpoint->kind != AI_CHAT)
        return 0;
    uint64_t each = w->request.output_ceiling;
    if (!each)
        each = w->model->max_output_tokens;
    if (each)
        return w->output_bound = each * w->request.choices;
    return w->output_step = w->output_reserved = AI_OUTPUT_DEFAULT * w->request.choices;
}

uint64_t ai_output_set_aside(const struct ai_work *w)
{
    return w->output_reserved ? w->output_reserved : w->output_bound;
}

enum err ai_worst_case(struct request *rq, money *ret)
{
    struct ai_work *w = rq->gate_state;
    if (!ai_calls_upstream(w->endpoint))
        return ERR_NOT_FOUND;
    /* A search the provider runs by itself is billed by the search, without any bound. */
    uint64_t output = output_ceiling(w);
    if (w->request.hosted_tools)
        return ERR_INVALID;
    /* Each failed attempt that was sent is billed its prompt, so each is set aside. The output of
     * one is: few fail without a word, and ai_set_aside_unread asks for the next one's then. */
    uint64_t prompt = (uint64_t)rq->body.len + reference_tokens(w);
    struct token_count most = {.input = prompt * w->candidate_count, .output = output};
    struct price_list prices = dearest(&w->model->price);
    if (prices.output == PRICE_NONE && w->endpoint->kind == AI_EMBEDDINGS)
        prices.output = 0; /* nothing is written */
    return money_cost(&prices, &most, ret);
}

enum err ai_extend_output(struct ai_work *w)
{
    /* `worst` holds the first step, so what is beyond it, one more included, is what stands now */
    struct token_count beyond = {.output = w->output_reserved};
    money more, worst = 0;
    budget_worst_case(w->rq, &worst);
    enum err e = money_cost(&w->model->price, &beyond, &more);
    if (!e)
        e = budget_reserve_up_to(w->rq, money_add(worst, more));
    if (!e)
        w->output_reserved += w->output_step;
    return e;
}

enum err ai_set_aside_unread(struct ai_work *w)
{
    struct token_count unread = {.output = w->unread_output};
    money more, worst;
    if (!unread.output || !budget_worst_case(w->rq, &worst))
        return ERR_OK;
    enum err e = money_cost(&w->model->price, &unread, &more);
    if (!e)
        e = budget_reserve_up_to(w->rq, money_add(worst, more));
    if (e)
        return e;
    budget_raise_worst_case(w->rq, money_add(worst, more));
    w->unread_output = 0;
    return ERR_OK;
}
