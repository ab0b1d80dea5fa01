/* routing_fields — what the policy says of routing, as data planes read it, and the hours. */
#include "common/base/clock.h"
#include "tests/unit/policy/policy_kit.h"

#define TEXT(s) ((char *)(uintptr_t)(s))

static struct snapshot *with(struct registry *r, Gatehouse__PolicyObject *o)
{
    struct snapshot_build *b;
    o->has_kind = o->has_revision = true;
    o->id = TEXT("x_1");
    o->revision = 1;
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    assert_int_equal(snapshot_build_apply(b, o), ERR_OK);
    return snapshot_build_end(&b, SLICE("lineage"), 1);
}

static struct snapshot *with_model(struct registry *r, Gatehouse__Model *m)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    m->org_id = TEXT("org");
    m->name = TEXT("m");
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_MODEL;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_MODEL;
    o.model = m;
    return with(r, &o);
}

static void a_model_without_rules_has_the_defaults(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    Gatehouse__Model m = GATEHOUSE__MODEL__INIT;
    Gatehouse__Target target = GATEHOUSE__TARGET__INIT, *targets[] = {&target};
    target.provider_id = TEXT("prov_1");
    target.model = TEXT("a");
    m.n_targets = 1;
    m.targets = targets;
    struct snapshot *s = with_model(r, &m);
    const struct policy_model *p = snapshot_model(s, SLICE("x_1"));
    assert_non_null(p);
    assert_int_equal(p->retry_attempts, 0);
    assert_int_equal(p->retry_on, FAILURE_RETRIED);
    assert_false(p->fallback_set);
    assert_int_equal(p->sticky, STICKY_NONE);
    assert_false(p->capabilities_known);
    assert_int_equal(p->max_price_input, PRICE_NONE);
    assert_int_equal(p->max_price_output, PRICE_NONE);
    assert_int_equal(p->hedge_after_ms, 0);
    assert_null(p->targets[0].when);
    assert_false(p->targets[0].capabilities_known);
    assert_int_equal(p->targets[0].model_id.len, 0);
    snapshot_drop(s);
    registry_free(r);
}

static void rules_of_a_model_and_its_targets_are_read(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    Gatehouse__Model m = GATEHOUSE__MODEL__INIT;
    Gatehouse__Target of[2] = {GATEHOUSE__TARGET__INIT, GATEHOUSE__TARGET__INIT};
    Gatehouse__Target *targets[] = {&of[0], &of[1]};
    Gatehouse__When when = GATEHOUSE__WHEN__INIT;
    Gatehouse__Pair pair = {PROTOBUF_C_MESSAGE_INIT(&gatehouse__pair__descriptor), TEXT("x-tier"),
                            TEXT("gold")};
    Gatehouse__Pair *pairs[] = {&pair};
    char *own[] = {TEXT("vision"), TEXT("from another century")}, *usual[] = {TEXT("tools")};
    char *retried[] = {TEXT("429"), TEXT("connect")};
    char *elsewhere[] = {TEXT("5xx"), TEXT("404"), TEXT("429"), TEXT("context_too_long")};
    char *keys[] = {TEXT("key_1")}, *days[] = {TEXT("sat"), TEXT("sun")};
    when.n_headers = 1;
    when.headers = pairs;
    when.n_keys = 1;
    when.keys = keys;
    when.hours_from = TEXT("22:30");
    when.hours_to = TEXT("06:00");
    when.n_hours_days = 2;
    when.hours_days = days;
    when.hours_utc_offset = TEXT("-05:30");
    of[0].provider_id = TEXT("prov_1");
    of[0].model = TEXT("a");
    of[0].region = TEXT("eu");
    of[0].n_capabilities = 2;
    of[0].capabilities = own;
    of[0].context_tokens = 1000;
    of[0].max_output_tokens = 100;
    of[0].shadow_permille = 125;
    of[0].when = &when;
    of[1].target_model_id = TEXT("model_2");
    m.n_targets = 2;
    m.targets = targets;
    m.retry_attempts = 2;
    m.n_retry_on = 2;
    m.retry_on = retried;
    m.n_fallback_on = 4;
    m.fallback_on = elsewhere;
    m.sticky = TEXT("principal");
    m.n_capabilities = 1;
    m.capabilities = usual;
    m.has_max_price_output = true;
    m.max_price_output = 5;
    m.hedge_after_ms = 700;
    struct snapshot *s = with_model(r, &m);
    const struct policy_model *p = snapshot_model(s, SLICE("x_1"));
    assert_non_null(p);
    assert_int_equal(p->retry_attempts, 2);
    assert_int_equal(p->retry_on, FAILURE_BIT(FAILURE_RATE_LIMITED) | FAILURE_BIT(FAILURE_CONNECT));
    assert_true(p->fallback_set);
    assert_int_equal(p->fallback_on, FAILURE_BIT(FAILURE_5XX) | FAILURE_BIT(FAILURE_RATE_LIMITED) |
                                         FAILURE_BIT(FAILURE_CONTEXT_TOO_LONG));
    assert_int_equal(p->fallback_status_count, 1);
    assert_int_equal(p->fallback_status[0], 404);
    assert_int_equal(p->sticky, STICKY_PRINCIPAL);
    assert_int_equal(p->max_price_input, PRICE_NONE);
    assert_int_equal(p->max_price_output, 5);
    assert_int_equal(p->hedge_after_ms, 700);
    const struct policy_target *t = &p->targets[0];
    assert_true(slice_eq(t->region, SLICE("eu")));
    assert_true(t->capabilities_known);
    assert_int_equal(t->capabilities, CAPABILITY_BIT(CAPABILITY_VISION));
    assert_int_equal(t->context_tokens, 1000);
    assert_int_equal(t->max_output_tokens, 100);
    assert_int_equal(t->shadow_permille, 125);
    assert_int_equal(t->when->header_count, 1);
    assert_true(slice_eq(t->when->headers[0].name, SLICE("x-tier")));
    assert_true(slice_eq(t->when->headers[0].value, SLICE("gold")));
    assert_int_equal(t->when->key_count, 1);
    assert_int_equal(t->when->team_count, 0);
    assert_true(t->when->hours.set);
    assert_int_equal(t->when->hours.from, 22 * 60 + 30);
    assert_int_equal(t->when->hours.to, 6 * 60);
    assert_int_equal(t->when->hours.days, 0x60);
    assert_int_equal(t->when->hours.utc_offset, -330);
    assert_true(slice_eq(p->targets[1].model_id, SLICE("model_2")));
    assert_int_equal(p->targets[1].provider_id.len, 0);
    assert_int_equal(p->targets[1].capabilities, CAPABILITY_BIT(CAPABILITY_TOOLS));
    snapshot_drop(s);
    registry_free(r);
}

