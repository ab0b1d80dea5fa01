/* kind_model — a model: where its calls go, and what they cost. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/policy/kind.h"

/* What a target says of its capabilities stands before what the model says. */
static enum err read_target(struct kind_decoding *d, const Gatehouse__Model *m,
                            const Gatehouse__Target *t, struct policy_target *ret)
{
    bool own = t->capabilities_set || t->n_capabilities;
    *ret = (struct policy_target){
        .provider_id = kind_text(d, t->provider_id),
        .model = kind_text(d, t->model),
        .weight = kind_weight(t->has_weight, t->weight),
        .model_id = kind_text(d, t->target_model_id),
        .region = kind_text(d, t->region),
        .capabilities = own ? kind_capabilities(t->capabilities, t->n_capabilities)
                            : kind_capabilities(m->capabilities, m->n_capabilities),
        .capabilities_known = own || m->capabilities_set || m->n_capabilities,
        .context_tokens = t->context_tokens,
        .max_output_tokens = t->max_output_tokens,
        .shadow_permille = t->shadow_permille,
    };
    if ((t->provider_id && t->target_model_id) || t->shadow_permille > 1000)
        return ERR_INVALID;
    return kind_when(d, t->when, &ret->when);
}

static enum err read_targets(struct kind_decoding *d, const Gatehouse__Model *m,
                             struct policy_model *p)
{
    p->target_count = m->n_targets;
    p->targets = kind_rows(d, m->n_targets, sizeof(*p->targets));
    enum err e = p->targets ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; !e && i < m->n_targets; i++)
        e = read_target(d, m, m->targets[i], &p->targets[i]);
    return e;
}

/* ---- when it is tried again, and elsewhere ---- */

static const char *const failure_words[] = {
#define FAILURE_WORD(name, word) word,
    FAILURE_CLASS_TABLE(FAILURE_WORD)
#undef FAILURE_WORD
};

/* "404"; 0: it is no status. "429" is a class, which is found before. */
static uint16_t status_of(const char *text)
{
    if (strlen(text) != 3 || strspn(text, "0123456789") != 3)
        return 0;
    unsigned long status = strtoul(text, NULL, 10);
    return (uint16_t)(status >= 400 && status <= 599 ? status : 0);
}

/* Classes and exact codes. */
static enum err read_fallback(struct kind_decoding *d, const Gatehouse__Model *m,
                              struct policy_model *p)
{
    p->fallback_set = m->fallback_on_set || m->n_fallback_on;
    p->fallback_status = kind_rows(d, m->n_fallback_on, sizeof(*p->fallback_status));
    for (size_t i = 0; p->fallback_status && i < m->n_fallback_on; i++) {
        uint32_t bit = 0;
        uint16_t status = status_of(m->fallback_on[i]);
        if (kind_bits(&m->fallback_on[i], 1, failure_words, ARRAY_LEN(failure_words), &bit) ==
            ERR_OK)
            p->fallback_on |= bit;
        else if (status)
            p->fallback_status[p->fallback_status_count++] = status;
        else
            return ERR_INVALID;
    }
    return ERR_OK;
}

