/* build — bodies, field by field. The wire's meaning of each stands in proto/policy.proto. */
#include "controlplane/policy/build.h"

#include <string.h>

#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/secret.h"
#include "controlplane/policy/spec.h"
#include "controlplane/store/store_secret.h"

#define SECRET_MAX (16 * 1024) /* twice what the API takes as a secret */

enum err builder_init(struct builder *b, struct tx *tx, const struct seal *seal)
{
    *b = (struct builder){.tx = tx, .seal = seal};
    b->arena = arena_new(LIMIT_ARENA_CHUNK, LIMIT_ARENA_MAX);
    return b->arena ? ERR_OK : ERR_NOMEM;
}

void builder_reset(struct builder *b)
{
    for (size_t i = 0; i < b->secret_count; i++)
        secret_wipe(b->secrets[i].data, b->secrets[i].len);
    b->secret_count = 0;
    arena_reset(b->arena);
}

void builder_fini(struct builder *b)
{
    builder_reset(b);
    arena_free(b->arena);
}

static enum err keep_secret(struct builder *b, struct slice plain, ProtobufCBinaryData *ret)
{
    if (b->secret_count == BUILDER_SECRETS)
        return ERR_TOO_BIG;
    struct slice copy = arena_copy(b->arena, plain);
    if (!copy.ptr)
        return ERR_NOMEM;
    *ret = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)copy.ptr, .len = copy.len};
    b->secrets[b->secret_count++] = *ret;
    return ERR_OK;
}

static void wipe_buf(struct buf *plain)
{
    if (plain->data)
        secret_wipe(plain->data, plain->cap);
    buf_fini(plain);
}

enum err builder_installation(struct builder *b, const char *name, ProtobufCBinaryData *ret,
                              uint64_t *ret_revision)
{
    struct buf plain;
    buf_init(&plain, SECRET_MAX);
    enum err e = store_installation_get(b->tx, b->seal, name, &plain, ret_revision);
    if (e == ERR_OK)
        e = keep_secret(b, buf_slice(&plain), ret);
    wipe_buf(&plain);
    return e;
}

