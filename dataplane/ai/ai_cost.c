/*
 * ai_cost — the worst case, reservations that grow, and bills.
 */
#include "dataplane/ai/ai_cost.h"

#include "dataplane/ai/ai_model_rules.h"
#include "dataplane/ai/tokens/chat_tokens.h"
#include "dataplane/ai/tokens/tokens.h"

/* What a call without any ceiling of its own is taken to write at most. Larger than what models
 * write unasked. Where a budget applies, a stream that nears it has as much reserved again, and
 * ends with finish_reason "length" where there is no more money. */
#define OUTPUT_DEFAULT 16384
#define OUTPUT_MOST 131072 /* no model that is not known by name writes more in one response */

/* Bounds of what bytes do not show. A file can hold no more than the largest context there is. A
 * second of speech is ten tokens, at up to sixteen times the price of text, and a kilobyte at the
 * least (MP3 of 8 kbit/s). */
#define FILE_TOKENS 1000000
#define AUDIO_BYTES 4

#define PROSE_BYTES 4 /* a token, of prose (dialects.md section 4) */

/* What they are taken for where only an estimate is wanted. */
#define IMAGE_ESTIMATE 1600
#define FILE_ESTIMATE 10000
#define AUDIO_ESTIMATE_BYTES 160

/* ---- before ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t image_bound(const struct ai_prompt *p, struct slice model)
{
    return p->images + p->images_low ? p->images * ai_model_image_tokens(model, false) +
                                           p->images_low * ai_model_image_tokens(model, true)
                                     : 0;
}

static uint64_t file_bound(const struct ai_prompt *p)
{
    return (uint64_t)p->files * FILE_TOKENS + p->audio_bytes / AUDIO_BYTES;
}

uint64_t ai_cost_media_bound(const struct ai_prompt *p, struct slice model)
{
    return image_bound(p, model) + file_bound(p);
}

/* At the dearest of the targets. */
static uint64_t media_bound(const struct ai_call *c)
{
    const struct ai_prompt *p = &c->request.prompt;
    uint64_t most = 0;
    for (size_t i = 0; p->images + p->images_low && i < c->candidate_count; i++) {
        uint64_t tokens = image_bound(p, c->candidates[i].model);
        most = tokens > most ? tokens : most;
    }
    return most + file_bound(p);
}

static uint64_t media_tokens(const struct ai_prompt *p)
{
    return (uint64_t)(p->images + p->images_low) * IMAGE_ESTIMATE +
           (uint64_t)p->files * FILE_ESTIMATE + p->audio_bytes / AUDIO_ESTIMATE_BYTES;
}

static uint64_t media_estimate(const struct ai_call *c)
{
    return least(media_bound(c), media_tokens(&c->request.prompt));
}

/* By the model's tokenizer as far as it is known; never more than was reserved, a token for each
 * byte. The body is parsed for it, which few calls need: most providers count. */
static uint64_t text_estimate(struct ai_call *c)
{
    struct slice why;
    const char *param = c->request.param;
    uint64_t bytes = c->request.prompt.text;
    if (c->prompt_tokens)
        return c->prompt_tokens;
    if (!tokens_are_open() || !c->candidate_next)
        return ai_usage_estimate_prompt(bytes);
    enum err e = ai_call_parse(c, &why);
    c->request.param = param; /* this is no refusal */
    if (e || !c->chat)
        return ai_usage_estimate_prompt(bytes);
    uint64_t n = tokens_of_model(c->candidates[c->candidate_next - 1].model, chat_tokens(c->chat));
    return c->prompt_tokens = least(n, bytes);
}

static uint64_t prompt_estimate(struct ai_call *c)
{
    return text_estimate(c) + media_estimate(c);
}

/* What providers add to a prompt by themselves. */
static uint64_t hidden_bound(const struct ai_call *c)
{
    uint64_t most = 0;
    for (size_t i = 0; i < c->candidate_count; i++) {
        const struct ai_provider *p =
            ai_provider_for(c->candidates[i].provider, c->endpoint, c->candidates[i].model);
        most = p->hidden_prompt > most ? p->hidden_prompt : most;
    }
    return most;
}

static price dearer(price a, price b)
{
    return a > b ? a : b;
}

/* A dialect that measures the bytes of a body does not look at marks: the member that says how long
 * stands somewhere in it, or does not. */
