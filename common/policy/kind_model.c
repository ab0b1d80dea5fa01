/* kind_model — a model: where its calls go, and what they cost. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/policy/kind.h"

static void read_targets(struct kind_decoding *d, const Gatehouse__Model *m, struct policy_model *p)
{
    p->target_count = m->n_targets;
    p->targets = kind_rows(d, m->n_targets, sizeof(*p->targets));
    for (size_t i = 0; p->targets && i < m->n_targets; i++) {
        const Gatehouse__Target *t = m->targets[i];
        p->targets[i] = (struct policy_target){.provider_id = kind_text(d, t->provider_id),
                                               .model = kind_text(d, t->model),
                                               .weight = kind_weight(t->has_weight, t->weight)};
    }
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
    read_targets(d, m, p);
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
