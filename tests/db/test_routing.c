/*
 * routing — what the admin API says of endpoints and of calls that are explained, from what data
 * planes reported.
 */
#include <pthread.h>
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
#include "common/policy/epoch.h"
#include "common/policy/plane.h"
#include "common/wire/enrol.h"
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

/* status 0: any */
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
    if (status && c.status != status)
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
    expect_code(404, "not_found", "POST", target, "{}");
    json_decref(
        ask(201, "POST", "/admin/v1/models",
            "{\"name\":\"vendor/*\",\"targets\":[{\"provider\":\"watched\",\"model\":\"*\"}]}"));
    json_decref(ask(201, "POST", "/admin/v1/models",
                    "{\"name\":\"m\",\"targets\":[{\"provider\":\"watched\",\"model\":\"m\"}]}"));
    expect_code(503, "no_dataplane", "POST", "/admin/v1/models/vendor%2Fany/explain", "{}");
    expect_code(404, "not_found", "POST", "/admin/v1/models/vendors%2Fany/explain", "{}");
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

/* ---- with data planes that are connected ---- */

/* The data plane's end of the channel, as its process has it, on a thread of its own. */
struct real_plane {
    const char *id;
    struct loop *loop;
    struct plane *plane;
    pthread_t thread;
    char dir[SCRATCH_MAX];
    const char *says;             /* to a question */
    char team[ID_MAX], body[256]; /* of the question */
    Gatehouse__HealthReport *report;
    _Atomic int reported; /* 1: taken, -1: refused */
    _Atomic unsigned hints;
    char hinted[ID_MAX];
};

static void no_publish(void *arg, const struct snapshot *s)
{
    (void)arg;
    (void)s;
}

static void at_once(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
    struct real_plane *r = arg;
    assert_int_equal(loop_post(r->loop, fn, fn_arg), ERR_OK);
}

static void on_explain(void *arg, const Gatehouse__ExplainQuestion *q)
{
    struct real_plane *r = arg;
    snprintf(r->team, sizeof(r->team), "%s", q->team_id ? q->team_id : "");
    snprintf(r->body, sizeof(r->body), "%s", q->body);
    if (strcmp(q->model, "vendor/unknown") == 0)
        plane_explained(r->plane, q->number, SLICE_NONE, SLICE("no such model"), true);
    else if (strcmp(q->model, "vendor/puzzling") == 0)
        plane_explained(r->plane, q->number, SLICE_NONE, SLICE("what is this?"), false);
    else
        plane_explained(r->plane, q->number, slice_str(r->says), SLICE_NONE, false);
}

static void on_hint(void *arg, const Gatehouse__HealthHint *h)
{
    struct real_plane *r = arg;
    snprintf(r->hinted, sizeof(r->hinted), "%s", h->credential_id);
    r->hints++;
}

static void write_file(const char *dir, const char *name, struct slice bytes)
{
    char path[SCRATCH_MAX + 32];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
    fclose(f);
}

static void enrol(struct real_plane *r)
{
    TX_AUTO struct tx tx = {0};
    struct buf key, csr;
    struct enrolled e;
    char token[ENROL_TOKEN_MAX];
    struct enrolment *of = planes_enrolment(app.planes);
    buf_init(&key, 8192);
    buf_init(&csr, 8192);
    assert_int_equal(tx_begin(base.db, slice_str(base.boot.org_id), &tx), ERR_OK);
    assert_int_equal(enrolment_create(of, &tx, slice_str(r->id), clock_wall_us(), token, NULL),
                     ERR_OK);
    assert_int_equal(tx_commit(&tx), ERR_OK);
    assert_int_equal(enrol_make_request(&key, &csr), ERR_OK);
    assert_int_equal(
        enrolment_use(of, base.db, slice_str(token), buf_slice(&csr), clock_wall_us(), &e), ERR_OK);
    write_file(r->dir, "plane.key", buf_slice(&key));
    write_file(r->dir, "plane.crt", buf_slice(&e.certificate));
    write_file(r->dir, "ca.crt", enrolment_ca(of));
    enrolled_fini(&e);
    buf_fini(&csr);
    buf_fini(&key);
}

static void *turn(void *arg)
{
    struct real_plane *r = arg;
    loop_run(r->loop);
    return NULL;
}

static void await_hello(const struct real_plane *r)
{
    struct rollout_plane p = {.features = FEATURES_NONE};
    for (int i = 0; i < 10000 && !p.features; i++) {
        usleep(1000);
        assert_true(rollout_find(app.rollout, slice_str(r->id), &p));
    }
    assert_true((p.features & FEATURE_BIT(FEATURE_EXPLAIN)) != 0);
    usleep(300000); /* it moves to the view of its features, most often within this time */
}