static bool may_be_kept_long(const struct ai_call *c)
{
    const struct slice member = SLICE("\"ttl\"");
    bool measured = c->endpoint->dialect->measure != NULL;
    return c->request.prompt.kept_long ||
           (measured && slice_search(buf_slice(&c->rq->body), member) >= 0);
}

/* Prompts may be billed as cache writes, which can be dearer than plain input. */
static void raise_to(struct price_list *to, const struct price_list *p, const struct ai_call *c)
{
    price input = dearer(p->input, dearer(p->cache_write, p->cache_read));
    if (c->request.prompt.audio_bytes)
        input = dearer(input, p->audio_input);
    if (p->cache_write_long > input && may_be_kept_long(c))
        input = p->cache_write_long;
    to->input = dearer(to->input, input);
    to->output = dearer(to->output, dearer(p->output, dearer(p->audio_output, p->image_output)));
}

/* Embeddings and most tasks write nothing, and have no price for it. */
static bool is_priced(const struct ai_call *c, const struct price_list *p)
{
    bool writes = c->endpoint->kind != AI_EMBEDDINGS && c->endpoint->kind != AI_TASK;
    return p->input >= 0 && (p->output >= 0 || !writes);
}

/* The dearest prices of a target for a prompt that may be so long. */
static enum err price_at_most(const struct ai_call *c, const struct price_sheet *s, uint64_t prompt,
                              struct price_list *ret)
{
    *ret = PRICE_LIST_NONE;
    if (!s || !is_priced(c, &s->base))
        return ERR_NOT_FOUND;
    raise_to(ret, &s->base, c);
    for (size_t i = 0; i < s->tier_count && s->tiers[i].above < prompt; i++)
        raise_to(ret, &s->tiers[i].prices, c);
    if (ret->output == PRICE_NONE)
        ret->output = 0;
    return ERR_OK;
}

/* Each failed attempt that was sent is billed its prompt, so each is reserved. The output of one
 * is: few fail without a word, and ai_cost_reserve_unread reserves the next one's then. */
static enum err price_candidates(struct ai_call *c, uint64_t prompt, uint64_t output, money *ret)
{
    const struct token_count in = {.input = prompt}, out = {.output = output};
    money sum = 0, each;
    enum err e = ERR_OK;
    c->prompt_reserved = prompt;
    c->dearest = PRICE_LIST_NONE;
    for (size_t i = 0; !e && i < c->candidate_count; i++) {
        struct price_list p;
        e = price_at_most(c, c->candidates[i].price, prompt, &p);
        if (!e)
            e = money_cost(&p, &in, &each);
        if (e)
            break;
        sum = money_add(sum, each);
        raise_to(&c->dearest, &p, c);
    }
    if (!e)
        e = money_cost(&c->dearest, &out, &each);
    *ret = money_add(sum, each);
    return e;
}

static uint64_t output_ceiling(struct ai_call *c)
{
    if (c->endpoint->kind != AI_CHAT)
        return 0;
    uint64_t each = c->request.output_ceiling;
    if (!each)
        each = c->output_default ? c->output_default : c->model->max_output_tokens;
    if (each)
        return c->output_bound = each * c->request.choices;
    return c->output_step = c->output_reserved = OUTPUT_DEFAULT * c->request.choices;
}

/* Where a budget applies, the client is refused with this. */
static enum err not_bounded(struct ai_call *c, const char *why)
{
    c->not_bounded = why;
    return ERR_INVALID;
}

void ai_cost_measure(struct ai_call *c)
{
    if (c->measured)
        return;
    c->measured = true;
    if (c->endpoint->dialect->measure)
        c->endpoint->dialect->measure(buf_slice(&c->rq->body), &c->request.prompt);
    else if (c->chat)
        ai_chat_measure(c->chat, &c->request.prompt);
}

#define SESSION_OUTPUT 4096 /* of one response, where the model is not known to write more */

/* What the policy says of the model's output raises it and lowers it not: no response of a session
 * is told to end there. */
static uint64_t session_output(const struct ai_call *c, struct slice model)
{
    uint64_t known = ai_model_max_output(model), said = c->model->max_output_tokens;
    known = known ? known : SESSION_OUTPUT;
    return said > known ? said : known;
}

/* Of the first response; the others are reserved for one by one. */
static enum err session_worst_case(struct ai_call *c, money *ret)
{
    c->request.prompt.audio_bytes = 1; /* any of it may be sound */
    for (size_t i = 0; i < c->candidate_count; i++) {
        uint64_t output = session_output(c, c->candidates[i].model);
        c->output_bound = output > c->output_bound ? output : c->output_bound;
    }
    return price_candidates(c, AI_SESSION_PROMPT, c->output_bound, ret);
}

