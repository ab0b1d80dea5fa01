/* kind_team — a team: the models and the budget of its agents and keys. */
#include "common/policy/kind.h"

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Team *m = d->message->team;
    struct policy_team *p = kind_begin(d, sizeof(*p), m->org_id, m->name);
    if (!p)
        return ERR_NOMEM;
    p->models = kind_names(d, m->models);
    p->catalogue_id = kind_text(d, m->catalogue_id);
    p->regions = kind_texts(d, m->regions, m->n_regions);
    p->region_count = m->n_regions;
    p->queue_weight = m->queue_weight ? m->queue_weight : 1;
    /* a demand that this plane does not know must not be left out */
    if (kind_data_policy(m->data_policy, m->n_data_policy, &p->data_policy) != ERR_OK)
        return ERR_INVALID;
    p->scope =
        (struct scope){.kind = "team", .name = p->o.name, .account = kind_account(d, m->budget)};
    return ERR_OK;
}

const struct policy_kind kind_team = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_TEAM,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_TEAM,
    .decode = decode,
};
