/*
 * passthrough_rewrite — what of a modelled call's body is not sent as it came.
 *
 * A model of the policy whose calls are shaped (defaults, overrides, what is dropped, a system
 * prompt) may not be had without them by its provider's own name: where every model that leads
 * there and that the principal may use is shaped, or all are that lead there, the body is shaped by
 * the first. And a stream whose usage the client did not ask for is asked for it, where its dialect
 * has a word for that: what a model reasoned in hiding shows in no word of the stream. What the
 * client gets then is passthrough_meter's.
 */
#include "common/base/secret.h"
#include "dataplane/ai/ai_call.h"
#include "dataplane/ai/dialect/body_shape.h"
#include "dataplane/ai/passthrough/passthrough_private.h"

struct shape_search {
    const struct passthrough_call *p;
    struct request_right right;
    const struct policy_model *found;
    bool may_use; /* it may */
    bool plain;   /* one that says nothing of its calls may be used */
};

static bool look_at_shape(void *arg, const struct policy_model *m)
{
    struct shape_search *s = arg;
    bool may_use;
    if (!passthrough_leads_to(m, s->p->provider, s->p->request.model, &s->right, &may_use))
        return true;
    if (!m->shapes)
        s->plain = s->plain || may_use;
    else if (!s->found || (may_use && !s->may_use)) {
        s->found = m;
        s->may_use = may_use;
    }
    return !s->plain;
}

/* NULL: as it came. */
static const struct policy_model *shape_of(const struct passthrough_call *p)
{
    const struct request *rq = p->rq;
    struct shape_search s = {.p = p, .right = request_right_of(rq)};
    if (p->request.is_form || !p->request.model.len)
        return NULL;
    snapshot_each_model(rq->policy, rq->who.key->o.org_id, look_at_shape, &s);
    return s.plain ? NULL : s.found;
}

static enum err read_again(struct passthrough_call *p, struct ai_incoming *in, struct slice *why)
{
    p->request = (struct ai_request){.choices = 1};
    in->body = buf_slice(&p->rq->body);
    return p->endpoint->dialect->read(in, &p->request, why);
}

static enum err shape(struct passthrough_call *p, const struct policy_model *m, struct buf *spare,
                      uint64_t *output_default, struct slice *why)
{
    struct body_shaping s = {.model = m,
                             .words = p->endpoint->dialect->words,
                             .arena = p->rq->arena,
                             .body = &p->rq->body,
                             .spare = spare};
    enum err e = body_shape(&s);
    *why = s.why;
    *output_default = s.output_default;
    return e;
}

/* As the AI gate would tell this account, whose dialect it is. */
static enum err build(struct passthrough_call *p, struct buf *spare, uint64_t output)
{
    struct request *rq = p->rq;
    struct ai_outgoing *o = arena_zalloc(rq->arena, sizeof(*o));
    if (!o)
        return ERR_NOMEM;
    o->endpoint = p->endpoint;
    o->request = &p->request;
    o->body = buf_slice(&rq->body);
    o->client_head = rq->head;
    o->target = p->provider;
    o->account = p->account;
    o->url = p->account ? &p->account->url : &p->provider->url;
    o->changes = (struct ai_changes){.model = p->request.model, .output_limit = output};
    o->arena = rq->arena;
    o->translated = spare;
    enum err e = p->speaker->build(o);
    secret_wipe(o->secret, o->secret_len);
    buf_clear(spare);
    for (size_t i = 0; !e && i < AI_REQUEST_PIECES; i++)
        e = buf_append(spare, o->pieces[i]);
    if (e)
        return e;
    buf_clear(&rq->body); /* no place in it is needed any more */
    return buf_append(&rq->body, buf_slice(spare));
}

/* Only OpenAI's have to be asked, and say it in an event of its own. */
static bool may_hide_usage(const struct passthrough_call *p)
{
    const struct ai_dialect *d = p->endpoint->dialect;
    return (d == &dialect_openai_chat || d == &dialect_openai_completions) && p->request.stream &&
           !p->request.wants_usage;
}

enum err passthrough_rewrite(struct passthrough_call *p, struct ai_incoming *in, struct slice *why)
{
    const struct policy_model *m = shape_of(p);
    struct buf spare;
    uint64_t output = 0;
    enum err e = ERR_OK;
    p->speaker = ai_provider_for(p->provider, p->endpoint, p->request.model);
    if (!m && !may_hide_usage(p))
        return ERR_OK;
    buf_init(&spare, 2 * LIMIT_AI_BODY);
    if (m)
        e = shape(p, m, &spare, &output, why);
    if (m && !e)
        e = read_again(p, in, why);
    bool hides = !e && may_hide_usage(p);
    if (!e && (hides || output))
        e = build(p, &spare, p->request.output_ceiling ? 0 : output);
    buf_fini(&spare);
    if (!e && (hides || output))
        e = read_again(p, in, why);
    p->strips = !e && hides && p->request.wants_usage;
    return e;
}
