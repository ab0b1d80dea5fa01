/* object — a message becomes a typed policy object; a row per kind says how. */
#include "common/policy/policy_object.h"

#include "common/base/mem.h"
#include "common/scope/meter.h"
#include "common/wire/policy_digest.h"

/* An object's arena is one piece of the right size: the structs, and its texts twice (decoded, and
 * in the packed form). A hundred thousand keys are a hundred thousand of these. */
#define OBJECT_STRUCTS 512
#define OBJECT_MAX (1024u * 1024)

struct decode {
    struct arena *arena;
    struct object *object;
    const struct object *old;
    struct registry *registry;
    const Gatehouse__PolicyObject *message;
    bool short_of_memory;
};

static struct slice text(struct decode *d, const char *from)
{
    struct slice copy = arena_copy(d->arena, slice_str(from ? from : ""));
    if (!copy.ptr)
        d->short_of_memory = true;
    return copy;
}

static void *rows(struct decode *d, size_t count, size_t size)
{
    void *p = arena_zalloc(d->arena, count * size + 1);
    if (!p)
        d->short_of_memory = true;
    return p;
}

static struct slice *texts(struct decode *d, char *const *from, size_t n)
{
    struct slice *out = rows(d, n, sizeof(*out));
    for (size_t i = 0; out && i < n; i++)
        out[i] = text(d, from[i]);
    return out;
}

static struct name_list names(struct decode *d, const Gatehouse__NameList *from)
{
    if (!from || !from->set)
        return (struct name_list){0};
    return (struct name_list){
        .set = true, .count = from->n_names, .names = texts(d, from->names, from->n_names)};
}

static void leave_secret(void *guest)
{
    secret_drop(guest);
}

static void leave_account(void *guest)
{
    account_drop(guest);
}

static void leave_meter(void *guest)
{
    meter_drop(guest);
}

static struct secret *secret_from(struct decode *d, const ProtobufCBinaryData *from)
{
    if (from->len == 0)
        return NULL;
    struct secret *s = secret_new(slice_of(from->data, from->len));
    if (!s || arena_adopt(d->arena, s, leave_secret) != ERR_OK) {
        d->short_of_memory = true;
        return NULL;
    }
    return s;
}

static struct account *account_from(struct decode *d, const Gatehouse__Budget *budget)
{
    if (!budget || !budget->account)
        return NULL;
    struct account *a = registry_account(d->registry, slice_str(budget->account));
    if (!a || arena_adopt(d->arena, a, leave_account) != ERR_OK) {
        d->short_of_memory = true;
        return NULL;
    }
    return a;
}

static struct meter *meter_from(struct decode *d)
{
    const struct policy_key *old =
        d->old ? (const struct policy_key *)(const void *)d->old->policy : NULL;
    struct meter *m = old ? meter_hold(old->meter) : meter_new();
    if (!m || arena_adopt(d->arena, m, leave_meter) != ERR_OK) {
        d->short_of_memory = true;
        return NULL;
    }
    return m;
}

static enum err networks(struct decode *d, char *const *from, size_t n, struct cidr **ret)
{
    struct cidr *out = rows(d, n, sizeof(*out));
    for (size_t i = 0; out && i < n; i++) {
        if (cidr_parse(slice_str(from[i]), &out[i]) != ERR_OK)
            return ERR_INVALID;
    }
    *ret = out;
    return ERR_OK;
}

static struct policy_route *routes(struct decode *d, Gatehouse__Route *const *from, size_t n)
{
    struct policy_route *out = rows(d, n, sizeof(*out));
    for (size_t i = 0; out && i < n; i++) {
        out[i].methods = texts(d, from[i]->methods, from[i]->n_methods);
        out[i].method_count = from[i]->n_methods;
        out[i].path = text(d, from[i]->path);
        out[i].opaque = from[i]->opaque;
    }
    return out;
}

/* the typed struct of this message, its shared members filled */
#define BEGIN(type, body, has_name)                                                                \
    struct type *p = rows(d, 1, sizeof(*p));                                                       \
    if (!p)                                                                                        \
        return ERR_NOMEM;                                                                          \
    d->object->policy = &p->o;                                                                     \
    p->o.org_id = text(d, (body)->org_id);                                                         \
    p->o.name = text(d, (has_name))

