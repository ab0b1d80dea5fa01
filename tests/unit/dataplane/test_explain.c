/* explain — which targets a body would be sent to, and why, without a call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "common/policy/snapshot_build.h"
#include "common/scope/registry.h"
#include "dataplane/ai/ai_explain.h"
#include "proto/policy.pb-c.h"

static struct registry *registry;
static struct snapshot *policy;
static struct arena *arena;
static struct endpoint_table endpoints;

static void apply(struct snapshot_build *b, Gatehouse__PolicyObject *o, Gatehouse__ObjectKind kind,
                  char *id)
{
    o->has_kind = o->has_revision = true;
    o->kind = kind;
    o->id = id;
    o->revision = 1;
    assert_int_equal(snapshot_build_apply(b, o), ERR_OK);
}

static void provider(struct snapshot_build *b, char *name, char *region)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Provider p = GATEHOUSE__PROVIDER__INIT;
    Gatehouse__Credential c = GATEHOUSE__CREDENTIAL__INIT, *pointers[] = {&c};
    c.id = "c";
    c.name = "main";
    c.region = region;
    c.has_secret = true;
    c.secret = (ProtobufCBinaryData){8, (uint8_t *)"sk-12345"};
    p.org_id = "org";
    p.name = name;
    p.dialect = "openai";
    p.base_url = "http://127.0.0.1:9/v1";
    p.n_credentials = 1;
    p.credentials = pointers;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER;
    o.provider = &p;
    apply(b, &o, GATEHOUSE__OBJECT_KIND__KIND_PROVIDER, name);
}

/* "smart": a blind target, one in eu, one that sees; the cheapest first. */
static void model(struct snapshot_build *b)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Model m = GATEHOUSE__MODEL__INIT;
    Gatehouse__Price costs = GATEHOUSE__PRICE__INIT;
    Gatehouse__Target t[3], *pointers[] = {&t[0], &t[1], &t[2]};
    char *ids[] = {"blind", "eu", "us"}, *none[1], *sees[] = {"vision"};
    for (size_t i = 0; i < 3; i++) {
        gatehouse__target__init(&t[i]);
        t[i].provider_id = ids[i];
        t[i].model = "x";
    }
    t[0].has_capabilities_set = t[0].capabilities_set = true;
    t[0].capabilities = none;
    t[2].has_capabilities_set = t[2].capabilities_set = true;
    t[2].n_capabilities = 1;
    t[2].capabilities = sees;
    costs.has_input = costs.has_output = true;
    costs.input = 1000000;
    costs.output = 2000000;
    m.org_id = "org";
    m.name = "smart";
    m.strategy = "lowest_cost";
    m.price = &costs;
    m.n_targets = 3;
    m.targets = pointers;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_MODEL;
    o.model = &m;
    apply(b, &o, GATEHOUSE__OBJECT_KIND__KIND_MODEL, "m_1");
}

static void team(struct snapshot_build *b, char *name, char *region)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Team t = GATEHOUSE__TEAM__INIT;
    t.org_id = "org";
    t.name = name;
    t.n_regions = 1;
    t.regions = &region;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_TEAM;
    o.team = &t;
    apply(b, &o, GATEHOUSE__OBJECT_KIND__KIND_TEAM, name);
}

static int open_policy(void **state)
{
    struct snapshot_build *b;
    (void)state;
    registry = registry_new();
    arena = arena_new(16 * 1024, 1 << 20);
    endpoint_table_init(&endpoints);
    assert_int_equal(snapshot_build_begin(NULL, registry, &b), ERR_OK);
    provider(b, "blind", NULL);
    provider(b, "eu", "eu");
    provider(b, "us", "us");
    model(b);
    team(b, "t_eu", "eu");
    team(b, "t_asia", "asia");
    policy = snapshot_build_end(&b, SLICE("l"), 1);
    return 0;
}

static int close_policy(void **state)
{
    (void)state;
    snapshot_drop(policy);
    endpoint_table_fini(&endpoints);
    arena_free(arena);
    registry_free(registry);
    return 0;
}