static void expect_no_model(struct registry *r, Gatehouse__Model *m, const char *why)
{
    struct snapshot *s = with_model(r, m);
    if (snapshot_model(s, SLICE("x_1")) || snapshot_refused(s) != 1)
        fail_msg("%s was read", why);
    snapshot_drop(s);
}

/* What a plane does not know must not become another rule, or none. */
static void a_rule_that_is_not_known_refuses_the_model(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    char *word[] = {TEXT("full_moon")}, *status[] = {TEXT("399")};
    static const struct {
        const char *from, *to, *offset;
    } hours[] = {
        {"08:00", NULL, NULL},    {NULL, "08:00", NULL},       {"24:00", "08:00", NULL},
        {"8:00", "09:00", NULL},  {"08:00", "24:01", NULL},    {"08:00", "08:00", NULL},
        {"08:60", "09:00", NULL}, {"08:00", "09:00", "01:00"}, {"08:00", "09:00", "+15:00"},
        {"08:00", "09:00", "+"},  {"aa:bb", "09:00", NULL},    {"", "", NULL},
    };
    Gatehouse__Model m = GATEHOUSE__MODEL__INIT;
    m.sticky = word[0];
    expect_no_model(r, &m, "sticky");
    m = (Gatehouse__Model)GATEHOUSE__MODEL__INIT;
    m.n_retry_on = 1;
    m.retry_on = word;
    expect_no_model(r, &m, "retry_on");
    m = (Gatehouse__Model)GATEHOUSE__MODEL__INIT;
    m.n_fallback_on = 1;
    m.fallback_on = status;
    expect_no_model(r, &m, "fallback_on");
    for (size_t i = 0; i < ARRAY_LEN(hours); i++) {
        Gatehouse__When when = GATEHOUSE__WHEN__INIT;
        Gatehouse__Target t = GATEHOUSE__TARGET__INIT, *targets[] = {&t};
        m = (Gatehouse__Model)GATEHOUSE__MODEL__INIT;
        when.hours_from = TEXT(hours[i].from);
        when.hours_to = TEXT(hours[i].to);
        when.hours_utc_offset = TEXT(hours[i].offset);
        t.when = &when;
        m.n_targets = 1;
        m.targets = targets;
        char row[16];
        snprintf(row, sizeof(row), "hours %zu", i);
        expect_no_model(r, &m, row);
    }
    registry_free(r);
}

