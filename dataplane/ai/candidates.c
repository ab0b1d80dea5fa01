/*
 * candidates — in order for "fallback"; for "weighted", drawn without putting back, so that a
 * failed first choice falls back to the others by their weights. What weighs nothing is not
 * drawn: it comes last, in its order.
 */
#include "dataplane/ai/candidates.h"

#include "dataplane/ai/provider/provider.h"

#define TARGETS_MAX 64 /* considered for one model; more in a list is a mistake */

/* Which of n weights the dice fall on; without any weight, the first. */
static size_t draw(const uint32_t *weights, size_t n, uint32_t (*dice)(void *), void *arg)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += weights[i];
    if (!total)
        return 0;
    uint64_t at = dice(arg) % total;
    size_t i = 0;
    while (at >= weights[i])
        at -= weights[i++];
    return i;
}

static const struct policy_credential *pick_credential(const struct policy_provider *p,
                                                       uint32_t (*dice)(void *), void *arg)
{
    uint32_t weights[TARGETS_MAX];
    size_t n = p->credential_count < TARGETS_MAX ? p->credential_count : TARGETS_MAX;
    if (n < 2)
        return n ? &p->credentials[0] : NULL;
    for (size_t i = 0; i < n; i++)
        weights[i] = p->credentials[i].weight;
    return &p->credentials[draw(weights, n, dice, arg)];
}

/* NULL: this plane cannot use the target */
static const struct policy_provider *provider_of(const struct snapshot *policy,
                                                 const struct policy_target *t)
{
    const struct policy_provider *p = snapshot_provider(policy, t->provider_id);
    return p && ai_provider_named(p->dialect) ? p : NULL;
}

struct choice {
    const struct policy_target *target;
    const struct policy_provider *provider;
};

/* What is left to choose from, and beside each its weight. */
struct weighted_picker {
    struct choice choices[TARGETS_MAX];
    uint32_t weights[TARGETS_MAX];
    size_t count;
};

static void picker_fill(struct weighted_picker *u, const struct snapshot *policy,
                        const struct policy_model *m)
{
    u->count = 0;
    for (size_t i = 0; i < m->target_count && u->count < TARGETS_MAX; i++) {
        const struct policy_target *t = &m->targets[i];
        const struct policy_provider *p = provider_of(policy, t);
        if (!p)
            continue;
        u->choices[u->count] = (struct choice){t, p};
        u->weights[u->count++] = m->weighted ? t->weight : 0;
    }
}

static struct choice picker_take(struct weighted_picker *u, size_t at)
{
    struct choice c = u->choices[at];
    size_t behind = --u->count - at;
    memmove(&u->choices[at], &u->choices[at + 1], behind * sizeof(u->choices[0]));
    memmove(&u->weights[at], &u->weights[at + 1], behind * sizeof(u->weights[0]));
    return c;
}

size_t candidates_list(const struct snapshot *policy, const struct policy_model *m,
                       uint32_t (*dice)(void *arg), void *arg, struct candidate *ret, size_t max)
{
    struct weighted_picker picker;
    size_t n = 0;
    picker_fill(&picker, policy, m);
    while (picker.count && n < max) {
        struct choice c = picker_take(&picker, draw(picker.weights, picker.count, dice, arg));
        ret[n++] =
            (struct candidate){c.provider, pick_credential(c.provider, dice, arg), c.target->model};
    }
    return n;
}
