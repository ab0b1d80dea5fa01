/*
 * flow_policy — a few lines of a test as the objects the control plane would push.
 */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/policy/snapshot_build.h"
#include "common/scope/lease_client.h"
#include "common/scope/registry.h"
#include "common/wire/keyprint.h"
#include "dataplane/ai/dialect/openai_body.h"
#include "tests/kit/flow/flow_private.h"

#define NAMES_MAX 8
#define ID_ROOM 80
#define PROVIDER_SECRET "sk-upstream-secret-of-provider-"

static uint8_t installation_key[32] = "an installation key of 32 bytes";

const char *flow_secret(struct flow *k, const char *key_name)
{
    for (size_t i = 0; i < k->secret_count; i++)
        if (strcmp(k->secret_names[i], key_name) == 0)
            return k->secrets[i];
    assert_true(k->secret_count < ARRAY_LEN(k->secrets));
    size_t i = k->secret_count++;
    k->secret_names[i] = key_name;
    keyprint_make(k->secrets[i]);
    return k->secrets[i];
}

struct building {
    struct flow *k;
    struct snapshot_build *b;
};

/* An object keeps its revision for as long as it says the same. */
static uint64_t revision_of(struct flow *k, Gatehouse__PolicyObject *o)
{
    static uint8_t packed[16384];
    o->revision = 0;
    assert_true(gatehouse__policy_object__get_packed_size(o) <= sizeof(packed));
    uint64_t hash = map_hash(slice_of(packed, gatehouse__policy_object__pack(o, packed)));
    struct flow_object *known = k->objects;
    while (known->hash && strcmp(known->id, o->id) != 0)
        known++;
    assert_true(known < k->objects + ARRAY_LEN(k->objects) - 1);
    if (known->hash != hash) {
        snprintf(known->id, sizeof(known->id), "%s", o->id);
        known->hash = hash;
        known->revision = k->version;
    }
    return known->revision;
}

static void apply(struct building *d, Gatehouse__PolicyObject *o, int kind, const char *prefix,
                  const char *name)
{
    char id[ID_ROOM];
    snprintf(id, sizeof(id), "%s%s", prefix, name);
    o->has_kind = o->has_revision = true;
    o->kind = (Gatehouse__ObjectKind)kind;
    o->id = id;
    o->revision = revision_of(d->k, o);
    assert_int_equal(snapshot_build_apply(d->b, o), ERR_OK);
}

/* names of a list; ids where a prefix is given */
struct names {
    Gatehouse__NameList list;
    char *pointers[NAMES_MAX];
    char ids[NAMES_MAX][ID_ROOM];
};

static Gatehouse__NameList *list_of(struct names *n, const char *const *from, size_t max,
                                    const char *prefix)
{
    gatehouse__name_list__init(&n->list);
    if (!from[0])
        return NULL;
    n->list.has_set = n->list.set = true;
    n->list.names = n->pointers;
    for (size_t i = 0; i < max && from[i] && from[i][0]; i++) {
        snprintf(n->ids[i], sizeof(n->ids[i]), "%s%s", prefix, from[i]);
        n->pointers[n->list.n_names++] = n->ids[i];
    }
    return &n->list;
}

static Gatehouse__Budget *budget_of(struct building *d, Gatehouse__Budget *b, char *id, money limit)
{
    gatehouse__budget__init(b);
    if (!limit) {
        ledger_kit_budget(&d->k->ledger, id, -1, PERIOD_TOTAL);
        return NULL;
    }
    if (limit < 0)
        limit = 0; /* a budget that is there, and empty */
    b->account = id;
    b->has_limit_nano = true;
    b->limit_nano = limit;
    b->period = "total";
    ledger_kit_budget(&d->k->ledger, id, limit, PERIOD_TOTAL);
    return b;
}

static void add_settings(struct building *d)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Settings s = GATEHOUSE__SETTINGS__INIT;
    s.has_key_hmac = s.has_session_seal = true;
    s.key_hmac = (ProtobufCBinaryData){sizeof(installation_key), installation_key};
    s.session_seal = s.key_hmac;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_SETTINGS;
    o.settings = &s;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_SETTINGS, "settings", "");
}