/* By the tokenizer of the model's first target. */
uint64_t ai_cost_prompt_size(const struct ai_prompt *p)
{
    return p->text / PROSE_BYTES + 1 + media_tokens(p);
}

uint64_t ai_cost_prompt_guess(const struct ai_call *c)
{
    return ai_cost_prompt_size(&c->request.prompt);
}

uint64_t ai_cost_count_estimate(struct ai_call *c)
{
    struct slice target = c->model->target_count ? c->model->targets[0].model : c->model->o.name;
    ai_cost_measure(c);
    if (!tokens_are_open() || !c->chat)
        return ai_usage_estimate_prompt(c->request.prompt.text) + media_tokens(&c->request.prompt);
    return tokens_of_model(target, chat_tokens(c->chat)) + media_tokens(&c->request.prompt);
}

enum err ai_worst_case(struct request *rq, money *ret)
{
    struct ai_call *c = rq->gate_state;
    if (!ai_calls_upstream(c->endpoint) || c->endpoint->kind == AI_COUNT)
        return ERR_NOT_FOUND;
    struct ai_prompt *p = &c->request.prompt;
    if (c->endpoint->kind == AI_STORED || c->endpoint->kind == AI_SECRET)
        return p->unbounded ? not_bounded(c, p->unbounded) : ERR_NOT_FOUND;
    enum err e;
    if (c->endpoint->kind == AI_REALTIME) {
        e = session_worst_case(c, ret);
    } else {
        ai_cost_measure(c);
        uint64_t output = output_ceiling(c);
        if (p->unbounded)
            return not_bounded(c, p->unbounded);
        e = price_candidates(c, p->text + media_bound(c) + hidden_bound(c), output, ret);
    }
    if (e == ERR_NOT_FOUND && !c->model->unpriced_allowed)
        return not_bounded(c, "the price of the model is not known");
    return e;
}

/* What one output token of the call costs; 0: nothing, or it is not known. */
static money output_price(const struct ai_call *c)
{
    const struct token_count thousand = {.output = 1000};
    money cost = 0;
    return money_cost(&c->dearest, &thousand, &cost) ? 0 : cost;
}

/* What is left in the tightest of the budgets, what this call has reserved included. */
money ai_cost_money_left(const struct request *rq)
{
    struct scope_list scopes = {0};
    money least_left = INT64_MAX, own = budget_reserved(rq);
    principal_scopes(&rq->who, &scopes);
    for (size_t i = 0; i < scopes.count; i++) {
        struct account_state s;
        if (!scopes.of[i]->account)
            continue;
        account_look(scopes.of[i]->account, &s);
        money left = money_add(s.limit - s.spent - s.set_aside, own);
        least_left = left < least_left ? left : least_left;
    }
    return least_left > own ? least_left : own;
}

/* As much as the budget can pay, since a stream is extended as far; and no more than the model can
 * write, which is refused by its provider. */
static uint64_t stream_limit(const struct ai_call *c)
{
    money each = output_price(c);
    uint64_t known = ai_model_max_output(c->candidates[c->candidate_next - 1].model);
    uint64_t most = (known ? known : OUTPUT_MOST) * c->request.choices;
    if (each > 0) {
        uint64_t affordable = (uint64_t)(ai_cost_money_left(c->rq) / each) * 1000;
        most = least(most, affordable > c->output_reserved ? affordable : c->output_reserved);
    }
    return most / c->request.choices;
}

uint64_t ai_cost_output_limit(const struct ai_call *c)
{
    if (c->endpoint->kind != AI_CHAT || c->request.output_ceiling)
        return 0;
    if (c->output_default || !budget_reserved(c->rq))
        return c->output_default;
    if (c->output_bound)
        return c->model->max_output_tokens;
    return c->request.stream ? stream_limit(c) : OUTPUT_DEFAULT;
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
    enum err e = money_cost(&c->dearest, &beyond, &more);
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
    struct token_count unread = {.input = c->unread_input, .output = c->unread_output};
    money more, worst;
    if ((!unread.input && !unread.output) || !budget_worst_case(c->rq, &worst))
        return ERR_OK;
    enum err e = money_cost(&c->dearest, &unread, &more);
    if (!e)
        e = budget_reserve_up_to(c->rq, money_add(worst, more));
    if (e)
        return e;
    budget_raise_worst_case(c->rq, money_add(worst, more));
    c->unread_input = c->unread_output = 0;
    return ERR_OK;
}

