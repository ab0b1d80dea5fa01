/*
 * ai_objects — which account holds a thing that a provider keeps, whose it is, and whether the
 * lines of a batch ask for models that the principal may use.
 *
 * A thing is found through a model that the principal may use and whose target is the account; a
 * new one is made with the first such account that keeps things.
 */
#include "dataplane/ai/ai_call.h"
#include "dataplane/ai/dialect/body_member.h"
#include "dataplane/ai/dialect/openai_objects.h"

const struct slice openai_batch_paths[OBJECT_BATCH_PATHS] = {{"/v1/chat/completions", 20},
                                                             {"/v1/completions", 15},
                                                             {"/v1/embeddings", 14},
                                                             {"/v1/moderations", 15}};

struct look {
    struct ai_call *c;
    struct slice wanted; /* the provider that the client named; empty: any */
    const struct policy_model *model;
    struct candidate found;
};

/* The first account that the team may use (route_rule), or the one that is named. */
static bool holds(const struct policy_provider *p, const struct policy_team *team,
                  struct slice region, const struct ai_account *account,
                  const struct policy_credential **ret)
{
    struct ai_account own;
    uint64_t mask = route_promises(team, p) ? route_credentials(team, p, region) : 0;
    *ret = NULL;
    if (!mask || (!p->credential_count && !account->text[0]))
        return mask;
    for (size_t i = 0; i < p->credential_count && i < 64; i++) {
        if (!(mask >> i & 1))
            continue;
        ai_account_of(p->o.id, p->credentials[i].id, &own);
        *ret = &p->credentials[i];
        if (!account->text[0] || ai_account_eq(&own, account))
            return true;
    }
    ai_account_of(p->o.id, SLICE_NONE, &own);
    *ret = NULL;
    return !p->credential_count && ai_account_eq(&own, account);
}

/* May something new go there for this call, by the target's own rules? What is kept already is its
 * maker's at any time. */
static bool may_be_new(const struct ai_call *c, const struct policy_target *t)
{
    const struct request *rq = c->rq;
    const struct route_ask ask = {.who = &rq->who,
                                  .head = rq->head,
                                  .body = c->request.is_form ? SLICE_NONE : buf_slice(&rq->body),
                                  .wall_us = rq->started_at_us};
    return !t->shadow_permille && route_when_holds(&ask, t->when);
}

static bool look_at_target(struct look *l, const struct policy_model *m,
                           const struct policy_target *t)
{
    struct ai_call *c = l->c;
    const struct policy_credential *credential;
    const struct policy_provider *p = snapshot_provider(c->rq->policy, t->provider_id);
    const struct ai_provider *speaks = p ? ai_provider_for(p, c->endpoint, t->model) : NULL;
    bool wanted = p && (!l->wanted.len || slice_eq(l->wanted, p->o.name));
    if (!speaks || !wanted || t->shadow_permille || !speaks->serves(c->endpoint) ||
        !holds(p, c->rq->who.team, t->region, &c->request.stays, &credential) ||
        (!c->request.stays.text[0] && !may_be_new(c, t)))
        return false;
    l->model = m;
    l->found = (struct candidate){
        .provider = p, .credential = credential, .model = t->model, .written = t->model};
    return true;
}

static bool look_at_model(void *arg, const struct policy_model *m)
{
    struct look *l = arg;
    if (!ai_may_use(l->c->rq, m->o.name))
        return true;
    for (size_t i = 0; !l->model && i < m->target_count; i++)
        look_at_target(l, m, &m->targets[i]);
    return !l->model;
}

enum err ai_objects_find(struct ai_call *c)
{
    struct look l = {.c = c, .wanted = http_head_find(c->rq->head, SLICE("x-gatehouse-provider"))};
    snapshot_each_model(c->rq->policy, c->rq->who.key->o.org_id, look_at_model, &l);
    if (!l.model)
        return ERR_NOT_FOUND;
    c->model = l.model;
    c->request.model = c->reached = l.model->o.name;
    c->candidates[0] = l.found;
    c->candidate_count = 1;
    c->stays = true;
    return ERR_OK;
}

/* ---- a batch's lines ---- */

/* The lines go to the account that the file goes to, so that each target must be one there. */
static bool is_there(const struct ai_call *c, const struct policy_target *t)
{
    const struct candidate *to = &c->candidates[0];
    return slice_eq(t->provider_id, to->provider->o.id) && may_be_new(c, t) &&
           route_may_send(c->rq->who.team, to->credential, t->region);
}

/* The name that the account's provider knows the model by; .ptr NULL: it is none of the
 * principal's, or not this account's. */
static struct slice target_name(struct ai_call *c, struct slice model)
{
    struct request *rq = c->rq;
    struct slice rest, reached;
    const struct policy_model *m = ai_model_asked(rq, model, &reached, &rest);
    /* what a model's policy says of its calls and their price, a batch's lines cannot have */
    if (!m || m->wildcard || m->shapes || m->header_count || m->max_price_input != PRICE_NONE ||
        m->max_price_output != PRICE_NONE)
        return SLICE_NONE;
    for (size_t i = 0; i < m->target_count; i++)
        if (is_there(c, &m->targets[i]))
            return m->targets[i].model;
    return SLICE_NONE;
}

static bool is_batch_path(struct slice url)
{
    for (size_t i = 0; i < OBJECT_BATCH_PATHS; i++)
        if (slice_eq(url, openai_batch_paths[i]))
            return true;
    return false;
}