static void add_key(struct building *d, const struct flow_key *f)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Key key = GATEHOUSE__KEY__INIT;
    Gatehouse__Budget budget;
    Gatehouse__Limits limits = GATEHOUSE__LIMITS__INIT;
    struct names models, tasks;
    struct digest digest;
    char agent[ID_ROOM], team[ID_ROOM], account[ID_ROOM];
    keyprint_hmac(slice_of(installation_key, sizeof(installation_key)),
                  slice_str(flow_secret(d->k, f->name)), &digest);
    snprintf(agent, sizeof(agent), "a_%s", f->agent ? f->agent : "");
    snprintf(team, sizeof(team), "t_%s", f->team ? f->team : "");
    snprintf(account, sizeof(account), "key:k_%s", f->name);
    key.org_id = "org";
    key.name = (char *)(uintptr_t)f->name;
    key.has_digest = true;
    key.digest = (ProtobufCBinaryData){DIGEST_LEN, digest.bytes};
    key.agent_id = f->agent ? agent : NULL;
    key.team_id = f->team ? team : NULL;
    key.models = list_of(&models, f->models, ARRAY_LEN(f->models), "");
    key.tasks = list_of(&tasks, f->tasks, ARRAY_LEN(f->tasks), "task_");
    key.budget = budget_of(d, &budget, account, f->budget);
    limits.has_rpm = limits.has_parallel = true;
    limits.rpm = f->rpm;
    limits.parallel = f->parallel;
    key.limits = &limits;
    key.has_expires_at_us = true;
    key.expires_at_us = f->expires_at_us;
    key.has_revoked = key.has_blocked = true;
    key.revoked = f->revoked;
    key.blocked = f->blocked;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_KEY;
    o.key = &key;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_KEY, "k_", f->name);
}

static void add_team(struct building *d, const struct flow_team *f)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Team team = GATEHOUSE__TEAM__INIT;
    Gatehouse__Budget budget;
    struct names models;
    char account[ID_ROOM];
    snprintf(account, sizeof(account), "team:t_%s", f->name);
    team.org_id = "org";
    team.name = (char *)(uintptr_t)f->name;
    team.models = list_of(&models, f->models, ARRAY_LEN(f->models), "");
    team.budget = budget_of(d, &budget, account, f->budget);
    team.catalogue_id = f->own_prices ? (char *)(uintptr_t) "cat_own" : NULL;
    if (f->also)
        f->also(&team);
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_TEAM;
    o.team = &team;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_TEAM, "t_", f->name);
}

static void add_agent(struct building *d, const struct flow_agent *f)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Agent agent = GATEHOUSE__AGENT__INIT;
    struct names tasks;
    char team[ID_ROOM];
    snprintf(team, sizeof(team), "t_%s", f->team ? f->team : "");
    agent.org_id = "org";
    agent.name = (char *)(uintptr_t)f->name;
    agent.team_id = f->team ? team : NULL;
    agent.tasks = list_of(&tasks, f->tasks, ARRAY_LEN(f->tasks), "task_");
    agent.has_session_from_trace = true;
    agent.session_from_trace = f->session_from_trace;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_AGENT;
    o.agent = &agent;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_AGENT, "a_", f->name);
}

static void add_task(struct building *d, const char *name)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Task task = GATEHOUSE__TASK__INIT;
    task.org_id = "org";
    task.name = (char *)(uintptr_t)name;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_TASK;
    o.task = &task;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_TASK, "task_", name);
}

