/*
 * bill — tokens and cost of a call: what the provider counted, else what we estimate, never
 * nothing for an attempt that was sent (security.md, Money).
 */
#include "dataplane/ai/ai_private.h"

static void put(struct ai_work *w, const struct token_count *tokens, const char *source)
{
    struct call_record *t = &w->rq->record;
    struct price_list prices = w->model->price;
    if (prices.output == PRICE_NONE && w->endpoint->kind == AI_EMBEDDINGS)
        prices.output = 0;
    t->tokens = (struct token_count){
        .input = tokens->input + w->spent.input,
        .cache_read = tokens->cache_read,
        .cache_write = tokens->cache_write,
        .output = tokens->output + w->spent.output,
        .reasoning = tokens->reasoning,
    };
    t->has_tokens = true;
    t->usage_source = source;
    t->cost_known = money_cost(&prices, &t->tokens, &t->cost) == ERR_OK;
}

void bill_reported(struct ai_work *w, const struct token_count *tokens)
{
    if (w->attempt)
        w->attempt->tokens = *tokens;
    put(w, tokens, w->spent.input ? "estimate" : "provider"); /* all of it, or not */
}

uint64_t bill_output(const struct ai_work *w)
{
    uint64_t written = usage_meter_tokens(&w->meter), most = ai_output_set_aside(w);
    money worst;
    return budget_worst_case(w->rq, &worst) && most < written ? most : written;
}

/* A guess must not take what was not set aside. The prompt's cannot: it is half of its bytes, and
 * all of them are. */
void bill_estimated(struct ai_work *w)
{
    if (w->gathering && w->endpoint->kind == AI_CHAT) {
        w->meter = (struct usage_meter){0};
        usage_meter_whole(&w->meter, buf_slice(&w->answer));
    }
    struct token_count tokens = {.input = usage_estimate_prompt(w->rq->body.len),
                                 .output = bill_output(w)};
    if (w->attempt)
        w->attempt->tokens = tokens;
    put(w, &tokens, "estimate");
}

/* `tokens` stay with the call, whatever the next attempt costs. */
static void add_failed(struct ai_work *w, const struct token_count *tokens)
{
    w->attempt->tokens = *tokens;
    w->spent.input += tokens->input;
    w->spent.output += tokens->output;
    put(w, &(struct token_count){0}, "estimate");
}

/* A provider does not notice that nobody reads a plain answer, and bills all of it; of a stream
 * that it did not begin, nobody saw how far it was. */
void bill_unread(struct ai_work *w)
{
    struct token_count most = {.input = ai_prompt_unread(w), .output = ai_output_set_aside(w)};
    w->unread_output += most.output;
    add_failed(w, &most);
}

void bill_failed_attempt(struct ai_work *w)
{
    add_failed(w, &(struct token_count){.input = usage_estimate_prompt(w->rq->body.len)});
}
