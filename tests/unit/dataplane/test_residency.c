/* residency — in 10,000 random policies no call goes to a region, or to a provider, that its team
 * does not allow; and where one is left that it allows, the call is not refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/policy/snapshot_build.h"
#include "common/scope/registry.h"
#include "dataplane/ai/candidates.h"
#include "proto/policy.pb-c.h"

#define POLICIES 10000
#define PROVIDERS 4
#define CREDENTIALS 3
#define MODELS 3
#define TARGETS 4

static char *const regions[] = {"eu", "us", "eu-central-1", "us-east-1", "e", "asia"};
static char *const promises[] = {"no_training", "zero_retention"};
static char *const strategies[] = {"fallback",       "weighted",    "least_in_flight",
                                   "lowest_latency", "lowest_cost", "highest_throughput"};
static char *const provider_ids[] = {"p0", "p1", "p2", "p3"};
static char *const credential_ids[] = {"c0", "c1", "c2"};
static char *const model_ids[] = {"m0", "m1", "m2"};

static uint64_t seed;

static uint32_t dice(void *arg)
{
    uint64_t x = seed += 0x9e3779b97f4a7c15u;
    (void)arg;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(x >> 32);
}

static size_t below(size_t n)
{
    return dice(NULL) % n;
}

static char *some_region(void)
{
    return below(3) ? regions[below(ARRAY_LEN(regions))] : NULL;
}

static void apply(struct snapshot_build *b, Gatehouse__PolicyObject *o, Gatehouse__ObjectKind kind,
                  char *id)
{
    o->has_kind = o->has_revision = true;
    o->kind = kind;
    o->id = id;
    o->revision = 1;
    assert_int_equal(snapshot_build_apply(b, o), ERR_OK);
}

static void add_provider(struct snapshot_build *b, size_t n)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Provider p = GATEHOUSE__PROVIDER__INIT;
    Gatehouse__Credential c[CREDENTIALS], *pointers[CREDENTIALS];
    char *says[2];
    for (size_t i = 0; i < CREDENTIALS; i++) {
        gatehouse__credential__init(&c[i]);
        pointers[i] = &c[i];
        c[i].id = c[i].name = credential_ids[i];
        c[i].region = some_region();
        c[i].has_secret = c[i].has_weight = true;
        c[i].secret = (ProtobufCBinaryData){8, (uint8_t *)"sk-12345"};
        c[i].weight = (uint32_t)below(3);
    }
    for (size_t i = 0; i < 2; i++)
        if (below(2))
            says[p.n_data_policy++] = promises[i];
    p.data_policy = says;
    p.org_id = "org";
    p.name = provider_ids[n];
    p.dialect = "openai";
    p.base_url = "http://127.0.0.1:9/v1";
    p.n_credentials = below(CREDENTIALS + 1);
    p.credentials = pointers;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER;
    o.provider = &p;
    apply(b, &o, GATEHOUSE__OBJECT_KIND__KIND_PROVIDER, provider_ids[n]);
}

/* A model's targets are providers, or the models behind it. */
static void add_model(struct snapshot_build *b, size_t n)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Model m = GATEHOUSE__MODEL__INIT;
    Gatehouse__Target t[TARGETS], *pointers[TARGETS];
    for (size_t i = 0; i < TARGETS; i++) {
        gatehouse__target__init(&t[i]);
        pointers[i] = &t[i];
        t[i].has_weight = true;
        t[i].weight = (uint32_t)below(4);
        if (n + 1 < MODELS && below(3) == 0) {
            t[i].target_model_id = model_ids[n + 1 + below(MODELS - n - 1)];
            continue;
        }
        t[i].provider_id = provider_ids[below(PROVIDERS)];
        t[i].model = "x";
        t[i].region = some_region();
    }
    m.org_id = "org";
    m.name = model_ids[n];
    m.strategy = strategies[below(ARRAY_LEN(strategies))];
    m.sticky = below(2) ? "session" : NULL;
    m.n_targets = 1 + below(TARGETS);
    m.targets = pointers;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_MODEL;
    o.model = &m;
    apply(b, &o, GATEHOUSE__OBJECT_KIND__KIND_MODEL, model_ids[n]);
}

static void add_team(struct snapshot_build *b)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Team t = GATEHOUSE__TEAM__INIT;
    char *allowed[2], *demands[2];
    for (size_t i = 0; i < 2; i++) {
        if (below(3))
            allowed[t.n_regions++] = regions[below(ARRAY_LEN(regions))];
        if (below(4) == 0)
            demands[t.n_data_policy++] = promises[i];
    }
    t.regions = allowed;
    t.data_policy = demands;
    t.org_id = "org";
    t.name = "t";
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_TEAM;
    o.team = &t;
    apply(b, &o, GATEHOUSE__OBJECT_KIND__KIND_TEAM, "t");
}

/* ---- what the documents say, said once more ---- */