void ai_cost_again(struct ai_call *c)
{
    if (c->failed.input > c->failed_input)
        c->unread_input += c->prompt_reserved;
    c->failed_input = c->failed.input;
}

enum err ai_cost_reserve_beside(struct ai_call *c)
{
    uint64_t output = c->output_bound ? c->output_bound : c->output_reserved;
    c->unread_output += output;
    enum err e = ai_cost_reserve_unread(c);
    if (e)
        c->unread_output -= output;
    return e;
}

/* ---- what providers count teaches what is estimated ---- */

#define LEARN_BYTES (64 * 1024) /* of a body: its tokens are counted within some milliseconds */

/* Media and the definitions of tools are billed by rules of their own. */
static bool is_text_alone(const struct ai_call *c)
{
    const struct ai_prompt *p = &c->request.prompt;
    return !p->images && !p->images_low && !p->files && !p->audio_bytes && c->chat &&
           !c->chat->functions && !c->chat->format_schema;
}

static void learn(struct ai_call *c, const struct token_count *reported)
{
    struct slice why, model = c->candidates[c->candidate_next - 1].model;
    const char *param = c->request.param;
    if (c->endpoint->kind != AI_CHAT || !tokens_are_open() ||
        reported->input < TOKENS_LEARN_LEAST || c->rq->body.len > LEARN_BYTES ||
        !tokens_may_learn(model, loop_now_us(c->rq->env->loop)))
        return;
    enum err e = ai_call_parse(c, &why);
    c->request.param = param; /* this is no refusal */
    if (!e && is_text_alone(c))
        tokens_learn(model, chat_tokens(c->chat), reported->input);
}

/* ---- afterwards ---- */

static struct token_count sum(const struct token_count *a, const struct token_count *b)
{
    return (struct token_count){
        .input = a->input + b->input,
        .cache_read = a->cache_read + b->cache_read,
        .cache_write = a->cache_write + b->cache_write,
        .cache_write_long = a->cache_write_long + b->cache_write_long,
        .audio_input = a->audio_input + b->audio_input,
        .output = a->output + b->output,
        .reasoning = a->reasoning + b->reasoning,
        .audio_output = a->audio_output + b->audio_output,
        .image_output = a->image_output + b->image_output,
    };
}

/* What the tokens cost at the target that is being tried. */
static enum err cost_here(const struct ai_call *c, const struct token_count *tokens, money *ret)
{
    const struct price_sheet *s = c->candidates[c->candidate_next - 1].price;
    if (!s || !is_priced(c, &s->base))
        return ERR_NOT_FOUND;
    struct price_list p = *price_for(s, tokens->input);
    if (p.output == PRICE_NONE)
        p.output = 0;
    return money_cost(&p, tokens, ret);
}

/* A provider that reports more output than it was told to write is not believed at the budget's
 * expense; a prompt may have been longer than its bytes show, as far as the budget goes. What is
 * spent never exceeds the budget. */
static void keep_within(struct ai_call *c, const struct token_count *tokens, money *cost)
{
    char text[MONEY_TEXT_MAX], kept[MONEY_TEXT_MAX];
    struct token_count believed = *tokens;
    money reserved = budget_reserved(c->rq), most = reserved, within;
    if (!reserved || *cost <= reserved || budget_reserve_up_to(c->rq, *cost) == ERR_OK)
        return;
    log_warn(&c->rq->log, "cost_above_reservation", "provider=%.*s cost=%.*s reserved=%.*s",
             SLICE_ARG(c->rq->record.ai.provider), SLICE_ARG(money_format(*cost, text)),
             SLICE_ARG(money_format(reserved, kept)));
    believed.output = least(believed.output, output_set_aside(c));
    if (cost_here(c, &believed, &within) == ERR_OK) {
        within = money_add(within, c->failed_cost);
        if (within > reserved) {
            most = ai_cost_money_left(c->rq);
            most = within < most ? within : most;
        }
    }
    *cost = most;
}