static enum err on_team(struct decode *d)
{
    const Gatehouse__Team *m = d->message->team;
    BEGIN(policy_team, m, m->name);
    p->models = names(d, m->models);
    p->account = account_from(d, m->budget);
    return ERR_OK;
}

static enum err on_agent(struct decode *d)
{
    const Gatehouse__Agent *m = d->message->agent;
    BEGIN(policy_agent, m, m->name);
    p->team_id = text(d, m->team_id);
    p->tasks = names(d, m->tasks);
    p->models = names(d, m->models);
    p->session_from_trace = m->session_from_trace;
    return ERR_OK;
}

static enum err on_task(struct decode *d)
{
    const Gatehouse__Task *m = d->message->task;
    BEGIN(policy_task, m, m->name);
    return ERR_OK;
}

static enum err on_key(struct decode *d)
{
    const Gatehouse__Key *m = d->message->key;
    if (m->digest.len != DIGEST_LEN)
        return ERR_INVALID;
    BEGIN(policy_key, m, m->name);
    memcpy(p->digest.bytes, m->digest.data, DIGEST_LEN);
    p->digest_is_sha256 = m->digest_kind && strcmp(m->digest_kind, "sha256") == 0;
    p->public_part = text(d, m->public_part);
    p->agent_id = text(d, m->agent_id);
    p->team_id = text(d, m->team_id);
    p->models = names(d, m->models);
    p->tasks = names(d, m->tasks);
    if (m->limits) {
        p->limits = (struct policy_limits){
            .rpm = m->limits->rpm, .tpm = m->limits->tpm, .parallel = m->limits->parallel};
    }
    p->expires_at_us = m->expires_at_us;
    p->revoked = m->revoked;
    p->blocked = m->blocked;
    p->account = account_from(d, m->budget);
    p->meter = meter_from(d);
    return ERR_OK;
}

/* absent: an equal share */
static uint32_t weight_from(protobuf_c_boolean has, uint32_t value)
{
    return has ? value : 1;
}

static enum err on_provider(struct decode *d)
{
    const Gatehouse__Provider *m = d->message->provider;
    BEGIN(policy_provider, m, m->name);
    p->dialect = text(d, m->dialect);
    p->base_url = text(d, m->base_url);
    p->credential_count = m->n_credentials;
    p->credentials = rows(d, m->n_credentials, sizeof(*p->credentials));
    for (size_t i = 0; p->credentials && i < m->n_credentials; i++) {
        const Gatehouse__Credential *c = m->credentials[i];
        p->credentials[i] =
            (struct policy_credential){.id = text(d, c->id),
                                       .name = text(d, c->name),
                                       .region = text(d, c->region),
                                       .secret = secret_from(d, &c->secret),
                                       .weight = weight_from(c->has_weight, c->weight)};
    }
    p->allowed_count = m->n_allow_cidrs;
    if (networks(d, m->allow_cidrs, m->n_allow_cidrs, &p->allowed) != ERR_OK)
        return ERR_INVALID;
    return url_parse(p->base_url, &p->url);
}

static price price_from(protobuf_c_boolean has, int64_t value)
{
    return has ? value : PRICE_NONE;
}

static enum err on_model(struct decode *d)
{
    const Gatehouse__Model *m = d->message->model;
    BEGIN(policy_model, m, m->name);
    p->weighted = m->strategy && strcmp(m->strategy, "weighted") == 0;
    p->target_count = m->n_targets;
    p->targets = rows(d, m->n_targets, sizeof(*p->targets));
    for (size_t i = 0; p->targets && i < m->n_targets; i++) {
        p->targets[i] = (struct policy_target){
            .provider_id = text(d, m->targets[i]->provider_id),
            .model = text(d, m->targets[i]->model),
            .weight = weight_from(m->targets[i]->has_weight, m->targets[i]->weight)};
    }
    p->price = (struct price_list){PRICE_NONE, PRICE_NONE, PRICE_NONE, PRICE_NONE};
    if (m->price) {
        p->price.input = price_from(m->price->has_input, m->price->input);
        p->price.output = price_from(m->price->has_output, m->price->output);
        p->price.cache_read = price_from(m->price->has_cache_read, m->price->cache_read);
        p->price.cache_write = price_from(m->price->has_cache_write, m->price->cache_write);
    }
    p->max_output_tokens = m->max_output_tokens;
    p->created_at_us = m->created_at_us;
    return ERR_OK;
}

