/* snapshot failure — each allocation of a policy with an object of every kind fails once. */
#include "common/base/mem.h"
#include "tests/unit/policy/policy_kit.h"

#define OBJECTS 11

static uint8_t bytes[32] = "thirty-two bytes, as digests are";
static char *names[] = {"one", "two/*"}, *cidrs[] = {"127.0.0.0/8", "10.0.0.0/8"};
static char url[] = "http://127.0.0.1:9/v1";
static Gatehouse__Settings settings = GATEHOUSE__SETTINGS__INIT;
static Gatehouse__NameList list = GATEHOUSE__NAME_LIST__INIT;
static Gatehouse__Budget budget = GATEHOUSE__BUDGET__INIT;
static Gatehouse__Team team = GATEHOUSE__TEAM__INIT;
static Gatehouse__Agent agent = GATEHOUSE__AGENT__INIT;
static Gatehouse__Task task = GATEHOUSE__TASK__INIT;
static Gatehouse__Key key = GATEHOUSE__KEY__INIT;
static Gatehouse__Credential credential = GATEHOUSE__CREDENTIAL__INIT,
                             *credentials[] = {&credential};
static Gatehouse__Provider provider = GATEHOUSE__PROVIDER__INIT;
static Gatehouse__Target target = GATEHOUSE__TARGET__INIT, *targets[] = {&target};
static Gatehouse__Model model = GATEHOUSE__MODEL__INIT;
static Gatehouse__McpServer server = GATEHOUSE__MCP_SERVER__INIT;
static Gatehouse__Route route = GATEHOUSE__ROUTE__INIT, *routes[] = {&route};
static Gatehouse__ApiService service = GATEHOUSE__API_SERVICE__INIT;
static Gatehouse__Grant grant = GATEHOUSE__GRANT__INIT;
static Gatehouse__Block block = GATEHOUSE__BLOCK__INIT;
static Gatehouse__PolicyObject objects[OBJECTS];

static Gatehouse__PolicyObject *object(int kind, int body_case, char *id)
{
    Gatehouse__PolicyObject *o = &objects[kind - 1];
    gatehouse__policy_object__init(o);
    o->has_kind = o->has_revision = true;
    o->kind = (Gatehouse__ObjectKind)kind;
    o->body_case = (Gatehouse__PolicyObject__BodyCase)body_case;
    o->id = id;
    o->revision = 1;
    return o;
}

