/*
 * routing — what the admin API says of endpoints and of calls that are explained, from what data
 * planes reported.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "controlplane/api/admin_auth.h"
#include "controlplane/api/dispatch.h"
#include "controlplane/channel/health_board.h"
#include "controlplane/channel/planes.h"
#include "tests/kit/db/admin.h"
#include "tests/kit/db/base.h"
#include "tests/kit/scratch.h"

static struct app app;
static struct admin_auth *auth;
static char state_dir[SCRATCH_MAX];

static json_t *ask(unsigned status, const char *method, const char *target, const char *body)
{
    struct call c;
    json_t *tree = NULL;
    struct json_problem problem;
    const struct dispatch_head head = {.method = slice_str(method),
                                       .target = slice_str(target),
                                       .content_type = SLICE("application/json"),
                                       .authorization = SLICE("Bearer owner"),
                                       .has_body = body != NULL};
    call_init(&c, &app);
    snprintf(c.actor.source, sizeof(c.actor.source), "192.0.2.1");
    if (dispatch_head(&c, auth, &head))
        dispatch_body(&c, body != NULL ? slice_str(body) : SLICE(""));
    assert_int_equal(json_read(buf_slice(&c.response), &tree, &problem), ERR_OK);
    if (c.status != status)
        fail_msg("%s %s: %u %.*s", method, target, c.status, (int)c.response.len, c.response.data);
    call_fini(&c);
    return tree;
}

static void expect_code(unsigned status, const char *code, const char *method, const char *target,
                        const char *body)
{
    JSON_AUTO json_t *t = ask(status, method, target, body);
    assert_true(slice_eq(json_text(t, "code"), slice_str(code)));
}

/* ---- planes ---- */

static bool is_away; /* dp_away is not connected */

static bool is_here(void *arg, struct slice id)
{
    (void)arg;
    return !slice_eq(id, SLICE("dp_away")) || !is_away;
}

static void put_plane(const char *id)
{
    char sql[512];
    snprintf(sql, sizeof(sql),
             "insert into dataplanes (id, org_id, name, spec) select '%s', '%s', 'name-of-%s',"
             " jsonb_build_object('pool', id) from pools where name = 'default'",
             id, base.boot.org_id, id);
    database_say(&base, sql);
}

static struct health_news news;

static void report(const char *plane, const char *provider, const char *credential,
                   const char *word, uint32_t attempts, uint32_t errors, uint32_t rpm_left,
                   int64_t until_us)
{
    Gatehouse__EndpointReport e = GATEHOUSE__ENDPOINT_REPORT__INIT, *list[] = {&e};
    Gatehouse__HealthReport m = GATEHOUSE__HEALTH_REPORT__INIT;
    e.provider_id = (char *)(uintptr_t)provider;
    e.credential_id = (char *)(uintptr_t)credential;
    e.region = (char *)(uintptr_t) "eu";
    e.state = (char *)(uintptr_t)word;
    e.why = (char *)(uintptr_t)(until_us ? "failures" : NULL);
    e.until_us = until_us;
    e.attempts = attempts;
    e.errors_permille = errors;
    e.ttft_p50_ms = attempts;
    e.ttft_p99_ms = 2 * attempts;
    e.has_rpm_left = true;
    e.rpm_left = rpm_left;
    m.n_endpoints = 1;
    m.endpoints = list;
    assert_int_equal(health_board_report(planes_health(app.planes), slice_str(plane), 1, &m,
                                         clock_wall_us(), &news),
                     ERR_OK);
}

static int64_t number(const json_t *t, const char *name)
{
    return json_integer_value(json_object_get(t, name));
}

