/* kind_agent — an agent: its team, the tasks its keys may assume, its models, its budget. */
#include "common/policy/kind.h"

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Agent *m = d->message->agent;
    struct policy_agent *p = kind_begin(d, sizeof(*p), m->org_id, m->name);
    if (!p)
        return ERR_NOMEM;
    p->team_id = kind_text(d, m->team_id);
    p->tasks = kind_names(d, m->tasks);
    p->models = kind_names(d, m->models);
    p->session_from_trace = m->session_from_trace;
    p->scope =
        (struct scope){.kind = "agent", .name = p->o.name, .account = kind_account(d, m->budget)};
    return ERR_OK;
}

const struct policy_kind kind_agent = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_AGENT,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_AGENT,
    .decode = decode,
};
