/* kind_model — a model: where its calls go, and what they cost. */
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