static void add_provider(struct building *d, const struct flow_provider *f, size_t i)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Provider provider = GATEHOUSE__PROVIDER__INIT;
    Gatehouse__Credential credential = GATEHOUSE__CREDENTIAL__INIT;
    Gatehouse__Credential second = GATEHOUSE__CREDENTIAL__INIT;
    Gatehouse__Credential *credentials[] = {&credential, &second};
    char name[16], url[128], secret[4096], *cidrs[] = {"127.0.0.0/8"};
    snprintf(name, sizeof(name), "provider-%zu", i);
    Gatehouse__Timeouts timeouts = GATEHOUSE__TIMEOUTS__INIT;
    Gatehouse__ProviderHeader header = GATEHOUSE__PROVIDER_HEADER__INIT, *headers[] = {&header};
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s%s", d->k->upstreams[i].port,
             f->path ? f->path : "/v1", f->query ? f->query : "");
    if (f->secret)
        snprintf(secret, sizeof(secret), "%s", f->secret);
    else
        snprintf(secret, sizeof(secret), PROVIDER_SECRET "%zu", i);
    credential.region = (char *)(uintptr_t)f->region;
    credential.access_key_id = (char *)(uintptr_t)f->access_key_id;
    if (f->session_token) {
        credential.has_session_token = true;
        credential.session_token =
            (ProtobufCBinaryData){strlen(f->session_token), (uint8_t *)(uintptr_t)f->session_token};
    }
    credential.id = "c_1";
    credential.name = "main";
    credential.source = (Gatehouse__CredentialSource *)(uintptr_t)f->source;
    credential.has_secret = !f->no_secret;
    credential.secret = (ProtobufCBinaryData){strlen(secret), (uint8_t *)secret};
    provider.org_id = "org";
    provider.name = name;
    provider.dialect = (char *)(uintptr_t)(f->dialect ? f->dialect : "openai");
    provider.base_url = url;
    provider.quirks = (char *)(uintptr_t)f->quirks;
    provider.api_version = (char *)(uintptr_t)f->api_version;
    provider.n_allow_cidrs = 1;
    provider.allow_cidrs = cidrs;
    if (f->second_secret) { /* drawn only where the first is refused */
        credential.has_weight = second.has_weight = second.has_secret = true;
        credential.weight = 1;
        second.id = "c_2";
        second.name = "second";
        second.weight = f->second_shares;
        second.secret =
            (ProtobufCBinaryData){strlen(f->second_secret), (uint8_t *)(uintptr_t)f->second_secret};
    }
    for (size_t n = 0; n < ARRAY_LEN(credentials); n++) {
        credentials[n]->has_rpm = credentials[n]->has_tpm = true;
        credentials[n]->rpm = f->rpm;
        credentials[n]->tpm = f->tpm;
    }
    provider.n_credentials = f->second_secret ? 2 : 1;
    provider.credentials = credentials;
    timeouts.has_first_byte_ms = timeouts.has_between_ms = true;
    timeouts.first_byte_ms = f->first_byte_ms;
    timeouts.between_ms = f->between_ms;
    provider.timeouts = &timeouts;
    header.name = (char *)(uintptr_t)f->header;
    header.value = (char *)(uintptr_t)f->value;
    provider.n_headers = f->header ? 1 : 0;
    provider.headers = headers;
    provider.catalogue_id = f->own_prices ? (char *)(uintptr_t) "cat_own" : NULL;
    provider.has_bills_cancelled = f->bills_nothing_cancelled;
    provider.has_breaker_failures = true;
    provider.breaker_failures = f->breaker_failures ? f->breaker_failures : 1000000;
    provider.has_breaker_open_ms = f->breaker_open_ms;
    provider.breaker_open_ms = f->breaker_open_ms;
    provider.has_retry_budget_permille = f->retry_permille;
    provider.retry_budget_permille = f->retry_permille;
    if (f->also)
        f->also(&provider);
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER;
    o.provider = &provider;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_PROVIDER, "p_", name);
}

static const char *target_name(const struct flow_model *f, size_t i)
{
    if (f->target_models)
        return f->target_models[i];
    return f->target_model ? f->target_model : f->name;
}

#define FLOW_PRICES 4