static void open_plane(struct real_plane *r, const char *id)
{
    struct plane_config c = {.channel_host = SLICE("127.0.0.1"),
                             .state_dir = r->dir, /* filled below */
                             .workers = 1,
                             .journal_bytes = 1 << 20};
    uint64_t epoch; /* local sockets are named by it: another one for each plane of this process */
    const struct plane_events events = {.publish = no_publish,
                                        .after_turns = at_once,
                                        .explain = on_explain,
                                        .hint = on_hint,
                                        .arg = r};
    *r = (struct real_plane){.id = id};
    assert_true(scratch_folder(r->dir));
    static unsigned opened;
    for (unsigned i = 0; i < opened; i++)
        assert_int_equal(epoch_next(r->dir, &epoch), ERR_OK);
    opened++;
    enrol(r);
    planes_ports(app.planes, &c.push_port, &c.request_port);
    assert_int_equal(loop_new(&r->loop), ERR_OK);
    assert_int_equal(plane_open(&c, &events, r->loop, &r->plane), ERR_OK);
    assert_int_equal(pthread_create(&r->thread, NULL, turn, r), 0);
    await_hello(r);
}

static void close_plane(struct real_plane *r)
{
    loop_stop(r->loop);
    pthread_join(r->thread, NULL);
    plane_close(&r->plane);
    loop_free(r->loop);
}

static void a_question_reaches_the_plane_and_its_answer_the_one_who_asked(void **state)
{
    (void)state;
    struct real_plane r;
    open_plane(&r, "dp_real_a");
    r.says = "{\"strategy\":\"fallback\",\"targets\":[],\"excluded\":[]}";
    JSON_AUTO json_t *team = ask(201, "POST", "/admin/v1/teams", "{\"name\":\"asking\"}");
    JSON_AUTO json_t *agent =
        ask(201, "POST", "/admin/v1/agents", "{\"name\":\"asker\",\"team\":\"asking\"}");
    JSON_AUTO json_t *t = NULL;
    /* what is pushed while a plane moves to the view of its features is lost */
    for (int i = 0; i < 5 && !json_object_get(t, "strategy"); i++) {
        json_decref(t);
        t = ask(0, "POST", "/admin/v1/models/m/explain?agent=asker&dataplane=name-of-dp_real_a",
                "{\"messages\":[ ]}");
    }
    assert_true(slice_eq(json_text(t, "strategy"), SLICE("fallback")));
    assert_true(slice_eq(json_text(t, "dataplane"), SLICE("name-of-dp_real_a")));
    assert_true(slice_eq(slice_str(r.team), json_text(team, "id"))); /* the agent's */
    assert_string_equal(r.body, "{\"messages\":[ ]}");               /* as it was sent */
#define OF_A "?dataplane=dp_real_a"
    expect_code(404, "not_found", "POST", "/admin/v1/models/vendor%2Funknown/explain" OF_A, "{}");
    expect_code(422, "invalid_document", "POST", "/admin/v1/models/vendor%2Fpuzzling/explain" OF_A,
                "{}");
    r.says = "no JSON";
    expect_code(503, "no_answer", "POST", "/admin/v1/models/m/explain" OF_A, "{}");
    close_plane(&r);
}

static void on_reported(void *arg, enum err e)
{
    struct real_plane *r = arg;
    r->reported = e == ERR_OK ? 1 : -1;
}

static void send_report(void *arg)
{
    struct real_plane *r = arg;
    assert_int_equal(plane_report_health(r->plane, r->report, on_reported, r), ERR_OK);
}

static void what_one_plane_finds_out_the_others_of_its_pool_are_told(void **state)
{
    (void)state;
    struct real_plane a, b;
    Gatehouse__EndpointReport e = GATEHOUSE__ENDPOINT_REPORT__INIT, *list[] = {&e};
    Gatehouse__HealthReport m = GATEHOUSE__HEALTH_REPORT__INIT;
    open_plane(&a, "dp_real_a");
    open_plane(&b, "dp_real_b");
    e.provider_id = (char *)(uintptr_t) "prov_hinted";
    e.credential_id = (char *)(uintptr_t) "cred_hinted";
    e.state = (char *)(uintptr_t) "open";
    e.why = (char *)(uintptr_t) "failures";
    e.has_until_us = true;
    e.until_us = clock_wall_us() + INT64_C(60000000);
    m.n_endpoints = 1;
    m.endpoints = list;
    a.report = &m;
    /* the push leg of b may be younger than its hello: what is lost is found out anew */
    for (int i = 0; i < 100 && b.hints == 0; i++) {
        a.reported = 0;
        e.until_us += 1000000;
        assert_int_equal(loop_post(a.loop, send_report, &a), ERR_OK);
        for (int k = 0; k < 10000 && a.reported == 0; k++)
            usleep(1000);
        assert_int_equal(a.reported, 1);
        for (int k = 0; k < 100 && b.hints == 0; k++)
            usleep(1000);
    }
    assert_true(b.hints > 0);
    assert_string_equal(b.hinted, "cred_hinted");
    close_plane(&a);
    close_plane(&b);
    assert_int_equal(a.hints, 0); /* its own word */
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
    put_plane("dp_real_a");
    put_plane("dp_real_b");
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
        cmocka_unit_test(a_question_reaches_the_plane_and_its_answer_the_one_who_asked),
        cmocka_unit_test(what_one_plane_finds_out_the_others_of_its_pool_are_told),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