#define IMAGE                                                                                      \
    "{\"model\":\"smart\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":[{"      \
    "\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a.test/i.png\"}}]}]}"

static enum err explain(struct ai_explain_ask ask, json_t **ret)
{
    struct buf out;
    struct slice why;
    struct json_problem problem;
    buf_init(&out, 1 << 16);
    ask.policy = policy;
    ask.endpoints = &endpoints;
    ask.org_id = SLICE("org");
    ask.now_us = 10000000;
    enum err e = ai_explain(&ask, arena, &out, &why);
    *ret = NULL;
    if (!e)
        assert_int_equal(json_read(buf_slice(&out), ret, &problem), ERR_OK);
    buf_fini(&out);
    return e;
}

static const char *text_at(const json_t *list, size_t i, const char *name)
{
    return json_string_value(json_object_get(json_array_get(list, i), name));
}

static void targets_are_told_in_order_and_what_is_left_out_with_its_reason(void **state)
{
    json_t *told;
    (void)state;
    const struct ai_explain_ask ask = {.model = SLICE("smart"), .body = SLICE(IMAGE)};
    assert_int_equal(explain(ask, &told), ERR_OK);
    const json_t *targets = json_object_get(told, "targets");
    const json_t *excluded = json_object_get(told, "excluded");
    assert_string_equal(json_string_value(json_object_get(told, "strategy")), "lowest_cost");
    assert_int_equal(json_array_size(targets), 2);
    assert_string_equal(text_at(targets, 0, "credential"), "main");
    assert_string_equal(text_at(targets, 0, "unit"), "nano-dollars");
    assert_true(json_is_integer(json_object_get(json_array_get(targets, 0), "score")));
    assert_int_equal(json_array_size(excluded), 1);
    assert_string_equal(text_at(excluded, 0, "provider"), "blind");
    assert_string_equal(text_at(excluded, 0, "why"), "it lacks a capability that the call needs");
    assert_true(json_is_null(json_object_get(told, "refusal")));
    json_decref(told);
}

static void an_endpoint_that_cools_is_told_last(void **state)
{
    const struct policy_provider *p = snapshot_provider(policy, SLICE("eu"));
    const struct endpoint_key key = {.target = p->o.id,
                                     .credential = p->credentials[0].id,
                                     .region = p->credentials[0].region,
                                     .url = &p->credentials[0].url,
                                     .revision = p->o.revision};
    struct endpoint *e;
    json_t *told;
    (void)state;
    assert_int_equal(endpoint_hold(&endpoints, &key, &e), ERR_OK);
    endpoint_begin(e, 9000000);
    endpoint_end(e, &(struct endpoint_limits){0}, ENDPOINT_LIMITED, 30000, 9000000);
    const struct ai_explain_ask ask = {.model = SLICE("smart"), .body = SLICE(IMAGE)};
    assert_int_equal(explain(ask, &told), ERR_OK);
    const json_t *targets = json_object_get(told, "targets");
    assert_string_equal(text_at(targets, 1, "provider"), "eu");
    assert_string_equal(text_at(targets, 1, "region"), "eu");
    assert_string_equal(text_at(targets, 1, "why"), "it asked to wait, or refused its credential");
    json_decref(told);
    endpoint_drop(&endpoints, &e);
}

static void a_teams_region_binds_and_the_refusal_is_told(void **state)
{
    json_t *told;
    (void)state;
    struct ai_explain_ask ask = {
        .model = SLICE("smart"), .body = SLICE(IMAGE), .team_id = SLICE("t_eu")};
    assert_int_equal(explain(ask, &told), ERR_OK);
    assert_int_equal(json_array_size(json_object_get(told, "targets")), 1);
    assert_string_equal(text_at(json_object_get(told, "targets"), 0, "provider"), "eu");
    json_decref(told);
    ask.team_id = SLICE("t_asia");
    assert_int_equal(explain(ask, &told), ERR_OK);
    assert_int_equal(json_array_size(json_object_get(told, "targets")), 0);
    assert_int_equal(json_array_size(json_object_get(told, "excluded")), 3);
    assert_string_equal(json_string_value(json_object_get(told, "refusal")), "region_not_allowed");
    json_decref(told);
}

static void what_cannot_be_asked_is_said(void **state)
{
    json_t *told;
    (void)state;
    assert_int_equal(
        explain((struct ai_explain_ask){.model = SLICE("no"), .body = SLICE(IMAGE)}, &told),
        ERR_NOT_FOUND);
    assert_int_equal(
        explain((struct ai_explain_ask){.model = SLICE("smart"), .body = SLICE("[]")}, &told),
        ERR_INVALID);
    assert_int_equal(explain((struct ai_explain_ask){.model = SLICE("smart"),
                                                     .path = SLICE("/v1/nothing"),
                                                     .body = SLICE(IMAGE)},
                             &told),
                     ERR_INVALID);
    /* whose team this plane does not know: nothing is told as if it had no demands */
    assert_int_equal(explain((struct ai_explain_ask){.model = SLICE("smart"),
                                                     .team_id = SLICE("t_elsewhere"),
                                                     .body = SLICE(IMAGE)},
                             &told),
                     ERR_INVALID);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_policy, close_policy)
    const struct CMUnitTest tests[] = {
        CASE(targets_are_told_in_order_and_what_is_left_out_with_its_reason),
        CASE(an_endpoint_that_cools_is_told_last),
        CASE(a_teams_region_binds_and_the_refusal_is_told),
        CASE(what_cannot_be_asked_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