static void a_teams_demands_are_read_and_unknown_ones_refuse_it(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Team t = GATEHOUSE__TEAM__INIT;
    char *regions[] = {TEXT("eu"), TEXT("ch")};
    char *demands[] = {TEXT("zero_retention"), TEXT("kept_on_the_moon")};
    t.org_id = TEXT("org");
    t.name = TEXT("t");
    t.n_regions = 2;
    t.regions = regions;
    t.n_data_policy = 1;
    t.data_policy = demands;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_TEAM;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_TEAM;
    o.team = &t;
    struct snapshot *s = with(r, &o);
    const struct policy_team *p = snapshot_team(s, SLICE("x_1"));
    assert_non_null(p);
    assert_int_equal(p->region_count, 2);
    assert_true(slice_eq(p->regions[1], SLICE("ch")));
    assert_int_equal(p->data_policy, DATA_POLICY_BIT(DATA_POLICY_ZERO_RETENTION));
    assert_int_equal(p->queue_weight, 1);
    snapshot_drop(s);
    t.n_data_policy = 2;
    t.queue_weight = 7;
    s = with(r, &o);
    assert_null(snapshot_team(s, SLICE("x_1")));
    assert_int_equal(snapshot_refused(s), 1);
    snapshot_drop(s);
    registry_free(r);
}

static void what_a_provider_says_of_its_resilience_is_read(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Provider m = GATEHOUSE__PROVIDER__INIT;
    Gatehouse__Credential c = GATEHOUSE__CREDENTIAL__INIT, *credentials[] = {&c};
    char *promises[] = {TEXT("no_training"), TEXT("kept_on_the_moon")};
    c.id = TEXT("c_1");
    c.rpm = 600;
    c.tpm = 200000;
    m.org_id = TEXT("org");
    m.name = TEXT("p");
    m.dialect = TEXT("openai");
    m.base_url = TEXT("http://127.0.0.1:1/v1");
    m.n_credentials = 1;
    m.credentials = credentials;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_PROVIDER;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER;
    o.provider = &m;
    struct snapshot *s = with(r, &o);
    const struct policy_provider *p = snapshot_provider(s, SLICE("x_1"));
    assert_non_null(p);
    assert_int_equal(p->retry_budget_permille, POLICY_RETRY_BUDGET_PERMILLE);
    assert_int_equal(p->breaker_failures, 0);
    assert_int_equal(p->health_check_interval_s, 0);
    assert_int_equal(p->data_policy, 0);
    assert_int_equal(p->credentials[0].rpm, 600);
    assert_int_equal(p->credentials[0].tpm, 200000);
    snapshot_drop(s);
    m.n_data_policy = 2;
    m.data_policy = promises;
    m.has_retry_budget_permille = true; /* none at all */
    m.breaker_failures = 3;
    m.breaker_open_ms = 2000;
    m.health_check_interval_s = 10;
    m.health_check_path = TEXT("/models");
    s = with(r, &o);
    p = snapshot_provider(s, SLICE("x_1"));
    assert_non_null(p);
    assert_int_equal(p->data_policy, DATA_POLICY_BIT(DATA_POLICY_NO_TRAINING));
    assert_int_equal(p->retry_budget_permille, 0);
    assert_int_equal(p->breaker_failures, 3);
    assert_int_equal(p->breaker_open_ms, 2000);
    assert_int_equal(p->health_check_interval_s, 10);
    assert_true(slice_eq(p->health_check_path, SLICE("/models")));
    snapshot_drop(s);
    registry_free(r);
}

static bool keep_fault(void *arg, const struct policy_fault *f)
{
    *(const struct policy_fault **)arg = f;
    return false;
}

static const struct policy_fault *fault_of(const struct snapshot *s, struct slice subject)
{
    const struct policy_fault *found = NULL;
    snapshot_each_fault(s, subject, keep_fault, &found);
    return found;
}