static void add_catalogue(struct building *d, const char *called, const struct flow_price *prices)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Catalogue catalogue = GATEHOUSE__CATALOGUE__INIT;
    Gatehouse__CatalogueModel rows[FLOW_PRICES], *pointers[FLOW_PRICES];
    Gatehouse__Price of[FLOW_PRICES];
    Gatehouse__PriceTier tiers[FLOW_PRICES], *above[FLOW_PRICES];
    char *patterns[FLOW_PRICES], name[16], org[] = "org";
    size_t n = 0;
    snprintf(name, sizeof(name), "%s", called);
    for (; n < FLOW_PRICES && prices[n].pattern; n++) {
        const struct flow_price *f = &prices[n];
        gatehouse__catalogue_model__init(&rows[n]);
        rows[n].has_context_tokens = f->context > 0;
        rows[n].context_tokens = f->context;
        gatehouse__price__init(&of[n]);
        gatehouse__price_tier__init(&tiers[n]);
        of[n].has_input = of[n].has_output = tiers[n].has_input = tiers[n].has_output = true;
        of[n].input = f->input * 1000000ll;
        of[n].output = tiers[n].output = f->output * 1000000ll;
        tiers[n].has_tokens = true;
        tiers[n].tokens = f->above;
        tiers[n].input = f->input_above * 1000000ll;
        above[n] = &tiers[n];
        of[n].n_above = f->above > 0;
        of[n].above = &above[n];
        patterns[n] = (char *)(uintptr_t)f->pattern;
        rows[n].n_match = 1;
        rows[n].match = &patterns[n];
        rows[n].price = &of[n];
        pointers[n] = &rows[n];
    }
    if (!n)
        return;
    catalogue.org_id = org;
    catalogue.name = name;
    catalogue.n_models = n;
    catalogue.models = pointers;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_CATALOGUE;
    o.catalogue = &catalogue;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_CATALOGUE, "cat_", name);
}

static void add_resilience(Gatehouse__Model *model, const struct flow_model *f, char **retry_on,
                           char **fallback_on)
{
    model->has_retry_attempts = f->retries;
    model->retry_attempts = f->retries;
    model->has_hedge_after_ms = f->hedge_after_ms;
    model->hedge_after_ms = f->hedge_after_ms;
    for (; model->n_retry_on < ARRAY_LEN(f->retry_on) && f->retry_on[model->n_retry_on];
         model->n_retry_on++)
        retry_on[model->n_retry_on] = (char *)(uintptr_t)f->retry_on[model->n_retry_on];
    model->retry_on = retry_on;
    model->has_fallback_on_set = model->fallback_on_set = f->fallback_on[0] != NULL;
    for (size_t n = 0; n < ARRAY_LEN(f->fallback_on) && f->fallback_on[n]; n++)
        if (*f->fallback_on[n])
            fallback_on[model->n_fallback_on++] = (char *)(uintptr_t)f->fallback_on[n];
    model->fallback_on = fallback_on;
}

