/* candidates — the targets that may serve a model, in the order they are tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/policy/snapshot_build.h"
#include "common/scope/registry.h"
#include "dataplane/ai/candidates.h"
#include "proto/policy.pb-c.h"

static struct registry *registry;
static struct snapshot_build *build;

static void apply(Gatehouse__PolicyObject *o, Gatehouse__ObjectKind kind, char *id)
{
    o->has_kind = o->has_revision = true;
    o->kind = kind;
    o->id = id;
    o->revision = 1;
    assert_int_equal(snapshot_build_apply(build, o), ERR_OK);
}

static char *base_url = "http://127.0.0.1:9/v1";

static void provider(char *name, char *dialect, size_t credentials)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Provider p = GATEHOUSE__PROVIDER__INIT;
    Gatehouse__Credential c[2] = {GATEHOUSE__CREDENTIAL__INIT, GATEHOUSE__CREDENTIAL__INIT};
    Gatehouse__Credential *pointers[2] = {&c[0], &c[1]};
    for (size_t i = 0; i < credentials; i++) {
        c[i].id = i ? "second" : "first";
        c[i].name = c[i].id;
        c[i].region = "eu-west-1";
        c[i].has_secret = c[i].has_weight = true;
        c[i].secret = (ProtobufCBinaryData){8, (uint8_t *)"sk-12345"};
        c[i].weight = i ? 3 : 1;
    }
    p.org_id = "org";
    p.name = name;
    p.dialect = dialect;
    p.base_url = base_url;
    p.n_credentials = credentials;
    p.credentials = pointers;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER;
    o.provider = &p;
    apply(&o, GATEHOUSE__OBJECT_KIND__KIND_PROVIDER, name);
}

/* weights NULL: fallback, in order */
static void model(char *const *providers, const uint32_t *weights, size_t n)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Model m = GATEHOUSE__MODEL__INIT;
    Gatehouse__Target targets[8], *pointers[8];
    for (size_t i = 0; i < n; i++) {
        gatehouse__target__init(&targets[i]);
        targets[i].provider_id = providers[i];
        targets[i].model = providers[i];
        targets[i].has_weight = weights != NULL;
        targets[i].weight = weights ? weights[i] : 0;
        pointers[i] = &targets[i];
    }
    m.org_id = "org";
    m.name = "m";
    m.strategy = weights ? "weighted" : "fallback";
    m.n_targets = n;
    m.targets = pointers;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_MODEL;
    o.model = &m;
    apply(&o, GATEHOUSE__OBJECT_KIND__KIND_MODEL, "m_1");
}

static int set_up(void **state)
{
    (void)state;
    registry = registry_new();
    return snapshot_build_begin(NULL, registry, &build);
}

static int tear_down(void **state)
{
    (void)state;
    registry_free(registry);
    return 0;
}

static const struct ai_endpoint chat = {.kind = AI_CHAT};
static uint32_t rolled[8];
static size_t roll_at;

static uint32_t dice(void *arg)
{
    (void)arg;
    return rolled[roll_at++ % ARRAY_LEN(rolled)];
}

/* names of the targets in order, joined */
static void expect_order(const struct snapshot *s, size_t max, const char *expected)
{
    struct candidate list[8];
    char text[128] = "";
    const struct policy_model *m = snapshot_model_named(s, SLICE("org"), SLICE("m"));
    assert_non_null(m);
    roll_at = 0;
    const struct candidates_query q = {.policy = s, .model = m, .endpoint = &chat, .dice = dice};
    size_t n = candidates_list(&q, list, max);
    for (size_t i = 0; i < n; i++) {
        strncat(text, list[i].model.ptr, list[i].model.len);
        strcat(text, " ");
    }
    assert_string_equal(text, expected);
}

static void fallback_keeps_the_order_and_passes_over_what_this_plane_cannot_use(void **state)
{
    char *names[] = {"b", "missing", "unspoken", "nowhere", "a", "c"};
    (void)state;
    provider("a", "openai", 1);
    provider("b", "openai", 1);
    provider("c", "openai", 0);
    provider("unspoken", "no-such-dialect", 1);
    base_url = "http://{region}.example/v1"; /* of a credential's region, and there is none */
    provider("nowhere", "openai", 0);
    base_url = "http://127.0.0.1:9/v1";
    model(names, NULL, ARRAY_LEN(names));
    struct snapshot *s = snapshot_build_end(&build, SLICE("l"), 1);
    expect_order(s, 8, "b a c ");
    expect_order(s, 2, "b a ");
    snapshot_drop(s);
}