static enum err wrong_line(struct ai_call *c, size_t number, const char *what, struct slice *why)
{
    c->request.param = "file";
    *why = arena_printf(c->rq->arena, "line %zu of the batch %s", number, what);
    return ERR_INVALID;
}

static enum err take_line(struct ai_call *c, struct slice line, size_t number, struct slice *why)
{
    static const char *const wants[] = {"url", "body.model"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    char text[2][256];
    struct slice url, model;
    if (json_scan(line, wants, ARRAY_LEN(wants), hits, &root, &problem))
        return wrong_line(c, number, "is no JSON that is read here", why);
    if (json_scan_text(&hits[0], text[0], sizeof(text[0]), &url) || !is_batch_path(url))
        return wrong_line(c, number, "asks for a path that batches have not here", why);
    if (json_scan_text(&hits[1], text[1], sizeof(text[1]), &model))
        return wrong_line(c, number, "names no model", why);
    struct slice name = target_name(c, model);
    if (!name.ptr)
        return wrong_line(c, number,
                          "names a model that does not exist, is not granted, is not served by the "
                          "account that the "
                          "file goes to, or has defaults or a price ceiling of its own",
                          why);
    struct slice quoted = body_quoted(c->rq->arena, name), raw = hits[1].raw;
    const char *behind = raw.ptr + raw.len;
    enum err e = quoted.ptr
                     ? buf_append(&c->translated, slice_of(line.ptr, (size_t)(raw.ptr - line.ptr)))
                     : ERR_NOMEM;
    if (!e)
        e = buf_append(&c->translated, quoted);
    return e ? e
             : buf_append(&c->translated, slice_of(behind, (size_t)(line.ptr + line.len - behind)));
}

static enum err take_lines(struct ai_call *c, struct slice lines, struct slice *why)
{
    struct slice line;
    enum err e = ERR_OK;
    for (size_t number = 1; !e && slice_split(&lines, '\n', &line); number++) {
        bool empty = !line.len || slice_eq(line, SLICE("\r"));
        if (!empty)
            e = take_line(c, line, number, why);
        if (!e && lines.ptr)
            e = buf_append(&c->translated, SLICE("\n"));
    }
    return e;
}

enum err ai_objects_check(struct ai_call *c, struct slice *why)
{
    struct slice body = buf_slice(&c->rq->body), lines = c->request.hits[OBJECT_LINES].raw;
    if (!lines.ptr)
        return ERR_OK;
    const char *behind = lines.ptr + lines.len;
    buf_clear(&c->translated);
    enum err e = buf_append(&c->translated, slice_of(body.ptr, (size_t)(lines.ptr - body.ptr)));
    if (!e)
        e = take_lines(c, lines, why);
    if (!e)
        e = buf_append(&c->translated, slice_of(behind, (size_t)(body.ptr + body.len - behind)));
    if (e)
        return e;
    buf_clear(&c->rq->body); /* no place in it is needed any more */
    return buf_append(&c->rq->body, buf_slice(&c->translated));
}

/* ---- whose it is ---- */

#define NOTED_ID_MAX 128 /* bytes of an id that is noted; none is nearly as long */
#define NOTES_MAX 56     /* of one call, a list: its record must not grow beyond its room */

struct slice ai_objects_owner(const struct request *rq)
{
    return rq->who.agent ? rq->who.agent->o.id : rq->who.key->o.id;
}

static void note(struct ai_call *c, const char *kind, const struct ai_account *account,
                 struct slice id, bool gone)
{
    struct arena *a = c->rq->arena;
    struct kept_note *n = arena_zalloc(a, sizeof(*n));
    if (!n || !id.len || id.len > NOTED_ID_MAX || !account->text[0] || c->notes == NOTES_MAX)
        return;
    *n = (struct kept_note){.next = c->rq->record.kept,
                            .kind = kind,
                            .owner = ai_objects_owner(c->rq),
                            .account = arena_copy(a, slice_of(account->text, AI_ACCOUNT_LEN)),
                            .id = arena_copy(a, id),
                            .gone = gone};
    if (n->account.ptr && n->id.ptr)
        c->rq->record.kept = n;
    c->notes += c->rq->record.kept == n;
}

/* Without memory, or with an id that cannot be read, it is in no list. */
static void note_hit(struct ai_call *c, const char *kind, const struct ai_account *account,
                     const struct json_hit *h, bool gone)
{
    char text[NOTED_ID_MAX + 1];
    struct slice id;
    if (h->type == JSON_SCAN_STRING && !json_scan_text(h, text, sizeof(text), &id))
        note(c, kind, account, id, gone);
}

void ai_objects_note(struct ai_call *c, const struct ai_account *account, struct slice body,
                     bool known)
{
    static const char *const wants[] = {"object", "id", "deleted", "output_file_id",
                                        "error_file_id"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    if (!c->request.kept || /* the content of a file is whatever its maker wrote */
        json_scan_response(body, wants, ARRAY_LEN(wants), hits, &root, &problem) ||
        root != JSON_SCAN_OBJECT)
        return;
    bool is_file = slice_eq(hits[0].raw, SLICE("\"file\""));
    if (!is_file && !slice_eq(hits[0].raw, SLICE("\"batch\"")))
        return;
    if (!known)
        note_hit(c, is_file ? "file" : "batch", account, &hits[1], hits[2].type == JSON_SCAN_TRUE);
    for (size_t i = 3; !is_file && i < ARRAY_LEN(hits); i++)
        note_hit(c, "file", account, &hits[i], false);
}

void ai_objects_note_gone(struct ai_call *c, const char *kind, const struct ai_account *account,
                          struct slice id)
{
    note(c, kind, account, id, true);
}