static void a_fault_is_found_by_what_seems_to_fail(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Fault m = GATEHOUSE__FAULT__INIT;
    m.org_id = TEXT("org");
    m.name = TEXT("drill");
    m.provider_id = TEXT("prov_1");
    m.scope_subject_kind = TEXT("team");
    m.scope_subject_id = TEXT("team_1");
    m.share_permille = 200;
    m.fault_status = 503;
    m.until_us = 7;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_FAULT;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_FAULT;
    o.fault = &m;
    struct snapshot *s = with(r, &o);
    const struct policy_fault *f = fault_of(s, SLICE("prov_1"));
    assert_non_null(f);
    assert_null(fault_of(s, SLICE("org")));
    assert_int_equal(f->scope, POLICY_FAULT_OF_TEAM);
    assert_true(slice_eq(f->subject_id, SLICE("team_1")));
    assert_int_equal(f->share_permille, 200);
    assert_int_equal(f->status, 503);
    assert_int_equal(f->until_us, 7);
    snapshot_drop(s);

    m.provider_id = m.scope_subject_kind = m.scope_subject_id = NULL;
    m.fault_status = 0;
    m.fault_hang = true;
    s = with(r, &o);
    f = fault_of(s, SLICE("org"));
    assert_non_null(f);
    assert_int_equal(f->scope, POLICY_FAULT_OF_ALL);
    assert_true(f->hangs);
    snapshot_drop(s);

    m.fault_latency_ms = 5; /* and a hang */
    s = with(r, &o);
    assert_null(fault_of(s, SLICE("org")));
    snapshot_drop(s);
    m.fault_hang = false;
    m.scope_subject_kind = TEXT("planet"); /* it must not become everybody's */
    m.scope_subject_id = TEXT("earth");
    s = with(r, &o);
    assert_null(fault_of(s, SLICE("org")));
    assert_int_equal(snapshot_refused(s), 1);
    snapshot_drop(s);
    registry_free(r);
}

static void hours_hold_from_one_time_of_a_day_to_the_next(void **state)
{
    (void)state;
    /* 30 November 2026 is a Monday */
    static const struct {
        struct policy_hours hours;
        const char *at;
        bool holds;
    } rows[] = {
        {{.set = false}, "2026-11-30T03:00:00Z", true},
        {{true, 480, 1080, 0x7f, 0}, "2026-11-30T07:59:59Z", false},
        {{true, 480, 1080, 0x7f, 0}, "2026-11-30T08:00:00Z", true},
        {{true, 480, 1080, 0x7f, 0}, "2026-11-30T17:59:59Z", true},
        {{true, 480, 1080, 0x7f, 0}, "2026-11-30T18:00:00Z", false},
        {{true, 480, 1080, 0x01, 0}, "2026-11-30T09:00:00Z", true},
        {{true, 480, 1080, 0x01, 0}, "2026-12-01T09:00:00Z", false},
        {{true, 480, 1080, 0x40, 0}, "2026-11-29T09:00:00Z", true},
        {{true, 480, 1080, 0x7f, 60}, "2026-11-30T07:00:00Z", true},
        {{true, 480, 1080, 0x7f, -60}, "2026-11-30T08:30:00Z", false},
        /* in Auckland it is Tuesday already */
        {{true, 480, 1080, 0x02, 13 * 60}, "2026-11-30T20:00:00Z", true},
        /* past midnight: the day is that of the evening */
        {{true, 1320, 360, 0x01, 0}, "2026-11-30T22:00:00Z", true},
        {{true, 1320, 360, 0x01, 0}, "2026-12-01T05:59:00Z", true},
        {{true, 1320, 360, 0x01, 0}, "2026-12-01T06:00:00Z", false},
        {{true, 1320, 360, 0x01, 0}, "2026-11-30T05:00:00Z", false},
        {{true, 1320, 360, 0x01, 0}, "2026-12-01T22:00:00Z", false},
        {{true, 0, 1440, 0x01, 0}, "2026-11-30T23:59:59Z", true},
        {{true, 480, 1080, 0x7f, 0}, "1969-12-31T09:00:00Z", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t at = 0;
        assert_int_equal(clock_parse(slice_str(rows[i].at), &at), ERR_OK);
        if (policy_hours_hold(&rows[i].hours, at) != rows[i].holds)
            fail_msg("row %zu, %s", i, rows[i].at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_without_rules_has_the_defaults),
        cmocka_unit_test(rules_of_a_model_and_its_targets_are_read),
        cmocka_unit_test(a_rule_that_is_not_known_refuses_the_model),
        cmocka_unit_test(a_teams_demands_are_read_and_unknown_ones_refuse_it),
        cmocka_unit_test(what_a_provider_says_of_its_resilience_is_read),
        cmocka_unit_test(a_fault_is_found_by_what_seems_to_fail),
        cmocka_unit_test(hours_hold_from_one_time_of_a_day_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