/* A secret that was cleared (its host changed) is absent, not an error. */
static enum err open_secret(struct builder *b, const char *owner, const char *slot,
                            ProtobufCBinaryData *ret, protobuf_c_boolean *has)
{
    struct buf plain;
    buf_init(&plain, SECRET_MAX);
    enum err e = store_secret_open(b->tx, b->seal, slice_str(owner), slice_str(slot), &plain);
    if (e == ERR_OK)
        e = keep_secret(b, buf_slice(&plain), ret);
    *has = e == ERR_OK;
    wipe_buf(&plain);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

/* A new message of this type in the arena, its body set in m; leaves the function without memory.
 */
#define BODY(b, m, type, lower, member, CASE)                                                      \
    Gatehouse__##type *body = arena_alloc((b)->arena, sizeof(*body));                              \
    if (!body)                                                                                     \
        return ERR_NOMEM;                                                                          \
    gatehouse__##lower##__init(body);                                                              \
    body->org_id = (char *)row->org;                                                               \
    (m)->body_case = GATEHOUSE__POLICY_OBJECT__BODY_##CASE;                                        \
    (m)->member = body

enum err build_team(struct builder *b, const struct build_row *row, Gatehouse__PolicyObject *m)
{
    BODY(b, m, Team, team, team, TEAM);
    body->name = (char *)row->name;
    enum err e = spec_names(b->arena, row->spec, "models", &body->models);
    if (e == ERR_OK)
        e = spec_budget(b->arena, row->spec, "team:", row->id, &body->budget);
    return e == ERR_OK ? spec_limits(b->arena, row->spec, &body->limits) : e;
}

enum err build_agent(struct builder *b, const struct build_row *row, Gatehouse__PolicyObject *m)
{
    BODY(b, m, Agent, agent, agent, AGENT);
    const char *from = spec_text(row->spec, "session_from");
    body->name = (char *)row->name;
    body->team_id = spec_text(row->spec, "team");
    body->has_session_from_trace = true;
    body->session_from_trace = from && strcmp(from, "trace") == 0;
    enum err e = spec_names(b->arena, row->spec, "tasks", &body->tasks);
    return e == ERR_OK ? spec_names(b->arena, row->spec, "models", &body->models) : e;
}

enum err build_task(struct builder *b, const struct build_row *row, Gatehouse__PolicyObject *m)
{
    BODY(b, m, Task, task, task, TASK);
    body->name = (char *)row->name;
    return ERR_OK;
}

static enum err key_digest(struct builder *b, const json_t *spec, Gatehouse__Key *body)
{
    size_t len = 0;
    uint8_t *bytes = arena_alloc(b->arena, DIGEST_LEN);
    if (!bytes)
        return ERR_NOMEM;
    enum err e = digest_unhex(json_text(spec, "digest"), bytes, DIGEST_LEN, &len);
    if (e != ERR_OK || len != DIGEST_LEN)
        return ERR_INVALID;
    body->has_digest = true;
    body->digest = (ProtobufCBinaryData){.data = bytes, .len = len};
    return ERR_OK;
}

enum err build_key(struct builder *b, const struct build_row *row, Gatehouse__PolicyObject *m)
{
    BODY(b, m, Key, key, key, KEY);
    body->name = (char *)row->name;
    body->public_part = spec_text(row->spec, "public_part");
    body->digest_kind = spec_text(row->spec, "digest_kind");
    body->agent_id = spec_text(row->spec, "agent");
    body->team_id = spec_text(row->spec, "team");
    body->has_revoked = body->has_blocked = body->has_expires_at_us = true;
    body->revoked = spec_true(row->spec, "revoked");
    body->blocked = spec_true(row->spec, "blocked");
    enum err e = spec_time(row->spec, "expires_at", &body->expires_at_us);
    if (e == ERR_OK)
        e = key_digest(b, row->spec, body);
    if (e == ERR_OK)
        e = spec_names(b->arena, row->spec, "models", &body->models);
    if (e == ERR_OK)
        e = spec_names(b->arena, row->spec, "tasks", &body->tasks);
    if (e == ERR_OK)
        e = spec_budget(b->arena, row->spec, "key:", row->id, &body->budget);
    return e == ERR_OK ? spec_limits(b->arena, row->spec, &body->limits) : e;
}

static enum err credential(struct builder *b, const struct build_row *row, const json_t *spec,
                           Gatehouse__Credential **ret)
{
    Gatehouse__Credential *c = arena_alloc(b->arena, sizeof(*c));
    if (!c)
        return ERR_NOMEM;
    gatehouse__credential__init(c);
    c->id = spec_text(spec, "id");
    c->name = spec_text(spec, "name");
    c->region = spec_text(spec, "region");
    c->rpm = spec_u32(spec, "rpm", &c->has_rpm);
    c->tpm = spec_u32(spec, "tpm", &c->has_tpm);
    c->weight = spec_u32(spec, "weight", &c->has_weight);
    *ret = c;
    return c->id ? open_secret(b, row->id, c->id, &c->secret, &c->has_secret) : ERR_INVALID;
}

enum err build_provider(struct builder *b, const struct build_row *row, Gatehouse__PolicyObject *m)
{
    BODY(b, m, Provider, provider, provider, PROVIDER);
    const json_t *list = json_object_get(row->spec, "credentials");
    size_t count = json_array_size(list);
    body->name = (char *)row->name;
    body->dialect = spec_text(row->spec, "dialect");
    body->base_url = spec_text(row->spec, "base_url");
    body->credentials = arena_alloc(b->arena, (count + 1) * sizeof(Gatehouse__Credential *));
    enum err e = body->credentials ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; i < count && e == ERR_OK; i++)
        e = credential(b, row, json_array_get(list, i), &body->credentials[i]);
    body->n_credentials = count;
    return e == ERR_OK ? spec_texts(b->arena, json_object_get(row->spec, "allow_cidrs"),
                                    &body->allow_cidrs, &body->n_allow_cidrs)
                       : e;
}