static void add_model(struct building *d, const struct flow_model *f)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Model model = GATEHOUSE__MODEL__INIT;
    Gatehouse__Price prices = GATEHOUSE__PRICE__INIT;
    Gatehouse__Target targets[FLOW_UPSTREAMS], *pointers[FLOW_UPSTREAMS];
    char providers[FLOW_UPSTREAMS][ID_ROOM];
    for (size_t i = 0; i < f->upstream_count; i++) {
        gatehouse__target__init(&targets[i]);
        snprintf(providers[i], ID_ROOM, "p_provider-%zu", f->upstreams[i]);
        targets[i].provider_id = providers[i];
        targets[i].model = (char *)(uintptr_t)target_name(f, i);
        targets[i].has_weight = f->weights != NULL;
        targets[i].weight = f->weights ? f->weights[i] : 0;
        pointers[i] = &targets[i];
    }
    prices.has_input = prices.has_output = true;
    prices.input = 1000000;
    prices.output = 2000000;
    prices.has_cache_write_1h = f->hour_price > 0;
    prices.cache_write_1h = f->hour_price * 1000000ll;
    model.org_id = "org";
    model.name = (char *)(uintptr_t)f->name;
    model.strategy = f->weights ? "weighted" : "fallback";
    model.n_targets = f->upstream_count;
    model.targets = pointers;
    model.price = f->no_price ? NULL : &prices;
    model.has_max_output_tokens = true;
    model.max_output_tokens = f->max_output_tokens;
    Gatehouse__Timeouts timeouts = GATEHOUSE__TIMEOUTS__INIT;
    timeouts.has_first_byte_ms = true;
    timeouts.first_byte_ms = f->first_byte_ms;
    timeouts.has_total_ms = f->total_ms;
    timeouts.total_ms = f->total_ms;
    model.timeouts = &timeouts;
    model.unpriced = f->unpriced_allowed ? (char *)(uintptr_t) "allow" : NULL;
    Gatehouse__ModelHeader header = GATEHOUSE__MODEL_HEADER__INIT, *headers[] = {&header};
    header.name = (char *)(uintptr_t)f->header;
    header.value = (char *)(uintptr_t)f->value;
    model.n_headers = f->header ? 1 : 0;
    model.headers = headers;
    model.defaults = (Gatehouse__ModelParameters *)(uintptr_t)f->defaults;
    model.overrides = (Gatehouse__ModelParameters *)(uintptr_t)f->overrides;
    char *drop[ARRAY_LEN(f->drop)];
    for (; model.n_drop < ARRAY_LEN(f->drop) && f->drop[model.n_drop]; model.n_drop++)
        drop[model.n_drop] = (char *)(uintptr_t)f->drop[model.n_drop];
    model.drop = drop;
    model.system_prompt = (char *)(uintptr_t)f->system_prompt;
    char *retry_on[ARRAY_LEN(f->retry_on)], *fallback_on[ARRAY_LEN(f->fallback_on)];
    add_resilience(&model, f, retry_on, fallback_on);
    if (f->also)
        f->also(&model);
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_MODEL;
    o.model = &model;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_MODEL, "m_", f->name);
}

static void add_alias(struct building *d, const struct flow_alias *f)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Alias alias = GATEHOUSE__ALIAS__INIT;
    char id[ID_ROOM];
    alias.org_id = "org";
    alias.name = (char *)(uintptr_t)f->name;
    alias.model = (char *)(uintptr_t)f->model;
    alias.subject_id = (char *)(uintptr_t)f->subject;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_ALIAS;
    o.alias = &alias;
    snprintf(id, sizeof(id), "%s_%s", f->subject ? f->subject : "org", f->name);
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_ALIAS, "alias_", id);
}

static void add_fault(struct building *d, const struct flow_fault *f)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Fault fault = GATEHOUSE__FAULT__INIT;
    char provider[ID_ROOM];
    snprintf(provider, sizeof(provider), "p_provider-%zu", f->upstream);
    fault.org_id = "org";
    fault.name = (char *)(uintptr_t)f->name;
    fault.scope_subject_kind = (char *)(uintptr_t)f->subject_kind;
    fault.scope_subject_id = (char *)(uintptr_t)f->subject;
    fault.provider_id = f->everywhere ? NULL : provider;
    fault.has_share_permille = fault.has_fault_status = fault.has_fault_hang = true;
    fault.has_fault_latency_ms = fault.has_until_us = true;
    fault.share_permille = f->share_permille;
    fault.fault_status = f->status;
    fault.fault_hang = f->hangs;
    fault.fault_latency_ms = f->latency_ms;
    fault.until_us = f->until_us ? f->until_us : clock_wall_us() + INT64_C(3600000000);
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_FAULT;
    o.fault = &fault;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_FAULT, "fault_", f->name);
}

static void add_server(struct building *d, const struct flow_server *f)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__McpServer server = GATEHOUSE__MCP_SERVER__INIT;
    char url[64], cidr[] = "127.0.0.0/8", header[] = "x-upstream-key", *cidrs[] = {cidr};
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/mcp", f->port);
    server.org_id = "org";
    server.name = (char *)(uintptr_t)f->name;
    server.transport = "streamable-http";
    server.url = url;
    server.n_allow_cidrs = 1;
    server.allow_cidrs = cidrs;
    if (f->secret) {
        server.credential_header = header;
        server.has_credential_secret = true;
        server.credential_secret =
            (ProtobufCBinaryData){strlen(f->secret), (uint8_t *)(uintptr_t)f->secret};
    }
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_MCP_SERVER;
    o.mcp_server = &server;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_MCP_SERVER, "mcp_", f->name);
}