static enum err read_sticky(const char *word, enum sticky *ret)
{
    static const char *const words[STICKY_COUNT] = {
#define STICKY_WORD(name, word) [STICKY_##name] = word,
        STICKY_TABLE(STICKY_WORD)
#undef STICKY_WORD
    };
    *ret = STICKY_NONE;
    if (!word)
        return ERR_OK;
    for (size_t i = STICKY_NONE + 1; i < STICKY_COUNT; i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret = (enum sticky)i;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

static enum err read_rules(struct kind_decoding *d, const Gatehouse__Model *m,
                           struct policy_model *p)
{
    p->retry_attempts = m->retry_attempts;
    p->retry_on = FAILURE_RETRIED;
    if (m->n_retry_on && kind_bits(m->retry_on, m->n_retry_on, failure_words,
                                   ARRAY_LEN(failure_words), &p->retry_on) != ERR_OK)
        return ERR_INVALID;
    p->capabilities = kind_capabilities(m->capabilities, m->n_capabilities);
    p->capabilities_known = m->capabilities_set || m->n_capabilities;
    p->max_price_input = m->has_max_price_input ? m->max_price_input : PRICE_NONE;
    p->max_price_output = m->has_max_price_output ? m->max_price_output : PRICE_NONE;
    p->hedge_after_ms = m->hedge_after_ms;
    enum err e = read_sticky(m->sticky, &p->sticky);
    return e ? e : read_fallback(d, m, p);
}

/* Absent: fallback. One that this plane does not know must not become another one. */
static enum err read_strategy(const char *word, enum strategy *ret)
{
    static const char *const words[] = {
#define STRATEGY_WORD(name, word) #word,
        STRATEGY_TABLE(STRATEGY_WORD)
#undef STRATEGY_WORD
    };
    *ret = STRATEGY_FALLBACK;
    if (!word)
        return ERR_OK;
    for (size_t i = 0; i < STRATEGY_COUNT; i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret = (enum strategy)i;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

/* ---- what its calls are given ---- */

static void say_number(struct kind_decoding *d, struct policy_parameter *p, protobuf_c_boolean has,
                       double value)
{
    char text[32];
    if (!has)
        return;
    snprintf(text, sizeof(text), "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof(text), "%.17g", value);
    p->number = value;
    p->json = kind_text(d, text);
}

static void keep_json(struct kind_decoding *d, struct buf *json, enum err e,
                      struct policy_parameter *p)
{
    p->json = e ? SLICE_NONE : arena_copy(d->arena, buf_slice(json));
    if (!p->json.ptr)
        d->short_of_memory = true;
    buf_fini(json);
}

static void say_word(struct kind_decoding *d, struct policy_parameter *p, const char *word)
{
    struct buf json;
    if (!word)
        return;
    buf_init(&json, LIMIT_MODEL_JSON);
    p->word = kind_text(d, word);
    keep_json(d, &json, buf_json_string(&json, p->word), p);
}

static void say_stops(struct kind_decoding *d, const Gatehouse__ModelParameters *from,
                      struct policy_parameters *p)
{
    struct buf json;
    if (!from->n_stop)
        return;
    buf_init(&json, LIMIT_MODEL_JSON);
    p->stops = kind_texts(d, from->stop, from->n_stop);
    p->stop_count = p->stops ? from->n_stop : 0;
    enum err e = buf_append(&json, SLICE("["));
    for (size_t i = 0; !e && i < p->stop_count; i++) {
        if (i)
            e = buf_append(&json, SLICE(","));
        if (!e)
            e = buf_json_string(&json, p->stops[i]);
    }
    keep_json(d, &json, e ? e : buf_append(&json, SLICE("]")), &p->of[POLICY_STOP]);
}

static bool is_finite_number(protobuf_c_boolean has, double v)
{
    return !has || (v >= -1e9 && v <= 1e9);
}

/* NULL where nothing is said. */
static enum err read_parameters(struct kind_decoding *d, const Gatehouse__ModelParameters *from,
                                const struct policy_parameters **ret)
{
    if (!from)
        return ERR_OK;
    if (!is_finite_number(from->has_temperature, from->temperature) ||
        !is_finite_number(from->has_top_p, from->top_p) ||
        !is_finite_number(from->has_presence_penalty, from->presence_penalty) ||
        !is_finite_number(from->has_frequency_penalty, from->frequency_penalty) ||
        (from->has_max_tokens && !from->max_tokens))
        return ERR_INVALID;
    struct policy_parameters *p = kind_rows(d, 1, sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    struct policy_parameter *of = p->of;
    say_number(d, &of[POLICY_TEMPERATURE], from->has_temperature, from->temperature);
    say_number(d, &of[POLICY_TOP_P], from->has_top_p, from->top_p);
    say_number(d, &of[POLICY_TOP_K], from->has_top_k, from->top_k);
    say_number(d, &of[POLICY_MAX_TOKENS], from->has_max_tokens, from->max_tokens);
    say_number(d, &of[POLICY_SEED], from->has_seed, (double)from->seed);
    say_number(d, &of[POLICY_PRESENCE_PENALTY], from->has_presence_penalty, from->presence_penalty);
    say_number(d, &of[POLICY_FREQUENCY_PENALTY], from->has_frequency_penalty,
               from->frequency_penalty);
    say_word(d, &of[POLICY_REASONING_EFFORT], from->reasoning_effort);
    say_word(d, &of[POLICY_VERBOSITY], from->verbosity);
    say_word(d, &of[POLICY_SERVICE_TIER], from->service_tier);
    say_stops(d, from, p);
    *ret = p;
    return ERR_OK;
}

static enum err read_shape(struct kind_decoding *d, const Gatehouse__Model *m,
                           struct policy_model *p)
{
    enum err e = read_parameters(d, m->defaults, &p->defaults);
    if (!e)
        e = read_parameters(d, m->overrides, &p->overrides);
    if (e)
        return e;
    p->drop = kind_texts(d, m->drop, m->n_drop);
    p->drop_count = p->drop ? m->n_drop : 0;
    p->system_prompt = kind_text(d, m->system_prompt);
    p->shapes = p->defaults || p->overrides || p->drop_count || p->system_prompt.len;
    p->headers = kind_rows(d, m->n_headers, sizeof(*p->headers));
    for (size_t i = 0; p->headers && i < m->n_headers; i++)
        p->headers[p->header_count++] = (struct policy_header){kind_text(d, m->headers[i]->name),
                                                               kind_text(d, m->headers[i]->value)};
    return ERR_OK;
}

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Model *m = d->message->model;
    struct policy_model *p = kind_begin(d, sizeof(*p), m->org_id, m->name);
    if (!p)
        return ERR_NOMEM;
    enum err e = read_strategy(m->strategy, &p->strategy);
    if (e)
        return e;
    e = read_targets(d, m, p);
    if (!e)
        e = read_rules(d, m, p);
    if (!e)
        e = read_shape(d, m, p);
    if (e)
        return e;
    p->max_output_tokens = m->max_output_tokens;
    p->timeouts = kind_timeouts(m->timeouts);
    p->unpriced_allowed = m->unpriced && strcmp(m->unpriced, "allow") == 0;
    p->created_at_us = m->created_at_us;
    p->wildcard = slice_eq(p->o.name, SLICE("*")) || slice_ends(p->o.name, SLICE("/*"));
    return kind_price(m->price, &p->price);
}

const struct policy_kind kind_model = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_MODEL,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_MODEL,
    .decode = decode,
    .named = true,
};