static void a_credentials_region_stands_in_the_address(void **state)
{
    struct candidate list[1];
    char *names[] = {"regional"};
    (void)state;
    base_url = "https://x.{region}.example/v1";
    provider("regional", "openai", 1);
    base_url = "http://127.0.0.1:9/v1";
    model(names, NULL, 1);
    struct snapshot *s = snapshot_build_end(&build, SLICE("l"), 1);
    const struct policy_model *m = snapshot_model_named(s, SLICE("org"), SLICE("m"));
    const struct candidates_query q = {.policy = s, .model = m, .endpoint = &chat, .dice = dice};
    assert_int_equal(candidates_list(&q, list, 1), 1);
    assert_true(slice_eq(list[0].credential->url.host, SLICE("x.eu-west-1.example")));
    assert_true(slice_eq(list[0].credential->url.path, SLICE("/v1")));
    snapshot_drop(s);
}

static void weights_draw_without_putting_back(void **state)
{
    char *names[] = {"a", "b", "c"};
    const uint32_t weights[] = {1, 8, 1};
    (void)state;
    provider("a", "openai", 1);
    provider("b", "openai", 1);
    provider("c", "openai", 1);
    model(names, weights, ARRAY_LEN(names));
    struct snapshot *s = snapshot_build_end(&build, SLICE("l"), 1);
    memcpy(rolled, (uint32_t[8]){0, 0, 0}, sizeof(rolled)); /* always the first */
    expect_order(s, 8, "a b c ");
    memcpy(rolled, (uint32_t[8]){5, 1, 0}, sizeof(rolled)); /* of 10; of 2; the last */
    expect_order(s, 8, "b c a ");
    memcpy(rolled, (uint32_t[8]){19, 8, 0}, sizeof(rolled)); /* 9 of 10; 8 of 9 */
    expect_order(s, 8, "c b a ");
    snapshot_drop(s);
}

static void what_weighs_nothing_comes_last_in_its_order(void **state)
{
    char *names[] = {"a", "b", "c", "d"};
    const uint32_t weights[] = {0, 0, 1, 3};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        provider(names[i], "openai", 0);
    model(names, weights, ARRAY_LEN(names));
    struct snapshot *s = snapshot_build_end(&build, SLICE("l"), 1);
    memcpy(rolled, (uint32_t[8]){0}, sizeof(rolled));
    expect_order(s, 8, "c d a b ");
    memcpy(rolled, (uint32_t[8]){3}, sizeof(rolled)); /* of 4 */
    expect_order(s, 8, "d c a b ");
    snapshot_drop(s);
}

static void credentials_are_chosen_by_weight_and_none_is_fine(void **state)
{
    char *names[] = {"two", "none"};
    struct candidate list[2];
    (void)state;
    provider("two", "openai", 2);
    provider("none", "openai", 0);
    model(names, NULL, 2);
    struct snapshot *s = snapshot_build_end(&build, SLICE("l"), 1);
    const struct policy_model *m = snapshot_model_named(s, SLICE("org"), SLICE("m"));
    const char *expected[] = {"first", "second", "second", "second"};
    for (uint32_t i = 0; i < 4; i++) {
        rolled[0] = i;
        roll_at = 0;
        const struct candidates_query q = {
            .policy = s, .model = m, .endpoint = &chat, .dice = dice};
        assert_int_equal(candidates_list(&q, list, 2), 2);
        assert_true(slice_eq(list[0].credential->id, slice_str(expected[i])));
        assert_null(list[1].credential);
    }
    snapshot_drop(s);
}

static void a_model_without_targets_has_no_candidate(void **state)
{
    (void)state;
    model(NULL, NULL, 0);
    struct snapshot *s = snapshot_build_end(&build, SLICE("l"), 1);
    expect_order(s, 8, "");
    snapshot_drop(s);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(fallback_keeps_the_order_and_passes_over_what_this_plane_cannot_use),
        CASE(a_credentials_region_stands_in_the_address),
        CASE(weights_draw_without_putting_back),
        CASE(what_weighs_nothing_comes_last_in_its_order),
        CASE(credentials_are_chosen_by_weight_and_none_is_fine),
        CASE(a_model_without_targets_has_no_candidate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