/* What the attempt took, and what those before it did. */
static void put(struct ai_call *c, const struct token_count *tokens, bool estimated)
{
    struct call_record *t = &c->rq->record;
    if (c->endpoint->kind == AI_COUNT || c->endpoint->kind == AI_STORED ||
        c->endpoint->kind == AI_SECRET) /* free */
        return;
    /* What an image or a sound took, its provider alone can say. */
    if (c->endpoint->kind == AI_TASK && estimated && c->request.prompt.unbounded)
        return;
    t->tokens = sum(tokens, &c->failed);
    t->has_tokens = true;
    t->usage_source = estimated || c->failed_estimated ? "estimate" : "provider";
    t->cost_known = cost_here(c, tokens, &t->cost) == ERR_OK && !c->failed_unpriced;
    if (!t->cost_known)
        return;
    t->cost = money_add(t->cost, c->failed_cost);
    keep_within(c, tokens, &t->cost);
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
    learn(c, tokens);
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
    return (c->decoded || c->observed) && ai_call_streams(c) && !c->finished &&
           tokens->output < written(c);
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
    learn(c, &tokens);
}

struct token_count ai_cost_so_far(struct ai_call *c)
{
    return (struct token_count){.input = prompt_estimate(c), .output = written(c)};
}

void ai_cost_estimated(struct ai_call *c)
{
    bool plain = c->state == AI_CALL_GATHERING && c->native && c->endpoint->kind == AI_CHAT;
    if (plain && !c->gathers_events && c->provider->words)
        c->meter = (struct ai_meter){.bytes = c->provider->words(buf_slice(&c->gathered))};
    struct token_count tokens = ai_cost_so_far(c);
    put_attempt(c, &tokens, true);
}

static void add_failed(struct ai_call *c, const struct token_count *tokens, bool estimated)
{
    money cost = 0;
    if (c->attempt)
        c->attempt->tokens = *tokens;
    c->failed = sum(&c->failed, tokens);
    c->failed_estimated = c->failed_estimated || estimated;
    c->failed_unpriced = cost_here(c, tokens, &cost) != ERR_OK || c->failed_unpriced;
    c->failed_cost = money_add(c->failed_cost, cost);
    put(c, &(struct token_count){0}, false);
}

void ai_cost_failed_counted(struct ai_call *c, const struct token_count *tokens)
{
    add_failed(c, tokens, false);
}

/* Prompt tokens are taken at no less than they may be, within the worst case. */
void ai_cost_unread(struct ai_call *c)
{
    struct token_count most = {.input = ai_usage_estimate_prompt(c->request.prompt.text) +
                                        media_bound(c),
                               .output = output_set_aside(c)};
    c->unread_output += most.output;
    add_failed(c, &most, true);
}

void ai_cost_failed(struct ai_call *c)
{
    add_failed(c, &(struct token_count){.input = prompt_estimate(c)}, true);
}

void ai_cost_cancelled(struct ai_call *c)
{
    enum policy_answer said = c->candidates[c->candidate_next - 1].provider->bills_cancelled;
    if (said == POLICY_YES || (said == POLICY_UNSAID && c->provider->bills_cancelled))
        ai_cost_failed(c);
}

/* ---- a session ---- */

enum err ai_cost_reserve_responses(struct ai_call *c, uint64_t prompt, unsigned n)
{
    const struct candidate *t = &c->candidates[c->candidate_next - 1];
    const struct token_count one = {.input = prompt, .output = session_output(c, t->model)};
    struct price_list p;
    money each, total = c->failed_cost;
    if (!budget_reserved(c->rq))
        return ERR_OK;
    enum err e = price_at_most(c, t->price, prompt, &p);
    if (!e)
        e = money_cost(&p, &one, &each);
    if (e)
        return ERR_EXHAUSTED;
    for (unsigned i = 0; i < n; i++)
        total = money_add(total, each);
    return total <= budget_reserved(c->rq) ? ERR_OK : budget_reserve_up_to(c->rq, total);
}

void ai_cost_add_response(struct ai_call *c, const struct token_count *tokens, bool estimated)
{
    add_failed(c, tokens, estimated);
    if (c->attempt)
        c->attempt->tokens = c->failed;
}

void ai_cost_add_transcription(struct ai_call *c, const struct price_sheet *sheet,
                               const struct token_count *tokens)
{
    money cost = 0;
    if (!sheet || money_cost(price_for(sheet, tokens->input), tokens, &cost))
        c->failed_unpriced = true;
    c->failed_cost = money_add(c->failed_cost, cost);
    c->failed = sum(&c->failed, tokens);
    ai_cost_add_response(c, &(struct token_count){0}, false);
}