static enum err on_server(struct decode *d)
{
    const Gatehouse__McpServer *m = d->message->mcp_server;
    BEGIN(policy_server, m, m->name);
    p->url_text = text(d, m->url);
    p->credential_header = text(d, m->credential_header);
    p->credential = secret_from(d, &m->credential_secret);
    p->allowed_count = m->n_allow_cidrs;
    if (networks(d, m->allow_cidrs, m->n_allow_cidrs, &p->allowed) != ERR_OK)
        return ERR_INVALID;
    return url_parse(p->url_text, &p->url);
}

static enum err on_service(struct decode *d)
{
    const Gatehouse__ApiService *m = d->message->api_service;
    BEGIN(policy_service, m, m->name);
    p->base_url = text(d, m->base_url);
    p->credential_header = text(d, m->credential_header);
    p->credential = secret_from(d, &m->credential_secret);
    p->route_count = m->n_routes;
    p->routes = routes(d, m->routes, m->n_routes);
    p->set_cookie = m->set_cookie;
    p->allowed_count = m->n_allow_cidrs;
    if (networks(d, m->allow_cidrs, m->n_allow_cidrs, &p->allowed) != ERR_OK)
        return ERR_INVALID;
    return url_parse(p->base_url, &p->url);
}

static enum err on_grant(struct decode *d)
{
    const Gatehouse__Grant *m = d->message->grant;
    BEGIN(policy_grant, m, "");
    p->agent_id = text(d, m->agent_id);
    p->team_id = text(d, m->team_id);
    p->task_id = text(d, m->task_id);
    p->server_id = text(d, m->server_id);
    p->service_id = text(d, m->service_id);
    p->tool_count = m->n_tools;
    p->tools = texts(d, m->tools, m->n_tools);
    p->route_count = m->n_routes;
    p->routes = routes(d, m->routes, m->n_routes);
    p->routes_set = m->routes_set;
    p->models = (struct name_list){
        .set = m->n_models > 0, .count = m->n_models, .names = texts(d, m->models, m->n_models)};
    d->object->subject = p->agent_id.len > 0 ? p->agent_id : p->team_id;
    return d->object->subject.len > 0 ? ERR_OK : ERR_INVALID;
}

struct policy_plain { /* kinds that are nothing but a name or a subject */
    struct policy_object o;
};

static enum err on_block(struct decode *d)
{
    const Gatehouse__Block *m = d->message->block;
    BEGIN(policy_plain, m, "");
    if (!m->subject_kind || !m->subject_id)
        return ERR_INVALID;
    d->object->subject = arena_printf(d->arena, "%s:%s", m->subject_kind, m->subject_id);
    return d->object->subject.ptr ? ERR_OK : ERR_NOMEM;
}