static bool is_listed(const struct policy_team *team, struct slice region)
{
    if (!team->region_count)
        return true;
    for (size_t i = 0; i < team->region_count; i++)
        if (slice_eq(team->regions[i], region))
            return true;
    return false;
}

static bool may_go(const struct policy_team *team, const struct policy_provider *p,
                   struct slice of_target, struct slice of_credential)
{
    for (uint32_t bit = 1; bit; bit <<= 1)
        if (team->data_policy & bit && !(p->data_policy & bit))
            return false;
    if (of_target.len && of_credential.len && !slice_eq(of_target, of_credential)) {
        char inside[64];
        snprintf(inside, sizeof(inside), "%.*s-", SLICE_ARG(of_target));
        if (!slice_starts(of_credential, slice_str(inside)))
            return false;
    }
    return is_listed(team, of_target.len ? of_target : of_credential);
}

static bool is_any_left(const struct snapshot *s, const struct policy_model *m,
                        const struct policy_team *team)
{
    for (size_t i = 0; i < m->target_count; i++) {
        const struct policy_target *t = &m->targets[i];
        if (t->model_id.len) {
            if (is_any_left(s, snapshot_model(s, t->model_id), team))
                return true;
            continue;
        }
        const struct policy_provider *p = snapshot_provider(s, t->provider_id);
        if (!p->credential_count && may_go(team, p, t->region, SLICE_NONE))
            return true;
        for (size_t k = 0; k < p->credential_count; k++)
            if (may_go(team, p, t->region, p->credentials[k].region))
                return true;
    }
    return false;
}

/* Some target behind the model allows this provider with this credential. */
static bool is_allowed(const struct snapshot *s, const struct policy_model *m,
                       const struct policy_team *team, const struct policy_provider *p,
                       struct slice of_credential)
{
    for (size_t i = 0; i < m->target_count; i++) {
        const struct policy_target *t = &m->targets[i];
        if (t->model_id.len &&
            is_allowed(s, snapshot_model(s, t->model_id), team, p, of_credential))
            return true;
        if (!t->model_id.len && slice_eq(t->provider_id, p->o.id) &&
            may_go(team, p, t->region, of_credential))
            return true;
    }
    return false;
}

static void expect_allowed(const struct snapshot *s, const struct policy_model *m,
                           const struct policy_team *team, const struct candidate *c)
{
    const struct policy_provider *p = c->provider;
    assert_true(is_allowed(s, m, team, p, c->credential ? c->credential->region : SLICE_NONE));
    assert_true(c->credential || !p->credential_count);
    for (size_t i = 0; i < p->credential_count; i++) /* nor would another attempt's credential */
        if (c->credentials >> i & 1)
            assert_true(is_allowed(s, m, team, p, p->credentials[i].region));
    assert_true(candidates_still(s, m, team, c));
}

static const struct ai_endpoint chat = {.kind = AI_CHAT};
static unsigned served, refused;

static void try_policy(struct registry *registry, struct arena *arena)
{
    struct snapshot_build *b;
    struct candidate list[LIMIT_ATTEMPTS];
    struct slice detail;
    assert_int_equal(snapshot_build_begin(NULL, registry, &b), ERR_OK);
    for (size_t i = 0; i < PROVIDERS; i++)
        add_provider(b, i);
    for (size_t i = MODELS; i-- > 0;)
        add_model(b, i);
    add_team(b);
    struct snapshot *s = snapshot_build_end(&b, SLICE("l"), 1);
    const struct policy_team *team = snapshot_team(s, SLICE("t"));
    const struct policy_model *m = snapshot_model(s, SLICE("m0"));
    assert_true(team && m);
    struct candidates_trace trace = {0};
    const struct candidates_query q = {.policy = s,
                                       .model = m,
                                       .team = team,
                                       .arena = arena,
                                       .endpoint = &chat,
                                       .callers = {0, below(2) ? below(1000) + 1 : 0, 0},
                                       .trace = &trace,
                                       .dice = dice};
    size_t n = candidates_list(&q, list, LIMIT_ATTEMPTS);
    for (size_t i = 0; i < n; i++)
        expect_allowed(s, m, team, &list[i]);
    assert_int_equal(n > 0, is_any_left(s, m, team));
    if (!n)
        assert_int_equal(refusal_row(candidates_refusal(&trace, &detail))->status, 403);
    served += n > 0;
    refused += n == 0;
    arena_reset(arena);
    snapshot_drop(s);
}

static void no_call_goes_where_its_team_may_not(void **state)
{
    (void)state;
    struct registry *registry = registry_new();
    struct arena *arena = arena_new(64 * 1024, 1 << 20);
    for (unsigned i = 0; i < POLICIES; i++) {
        seed = i;
        try_policy(registry, arena);
    }
    print_message("%u calls were served, %u refused\n", served, refused);
    assert_true(served > POLICIES / 10 && refused > POLICIES / 10);
    arena_free(arena);
    registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_call_goes_where_its_team_may_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