static void a_providers_health_is_what_its_connected_planes_said(void **state)
{
    (void)state;
    JSON_AUTO json_t *made =
        ask(201, "POST", "/admin/v1/providers",
            "{\"name\":\"watched\",\"dialect\":\"openai\",\"base_url\":\"https://a.example\","
            "\"credentials\":[{\"name\":\"main\",\"secret\":\"sk-1\",\"region\":\"eu\"},"
            "{\"name\":\"spare\",\"secret\":\"sk-2\",\"region\":\"us\"}]}");
    char id[ID_MAX], main_id[ID_MAX];
    const json_t *first = json_array_get(json_object_get(made, "credentials"), 0);
    snprintf(id, sizeof(id), "%.*s", SLICE_ARG(json_text(made, "id")));
    snprintf(main_id, sizeof(main_id), "%.*s", SLICE_ARG(json_text(first, "id")));
    int64_t until = clock_wall_us() + INT64_C(60000000);
    is_away = true;
    report("dp_1", id, main_id, "closed", 30, 100, 40, 0);
    report("dp_2", id, main_id, "open", 10, 500, 2, until);
    report("dp_away", id, main_id, "open", 1000, 1000, 9, until);
    report("dp_1", "prov_other", main_id, "open", 1, 1, 1, until);
    JSON_AUTO json_t *t = ask(200, "GET", "/admin/v1/providers/watched/health", NULL);
    const json_t *endpoints = json_object_get(t, "endpoints");
    assert_int_equal(json_array_size(endpoints), 2);
    const json_t *one = json_array_get(endpoints, 0), *two = json_array_get(endpoints, 1);
    assert_true(slice_eq(json_text(one, "provider"), SLICE("watched")));
    assert_true(slice_eq(json_text(one, "credential"), SLICE("main")));
    assert_true(slice_eq(json_text(one, "region"), SLICE("eu")));
    assert_true(slice_eq(json_text(one, "state"), SLICE("open"))); /* the worse of the two */
    assert_true(slice_eq(json_text(one, "why"), SLICE("failures")));
    assert_true(json_text(one, "until").len > 0);
    assert_int_equal(number(one, "attempts"), 40);
    double rate = json_number_value(json_object_get(one, "error_rate"));
    assert_true(rate > 0.1999 && rate < 0.2001); /* 3 and 5 of 40 */
    assert_int_equal(number(one, "rpm_left"), 42);
    assert_int_equal(number(json_object_get(one, "ttft_ms"), "p99"), 60);
    assert_int_equal(json_array_size(json_object_get(one, "dataplanes")), 2);
    /* a credential that no plane has used yet */
    assert_true(slice_eq(json_text(two, "credential"), SLICE("spare")));
    assert_true(slice_eq(json_text(two, "state"), SLICE("closed")));
    assert_null(json_object_get(two, "rpm_left"));
    assert_int_equal(json_array_size(json_object_get(two, "dataplanes")), 0);

    is_away = false;
    JSON_AUTO json_t *later = ask(200, "GET", "/admin/v1/providers/watched/health", NULL);
    one = json_array_get(json_object_get(later, "endpoints"), 0);
    assert_int_equal(json_array_size(json_object_get(one, "dataplanes")), 3);
    expect_code(404, "not_found", "GET", "/admin/v1/providers/nobody/health", NULL);
}

static void a_call_is_explained_by_a_plane_or_it_says_why_not(void **state)
{
    (void)state;
    static const char target[] = "/admin/v1/models/m/explain";
    char *large = mem_alloc(LIMIT_EXPLAIN_BODY + 64);
    size_t n = (size_t)snprintf(large, 16, "{\"a\":\"");
    memset(large + n, 'a', LIMIT_EXPLAIN_BODY);
    memcpy(large + n + LIMIT_EXPLAIN_BODY, "\"}", 3);
    /* those of this test never said hello, and name no feature */
    expect_code(503, "no_dataplane", "POST", target, "{}");
    expect_code(413, "too_large", "POST", target, large);
    expect_code(404, "not_found", "POST", "/admin/v1/models/m/explain?team=nobody", "{}");
    expect_code(422, "invalid_document", "POST", target, "[]");
    expect_code(400, "not_json", "POST", target, "");
    rollout_hello(app.rollout, SLICE("dp_1"), 1, SLICE(""), FEATURES_ROWS);
    expect_code(503, "no_dataplane", "POST", "/admin/v1/models/m/explain?dataplane=dp_2", "{}");
    /* it is asked, and nothing is connected that could answer */
    expect_code(503, "no_answer", "POST", target, "{}");
    mem_free(large);
}

/* ---- */

static int open_all(void **state)
{
    union sockaddr_any any;
    base_open(state);
    admin_open(&app);
    admin_token("owner", ROLE_OWNER);
    auth = admin_auth_new(base.boot.token_hmac);
    assert_true(scratch_folder(state_dir));
    assert_int_equal(address_parse(SLICE("127.0.0.1:0"), &any), ERR_OK);
    const struct planes_config c = {.db = base.db,
                                    .direct_url = base.run_url,
                                    .seal = base.seal,
                                    .state_dir = state_dir,
                                    .push_at = any,
                                    .request_at = any,
                                    .threads = 1};
    put_plane("dp_1");
    put_plane("dp_2");
    put_plane("dp_away");
    assert_int_equal(planes_open(&c, &app.planes), ERR_OK);
    app.rollout = planes_rollout(app.planes);
    rollout_ask_presence(app.rollout, is_here, NULL);
    return 0;
}

static int close_all(void **state)
{
    planes_close(&app.planes);
    app.rollout = NULL;
    admin_auth_free(auth);
    admin_close(&app);
    return base_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_providers_health_is_what_its_connected_planes_said),
        cmocka_unit_test(a_call_is_explained_by_a_plane_or_it_says_why_not),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
