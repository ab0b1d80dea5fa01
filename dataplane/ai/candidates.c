/*
 * candidates — in order for "fallback"; for "weighted", drawn without putting back, so that a
 * failed first choice falls back to the others by their weights.
 */
#include "dataplane/ai/candidates.h"

#define TARGETS_MAX 64 /* considered for one model; more in a list is a mistake */

static uint32_t weight_of(uint32_t w)
{
    return w ? w : 1;
}

static const struct policy_credential *pick_credential(const struct policy_provider *p,
                                                       uint32_t (*dice)(void *), void *arg)
{
    uint64_t total = 0;
    if (p->credential_count == 1)
        return &p->credentials[0];
    for (size_t i = 0; i < p->credential_count; i++)
        total += weight_of(p->credentials[i].weight);
    if (!total)
        return NULL;
    uint64_t at = dice(arg) % total;
    for (size_t i = 0; i < p->credential_count; i++) {
        uint32_t w = weight_of(p->credentials[i].weight);
        if (at < w)
            return &p->credentials[i];
        at -= w;
    }
    return NULL;
}

/* NULL: this plane cannot use the target */
static const struct policy_provider *provider_of(const struct snapshot *policy,
                                                 const struct policy_target *t)
{
    const struct policy_provider *p = snapshot_provider(policy, t->provider_id);
    return p && slice_eq(p->dialect, SLICE("openai")) ? p : NULL;
}

static size_t eligible(const struct snapshot *policy, const struct policy_model *m,
                       const struct policy_target *list[TARGETS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < m->target_count && n < TARGETS_MAX; i++)
        if (provider_of(policy, &m->targets[i]))
            list[n++] = &m->targets[i];
    return n;
}

static size_t draw(const struct policy_target *const *list, size_t n, uint32_t (*dice)(void *),
                   void *arg)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += weight_of(list[i]->weight);
    uint64_t at = dice(arg) % total;
    for (size_t i = 0; i + 1 < n; i++) {
        uint32_t w = weight_of(list[i]->weight);
        if (at < w)
            return i;
        at -= w;
    }
    return n - 1;
}

size_t candidates_list(const struct snapshot *policy, const struct policy_model *m,
                       uint32_t (*dice)(void *arg), void *arg, struct candidate *ret, size_t max)
{
    const struct policy_target *list[TARGETS_MAX];
    size_t left = eligible(policy, m, list), n = 0;
    while (left && n < max) {
        size_t at = m->weighted ? draw(list, left, dice, arg) : 0;
        const struct policy_target *t = list[at];
        const struct policy_provider *p = provider_of(policy, t);
        ret[n++] = (struct candidate){p, pick_credential(p, dice, arg), t->model};
        memmove(&list[at], &list[at + 1], (left - at - 1) * sizeof(list[0]));
        left--;
    }
    return n;
}