#define OBJECT(KIND, member)                                                                       \
    object(GATEHOUSE__OBJECT_KIND__KIND_##KIND, GATEHOUSE__POLICY_OBJECT__BODY_##KIND, #member)    \
        ->member = &member

#define SECRET ((ProtobufCBinaryData){sizeof(bytes), bytes})

static void set_principals(void)
{
    list.has_set = list.set = true;
    list.n_names = ARRAY_LEN(names);
    list.names = names;
    budget.account = "team:team";
    budget.period = "day";
    settings.has_key_hmac = settings.has_session_seal = true;
    settings.key_hmac = settings.session_seal = SECRET;
    OBJECT(SETTINGS, settings);
    team.org_id = agent.org_id = task.org_id = key.org_id = provider.org_id = "org";
    model.org_id = server.org_id = service.org_id = grant.org_id = block.org_id = "org";
    team.name = agent.name = task.name = key.name = provider.name = "name";
    model.name = server.name = service.name = "name";
    team.models = agent.models = agent.tasks = key.models = key.tasks = &list;
    team.budget = key.budget = &budget;
    OBJECT(TEAM, team);
    OBJECT(AGENT, agent);
    OBJECT(TASK, task);
    key.has_digest = true;
    key.digest = SECRET;
    key.agent_id = "agent";
    OBJECT(KEY, key);
}

static void set_upstreams(void)
{
    provider.dialect = "openai";
    provider.base_url = server.url = service.base_url = url;
    provider.n_allow_cidrs = server.n_allow_cidrs = service.n_allow_cidrs = ARRAY_LEN(cidrs);
    provider.allow_cidrs = server.allow_cidrs = service.allow_cidrs = cidrs;
    credential.id = "c";
    credential.has_secret = true;
    credential.secret = SECRET;
    provider.n_credentials = 1;
    provider.credentials = credentials;
    OBJECT(PROVIDER, provider);
    target.provider_id = "provider";
    target.model = "other";
    model.strategy = "fallback";
    model.n_targets = 1;
    model.targets = targets;
    OBJECT(MODEL, model);
    server.transport = "streamable-http";
    server.credential_header = service.credential_header = "x-key";
    server.has_credential_secret = service.has_credential_secret = true;
    server.credential_secret = service.credential_secret = SECRET;
    object(GATEHOUSE__OBJECT_KIND__KIND_MCP_SERVER, GATEHOUSE__POLICY_OBJECT__BODY_MCP_SERVER,
           "server")
        ->mcp_server = &server;
    route.n_methods = 1;
    route.methods = names;
    route.path = "/customers/**";
    service.n_routes = grant.n_routes = 1;
    service.routes = grant.routes = routes;
    object(GATEHOUSE__OBJECT_KIND__KIND_API_SERVICE, GATEHOUSE__POLICY_OBJECT__BODY_API_SERVICE,
           "service")
        ->api_service = &service;
    grant.agent_id = "agent";
    grant.service_id = "service";
    grant.n_models = grant.n_tools = ARRAY_LEN(names);
    grant.models = grant.tools = names;
    OBJECT(GRANT, grant);
    block.subject_kind = "agent";
    block.subject_id = "agent";
    OBJECT(BLOCK, block);
}

static int set_up(void **state)
{
    (void)state;
    set_principals();
    set_upstreams();
    return 0;
}

static enum err build(const struct snapshot *from, struct registry *r)
{
    struct snapshot_build *b = NULL;
    enum err e = snapshot_build_begin(from, r, &b);
    for (int i = 0; !e && i < OBJECTS; i++)
        e = snapshot_build_apply(b, &objects[i]);
    if (e) {
        snapshot_build_cancel(&b);
        return e;
    }
    struct snapshot *s = snapshot_build_end(&b, SLICE("line"), 2);
    if (!s)
        return ERR_NOMEM;
    assert_true(snapshot_is_blocked(s, SLICE("agent"), SLICE("agent")));
    assert_non_null(snapshot_service_named(s, SLICE("org"), SLICE("name")));
    snapshot_drop(s);
    return ERR_OK;
}

static void each_allocation_fails(const struct snapshot *from, struct registry *r)
{
    size_t n = 0;
    bool hit = true;
    assert_int_equal(build(from, r), ERR_OK); /* what outlives versions stands now */
    while (hit) {
        ptrdiff_t before = mem_alive();
        assert_true(++n < 10000);
        mem_fail_after(n);
        enum err e = build(from, r);
        hit = mem_failed();
        mem_fail_after(0);
        assert_int_equal(e, hit ? ERR_NOMEM : ERR_OK);
        assert_int_equal(mem_alive(), before);
    }
    assert_true(n > OBJECTS);
}

static void of_a_first_policy(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    each_allocation_fails(NULL, r);
    registry_free(r);
}

static void of_a_policy_that_replaces_another(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot_build *b = NULL;
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    for (int i = 0; i < OBJECTS; i++)
        assert_int_equal(snapshot_build_apply(b, &objects[i]), ERR_OK);
    struct snapshot *one = snapshot_build_end(&b, SLICE("line"), 1);
    for (int i = 0; i < OBJECTS; i++)
        objects[i].revision = 2;
    each_allocation_fails(one, r);
    snapshot_drop(one);
    registry_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_first_policy),
        cmocka_unit_test(of_a_policy_that_replaces_another),
    };
    return cmocka_run_group_tests_name("each allocation fails once", tests, set_up, NULL);
}