/* Settings are read from the packed form by snapshot_build; the object only carries them. */
static enum err on_settings(struct decode *d)
{
    struct policy_plain *p = rows(d, 1, sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    d->object->policy = &p->o;
    return ERR_OK;
}

/* kind, its body's case in the message, how it is read, whether it is found by name */
static const struct {
    Gatehouse__ObjectKind kind;
    Gatehouse__PolicyObject__BodyCase body;
    enum err (*decode)(struct decode *d);
    bool named;
} kinds[] = {
    {GATEHOUSE__OBJECT_KIND__KIND_SETTINGS, GATEHOUSE__POLICY_OBJECT__BODY_SETTINGS, on_settings,
     false},
    {GATEHOUSE__OBJECT_KIND__KIND_TEAM, GATEHOUSE__POLICY_OBJECT__BODY_TEAM, on_team, false},
    {GATEHOUSE__OBJECT_KIND__KIND_AGENT, GATEHOUSE__POLICY_OBJECT__BODY_AGENT, on_agent, false},
    {GATEHOUSE__OBJECT_KIND__KIND_TASK, GATEHOUSE__POLICY_OBJECT__BODY_TASK, on_task, true},
    {GATEHOUSE__OBJECT_KIND__KIND_KEY, GATEHOUSE__POLICY_OBJECT__BODY_KEY, on_key, false},
    {GATEHOUSE__OBJECT_KIND__KIND_PROVIDER, GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER, on_provider,
     false},
    {GATEHOUSE__OBJECT_KIND__KIND_MODEL, GATEHOUSE__POLICY_OBJECT__BODY_MODEL, on_model, true},
    {GATEHOUSE__OBJECT_KIND__KIND_MCP_SERVER, GATEHOUSE__POLICY_OBJECT__BODY_MCP_SERVER, on_server,
     true},
    {GATEHOUSE__OBJECT_KIND__KIND_API_SERVICE, GATEHOUSE__POLICY_OBJECT__BODY_API_SERVICE,
     on_service, true},
    {GATEHOUSE__OBJECT_KIND__KIND_GRANT, GATEHOUSE__POLICY_OBJECT__BODY_GRANT, on_grant, false},
    {GATEHOUSE__OBJECT_KIND__KIND_BLOCK, GATEHOUSE__POLICY_OBJECT__BODY_BLOCK, on_block, false},
};

static enum err decode_typed(struct decode *d)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (kinds[i].kind != d->message->kind)
            continue;
        if (d->message->body_case != kinds[i].body)
            return ERR_INVALID;
        enum err e = kinds[i].decode(d);
        if (e != ERR_OK)
            return e;
        struct policy_object *p = d->object->policy;
        p->kind = (int)kinds[i].kind;
        p->id = text(d, d->message->id);
        p->revision = d->message->revision;
        if (kinds[i].named) {
            d->object->scoped =
                arena_printf(d->arena, "%.*s/%.*s", SLICE_ARG(p->org_id), SLICE_ARG(p->name));
            if (!d->object->scoped.ptr)
                return ERR_NOMEM;
        }
        return ERR_OK;
    }
    return ERR_INVALID;
}

static bool has_secrets(Gatehouse__ObjectKind kind)
{
    return kind == GATEHOUSE__OBJECT_KIND__KIND_SETTINGS ||
           kind == GATEHOUSE__OBJECT_KIND__KIND_PROVIDER ||
           kind == GATEHOUSE__OBJECT_KIND__KIND_MCP_SERVER ||
           kind == GATEHOUSE__OBJECT_KIND__KIND_API_SERVICE;
}

/* Packed forms that hold secrets live where secrets live. */
static enum err keep_packed(struct decode *d)
{
    size_t len = gatehouse__policy_object__get_packed_size(d->message);
    bool hide = has_secrets(d->message->kind);
    uint8_t *to = hide ? mem_alloc(len + 1) : arena_alloc(d->arena, len + 1);
    if (!to)
        return ERR_NOMEM;
    gatehouse__policy_object__pack(d->message, to);
    if (!hide) {
        d->object->packed = slice_of(to, len);
        return ERR_OK;
    }
    ProtobufCBinaryData plain = {.len = len, .data = to};
    struct secret *kept = secret_from(d, &plain);
    secret_wipe(to, len);
    mem_free(to);
    if (!kept)
        return ERR_NOMEM;
    d->object->packed = secret_reveal(kept);
    return ERR_OK;
}

enum err object_new(const Gatehouse__PolicyObject *message, const struct object *old,
                    struct registry *registry, struct object **ret)
{
    if (!message->id || message->id[0] == '\0')
        return ERR_INVALID;
    size_t packed = gatehouse__policy_object__get_packed_size(message);
    struct arena *arena = arena_new(OBJECT_STRUCTS + 2 * packed, OBJECT_MAX);
    if (!arena)
        return ERR_NOMEM;
    struct object *object = arena_zalloc(arena, sizeof(*object));
    if (!object) {
        arena_free(arena);
        return ERR_NOMEM;
    }
    atomic_init(&object->refs, 1);
    object->arena = arena;
    struct decode d = {
        .arena = arena, .object = object, .old = old, .registry = registry, .message = message};
    enum err e = decode_typed(&d);
    if (e == ERR_OK)
        e = keep_packed(&d);
    if (e == ERR_OK && d.short_of_memory)
        e = ERR_NOMEM;
    if (e != ERR_OK) {
        arena_free(arena);
        return e;
    }
    policy_digest_row(object->policy->kind, object->policy->id, object->policy->revision,
                      &object->row);
    *ret = object;
    return ERR_OK;
}

void object_hold(void *object)
{
    atomic_fetch_add_explicit(&((struct object *)object)->refs, 1, memory_order_relaxed);
}

void object_drop(void *object)
{
    struct object *o = object;
    if (o && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
        arena_free(o->arena);
}
