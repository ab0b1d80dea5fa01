/* kind_grant — what one agent or one team may use; found by that agent or team. */
#include "common/policy/kind.h"

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Grant *m = d->message->grant;
    struct policy_grant *p = kind_begin(d, sizeof(*p), m->org_id, "");
    if (!p)
        return ERR_NOMEM;
    p->agent_id = kind_text(d, m->agent_id);
    p->team_id = kind_text(d, m->team_id);
    p->task_id = kind_text(d, m->task_id);
    p->server_id = kind_text(d, m->server_id);
    p->service_id = kind_text(d, m->service_id);
    p->provider_id = kind_text(d, m->provider_id);
    p->unpriced_allowed = m->unpriced && strcmp(m->unpriced, "allow") == 0;
    p->tool_count = m->n_tools;
    p->tools = kind_texts(d, m->tools, m->n_tools);
    p->route_count = m->n_routes;
    p->routes = kind_routes(d, m->routes, m->n_routes);
    p->routes_set = m->routes_set;
    p->models = (struct name_list){.set = m->n_models > 0,
                                   .count = m->n_models,
                                   .names = kind_texts(d, m->models, m->n_models)};
    d->object->subject = p->agent_id.len > 0 ? p->agent_id : p->team_id;
    return d->object->subject.len > 0 ? ERR_OK : ERR_INVALID;
}

const struct policy_kind kind_grant = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_GRANT,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_GRANT,
    .decode = decode,
};