static enum err targets(struct builder *b, const json_t *list, Gatehouse__Model *body)
{
    size_t count = json_array_size(list);
    body->targets = arena_alloc(b->arena, (count + 1) * sizeof(Gatehouse__Target *));
    if (!body->targets)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(list, i);
        Gatehouse__Target *t = arena_alloc(b->arena, sizeof(*t));
        if (!t)
            return ERR_NOMEM;
        gatehouse__target__init(t);
        t->provider_id = spec_text(row, "provider");
        t->model = spec_text(row, "model");
        t->weight = spec_u32(row, "weight", &t->has_weight);
        body->targets[i] = t;
    }
    body->n_targets = count;
    return ERR_OK;
}

enum err build_model(struct builder *b, const struct build_row *row, Gatehouse__PolicyObject *m)
{
    BODY(b, m, Model, model, model, MODEL);
    body->name = (char *)row->name;
    body->strategy = spec_text(row->spec, "strategy");
    body->max_output_tokens =
        spec_u32(row->spec, "max_output_tokens", &body->has_max_output_tokens);
    body->has_created_at_us = true;
    body->created_at_us = row->created_at;
    enum err e = targets(b, json_object_get(row->spec, "targets"), body);
    return e == ERR_OK ? spec_price(b->arena, row->spec, &body->price) : e;
}

enum err build_mcp_server(struct builder *b, const struct build_row *row,
                          Gatehouse__PolicyObject *m)
{
    BODY(b, m, McpServer, mcp_server, mcp_server, MCP_SERVER);
    const json_t *inject = json_object_get(row->spec, "credential");
    body->name = (char *)row->name;
    body->transport = spec_text(row->spec, "transport");
    body->url = spec_text(row->spec, "url");
    body->credential_header = spec_text(inject, "header");
    enum err e = spec_texts(b->arena, json_object_get(row->spec, "allow_cidrs"), &body->allow_cidrs,
                            &body->n_allow_cidrs);
    return e == ERR_OK && inject ? open_secret(b, row->id, "credential", &body->credential_secret,
                                               &body->has_credential_secret)
                                 : e;
}

enum err build_api_service(struct builder *b, const struct build_row *row,
                           Gatehouse__PolicyObject *m)
{
    BODY(b, m, ApiService, api_service, api_service, API_SERVICE);
    const json_t *inject = json_object_get(row->spec, "credential");
    body->name = (char *)row->name;
    body->base_url = spec_text(row->spec, "base_url");
    body->credential_header = spec_text(inject, "header");
    body->has_set_cookie = true;
    body->set_cookie = spec_true(row->spec, "set_cookie");
    enum err e = spec_texts(b->arena, json_object_get(row->spec, "allow_cidrs"), &body->allow_cidrs,
                            &body->n_allow_cidrs);
    if (e == ERR_OK)
        e = spec_routes(b->arena, row->spec, &body->routes, &body->n_routes);
    return e == ERR_OK && inject ? open_secret(b, row->id, "credential", &body->credential_secret,
                                               &body->has_credential_secret)
                                 : e;
}

enum err build_grant(struct builder *b, const struct build_row *row, Gatehouse__PolicyObject *m)
{
    BODY(b, m, Grant, grant, grant, GRANT);
    body->agent_id = spec_text(row->spec, "agent");
    body->team_id = spec_text(row->spec, "team");
    body->task_id = spec_text(row->spec, "task");
    body->server_id = spec_text(row->spec, "server");
    body->service_id = spec_text(row->spec, "service");
    body->has_routes_set = true;
    body->routes_set = json_is_array(json_object_get(row->spec, "routes"));
    enum err e =
        spec_texts(b->arena, json_object_get(row->spec, "tools"), &body->tools, &body->n_tools);
    if (e == ERR_OK)
        e = spec_routes(b->arena, row->spec, &body->routes, &body->n_routes);
    return e == ERR_OK ? spec_texts(b->arena, json_object_get(row->spec, "models"), &body->models,
                                    &body->n_models)
                       : e;
}

enum err build_block(struct builder *b, const struct build_row *row, Gatehouse__PolicyObject *m)
{
    static const char *const subjects[] = {"key", "agent", "team", "session"};
    BODY(b, m, Block, block, block, BLOCK);
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
        if (!spec_text(row->spec, subjects[i]))
            continue;
        body->subject_kind = (char *)subjects[i];
        body->subject_id = spec_text(row->spec, subjects[i]);
        return ERR_OK;
    }
    return ERR_INVALID;
}