struct routes {
    Gatehouse__Route rows[4], *pointers[4];
    char *methods[4][3];
};

static size_t routes_of(struct routes *r, const struct flow_route *from)
{
    size_t n = 0;
    for (; n < ARRAY_LEN(r->rows) && from[n].path; n++) {
        Gatehouse__Route *row = r->pointers[n] = &r->rows[n];
        gatehouse__route__init(row);
        row->path = (char *)(uintptr_t)from[n].path;
        row->methods = r->methods[n];
        for (; row->n_methods < 3 && from[n].methods[row->n_methods]; row->n_methods++)
            row->methods[row->n_methods] = (char *)(uintptr_t)from[n].methods[row->n_methods];
        row->has_opaque = true;
        row->opaque = from[n].opaque;
    }
    return n;
}

static void add_service(struct building *d, const struct flow_service *f)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__ApiService service = GATEHOUSE__API_SERVICE__INIT;
    struct routes routes;
    char url[128], cidr[] = "127.0.0.0/8", *cidrs[] = {cidr};
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", d->k->upstreams[f->upstream].port,
             f->base ? f->base : "");
    service.org_id = "org";
    service.name = (char *)(uintptr_t)f->name;
    service.base_url = url;
    service.n_allow_cidrs = 1;
    service.allow_cidrs = cidrs;
    service.has_set_cookie = true;
    service.set_cookie = f->set_cookie;
    service.n_routes = routes_of(&routes, f->routes);
    service.routes = routes.pointers;
    if (f->secret) {
        service.credential_header = (char *)(uintptr_t)f->header;
        service.has_credential_secret = true;
        service.credential_secret =
            (ProtobufCBinaryData){strlen(f->secret), (uint8_t *)(uintptr_t)f->secret};
    }
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_API_SERVICE;
    o.api_service = &service;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_API_SERVICE, "api_", f->name);
}

static void add_grant(struct building *d, const struct flow_grant *f, size_t i)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Grant grant = GATEHOUSE__GRANT__INIT;
    char agent[ID_ROOM], team[ID_ROOM], task[ID_ROOM], number[8], *models[4];
    char server[ID_ROOM], *tools[4], service[ID_ROOM], provider[ID_ROOM];
    struct routes routes;
    snprintf(agent, sizeof(agent), "a_%s", f->agent ? f->agent : "");
    snprintf(team, sizeof(team), "t_%s", f->team ? f->team : "");
    snprintf(task, sizeof(task), "task_%s", f->task ? f->task : "");
    snprintf(number, sizeof(number), "%zu", i);
    grant.org_id = "org";
    grant.agent_id = f->agent ? agent : NULL;
    grant.team_id = f->team ? team : NULL;
    grant.task_id = f->task ? task : NULL;
    grant.models = models;
    for (; grant.n_models < ARRAY_LEN(models) && f->models[grant.n_models]; grant.n_models++)
        models[grant.n_models] = (char *)(uintptr_t)f->models[grant.n_models];
    snprintf(server, sizeof(server), "mcp_%s", f->server ? f->server : "");
    grant.server_id = f->server ? server : NULL;
    grant.tools = tools;
    for (; grant.n_tools < ARRAY_LEN(tools) && f->tools[grant.n_tools]; grant.n_tools++)
        tools[grant.n_tools] = (char *)(uintptr_t)f->tools[grant.n_tools];
    snprintf(service, sizeof(service), "api_%s", f->service ? f->service : "");
    grant.service_id = f->service ? service : NULL;
    snprintf(provider, sizeof(provider), "p_%s", f->provider ? f->provider : "");
    grant.provider_id = f->provider ? provider : NULL;
    grant.unpriced = f->unpriced_allowed ? (char *)(uintptr_t) "allow" : NULL;
    grant.n_routes = routes_of(&routes, f->routes);
    grant.routes = routes.pointers;
    grant.has_routes_set = true;
    grant.routes_set = grant.n_routes > 0;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_GRANT;
    o.grant = &grant;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_GRANT, "g_", number);
}

static void add_block(struct building *d, const struct flow_block *f, size_t i)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Block block = GATEHOUSE__BLOCK__INIT;
    char number[8];
    snprintf(number, sizeof(number), "%zu", i);
    block.org_id = "org";
    block.subject_kind = (char *)(uintptr_t)f->kind;
    block.subject_id = (char *)(uintptr_t)f->id;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_BLOCK;
    o.block = &block;
    apply(d, &o, GATEHOUSE__OBJECT_KIND__KIND_BLOCK, "b_", number);
}

static bool is_grant(const struct flow_grant *f)
{
    return f->models[0] || f->server || f->service || f->provider;
}

static void add_all(struct building *d, const struct flow_policy *p)
{
    add_settings(d);
    for (size_t i = 0; i < FLOW_UPSTREAMS; i++)
        add_provider(d, &p->providers[i], i);
    for (size_t i = 0; i < ARRAY_LEN(p->tasks) && p->tasks[i]; i++)
        add_task(d, p->tasks[i]);
    for (size_t i = 0; i < ARRAY_LEN(p->teams) && p->teams[i].name; i++)
        add_team(d, &p->teams[i]);
    for (size_t i = 0; i < ARRAY_LEN(p->agents) && p->agents[i].name; i++)
        add_agent(d, &p->agents[i]);
    for (size_t i = 0; i < ARRAY_LEN(p->keys) && p->keys[i].name; i++)
        add_key(d, &p->keys[i]);
    for (size_t i = 0; i < ARRAY_LEN(p->models) && p->models[i].name; i++)
        add_model(d, &p->models[i]);
    add_catalogue(d, "openai", p->prices);
    add_catalogue(d, "own", p->own_prices);
    for (size_t i = 0; i < ARRAY_LEN(p->aliases) && p->aliases[i].name; i++)
        add_alias(d, &p->aliases[i]);
    for (size_t i = 0; i < ARRAY_LEN(p->faults) && p->faults[i].name; i++)
        add_fault(d, &p->faults[i]);
    for (size_t i = 0; i < ARRAY_LEN(p->servers) && p->servers[i].name; i++)
        add_server(d, &p->servers[i]);
    for (size_t i = 0; i < ARRAY_LEN(p->services) && p->services[i].name; i++)
        add_service(d, &p->services[i]);
    for (size_t i = 0; i < ARRAY_LEN(p->grants) && is_grant(&p->grants[i]); i++)
        add_grant(d, &p->grants[i], i);
    for (size_t i = 0; i < ARRAY_LEN(p->blocks) && p->blocks[i].kind; i++)
        add_block(d, &p->blocks[i], i);
}

static void publish(struct building *d)
{
    struct flow *k = d->k;
    const struct snapshot *old = k->policy;
    k->policy = snapshot_build_end(&d->b, SLICE("lineage"), k->version);
    snapshot_drop(old);
    lease_client_policy(k->lease_client); /* as the plane does: before workers have the version */
    request_env_take_policy(&k->env, k->policy);
}

void policy_says(struct flow *k, const struct flow_policy *p)
{
    struct building d = {.k = k};
    k->version++;
    assert_int_equal(snapshot_build_begin(NULL, k->registry, &d.b), ERR_OK);
    snapshot_build_inherit(d.b, k->policy);
    add_all(&d, p);
    publish(&d);
}

void policy_says_of_provider(struct flow *k, const struct flow_policy *p, size_t i)
{
    struct building d = {.k = k};
    k->version++;
    assert_int_equal(snapshot_build_begin(k->policy, k->registry, &d.b), ERR_OK);
    add_provider(&d, &p->providers[i], i);
    publish(&d);
}

void policy_says_of_model(struct flow *k, const struct flow_policy *p, size_t i)
{
    struct building d = {.k = k};
    k->version++;
    assert_int_equal(snapshot_build_begin(k->policy, k->registry, &d.b), ERR_OK);
    add_model(&d, &p->models[i]);
    publish(&d);
}

uint64_t flow_prompt_tokens(const char *body)
{
    struct ai_prompt p;
    openai_measure(slice_str(body), &p);
    return p.text;
}
