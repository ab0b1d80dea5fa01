/* health — what a plane reports of its credentials, and what it does with what others found. */
#include "tests/unit/policy/policy_kit.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/policy/ceiling_client.h"
#include "common/policy/health_client.h"

#define REPORTS_MAX 16

/* A control plane that takes reports, and grants 40 requests a minute of any credential. */
struct board {
    struct loop *loop;
    struct registry *registry;
    struct snapshot *policy;
    size_t reports, asks;
    size_t rows[REPORTS_MAX];
    bool whole[REPORTS_MAX];
    char state[REPORTS_MAX][16];
    int64_t until_us[REPORTS_MAX];
    uint32_t rpm_left[REPORTS_MAX];
    bool gone[REPORTS_MAX];
    size_t stop_after; /* reports */
    bool ceilings_only;
};

struct reply {
    struct board *board;
    void (*done)(void *arg, enum err e, const void *reply);
    void *arg;
    bool of_ceiling;
};

static void deliver(void *arg)
{
    struct reply *a = arg;
    Gatehouse__Reply r = GATEHOUSE__REPLY__INIT;
    Gatehouse__CeilingReply l = GATEHOUSE__CEILING_REPLY__INIT;
    Gatehouse__CeilingGrant g = GATEHOUSE__CEILING_GRANT__INIT, *list[] = {&g};
    if (a->of_ceiling) {
        g.credential_id = "c_one";
        g.has_rpm = g.has_rpm_floor = g.has_valid_ms = true;
        g.rpm = 40;
        g.rpm_floor = 30;
        g.valid_ms = 10000;
        l.grants = list;
        l.n_grants = 1;
        r.body_case = GATEHOUSE__REPLY__BODY_CEILING;
        r.ceiling = &l;
    }
    a->done(a->arg, ERR_OK, &r);
    if (a->of_ceiling ? a->board->ceilings_only : a->board->reports >= a->board->stop_after)
        loop_stop(a->board->loop);
    mem_free(a);
}

static void take_report(struct board *b, const Gatehouse__HealthReport *m)
{
    size_t i = b->reports++;
    assert_true(i < REPORTS_MAX);
    b->rows[i] = m->n_endpoints;
    b->whole[i] = m->whole;
    for (size_t n = 0; n < m->n_endpoints; n++) {
        const Gatehouse__EndpointReport *e = m->endpoints[n];
        assert_string_equal(e->provider_id, "p_one");
        assert_string_equal(e->credential_id, "c_one");
        snprintf(b->state[i], sizeof(b->state[i]), "%s", e->state);
        b->until_us[i] = e->until_us;
        b->rpm_left[i] = e->rpm_left;
        b->gone[i] = e->gone;
    }
}

static enum err request(void *arg, void *message,
                        void (*done)(void *done_arg, enum err e, const void *reply), void *done_arg)
{
    struct board *b = arg;
    const Gatehouse__Request *m = message;
    struct reply *a = mem_zalloc(sizeof(*a));
    *a = (struct reply){.board = b, .done = done, .arg = done_arg};
    a->of_ceiling = m->body_case == GATEHOUSE__REQUEST__BODY_CEILING;
    if (a->of_ceiling) {
        assert_int_equal(m->ceiling->n_asks, 1);
        assert_string_equal(m->ceiling->asks[0]->credential_id, "c_one");
        assert_int_equal(m->ceiling->asks[0]->rpm, 60);
        b->asks++;
    } else {
        assert_int_equal(m->body_case, GATEHOUSE__REQUEST__BODY_HEALTH);
        take_report(b, m->health);
    }
    enum err e = loop_post(b->loop, deliver, a);
    if (e != ERR_OK)
        mem_free(a);
    return e;
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static struct snapshot *policy_with(struct registry *r, const struct snapshot *base, bool provider)
{
    struct snapshot_build *b;
    struct snapshot *s;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Provider p = GATEHOUSE__PROVIDER__INIT;
    Gatehouse__Credential c = GATEHOUSE__CREDENTIAL__INIT, *credentials[] = {&c};
    assert_int_equal(snapshot_build_begin(base, r, &b), ERR_OK);
    c.id = c.name = "c_one";
    c.has_rpm = true;
    c.rpm = 60;
    p.org_id = "org";
    p.name = "one";
    p.dialect = "openai";
    p.base_url = "http://127.0.0.1:9/v1";
    p.credentials = credentials;
    p.n_credentials = 1;
    o.has_kind = o.has_revision = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_PROVIDER;
    o.id = "p_one";
    o.revision = provider ? 1 : 2;
    if (provider) {
        o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER;
        o.provider = &p;
    }
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
    s = snapshot_build_end(&b, SLICE("lineage"), provider ? 1 : 2);
    assert_non_null(s);
    return s;
}

static struct ceiling *ceiling_in(const struct board *b)
{
    return snapshot_provider(b->policy, SLICE("p_one"))->credentials[0].ceiling;
}

static void begin(struct board *b)
{
    *b = (struct board){.stop_after = 1};
    assert_int_equal(loop_new(&b->loop), ERR_OK);
    b->registry = registry_new();
    b->policy = policy_with(b->registry, NULL, true);
}

static void end(struct board *b)
{
    loop_free(b->loop);
    snapshot_drop(b->policy);
    registry_free(b->registry);
}

static void what_changes_is_reported_and_nothing_else(void **state)
{
    (void)state;
    struct board b;
    struct health_client *c;
    begin(&b);
    const struct control_link links = {.request = request, .is_connected = always, .arg = &b};
    assert_int_equal(health_client_new(b.loop, &links, &c), ERR_OK);
    health_client_policy(c, b.policy);
    loop_run(b.loop);
    assert_true(b.whole[0]);
    assert_int_equal(b.rows[0], 1);
    assert_string_equal(b.state[0], "closed");
    assert_int_equal(b.rpm_left[0], 60);
    /* a 429, and a request that was sent */
    struct ceiling_permit p;
    uint64_t wait;
    assert_int_equal(ceiling_take(ceiling_in(&b), SLICE("m"), 0, false, clock_mono_us(), &p, &wait),
                     ERR_OK);
    ceiling_cool(ceiling_in(&b), 30000000, clock_mono_us());
    b.stop_after = 2;
    loop_run(b.loop);
    assert_false(b.whole[1]);
    assert_string_equal(b.state[1], "open");
    assert_in_range(b.until_us[1] - clock_wall_us(), 25000000, 30000000);
    assert_int_equal(b.rpm_left[1], 59);
    health_client_free(c);
    ceiling_return(ceiling_in(&b), &p, clock_mono_us());
    end(&b);
}

static void a_credential_that_is_gone_is_told_once(void **state)
{
    (void)state;
    struct board b;
    struct health_client *c;
    begin(&b);
    const struct control_link links = {.request = request, .is_connected = always, .arg = &b};
    assert_int_equal(health_client_new(b.loop, &links, &c), ERR_OK);
    health_client_policy(c, b.policy);
    loop_run(b.loop);
    struct snapshot *without = policy_with(b.registry, b.policy, false);
    health_client_policy(c, without);
    b.stop_after = 2;
    loop_run(b.loop);
    assert_int_equal(b.rows[1], 1);
    assert_true(b.gone[1]);
    /* and a new connection is told of all: of nothing */
    health_client_on_state(c, true);
    b.stop_after = 3;
    loop_run(b.loop);
    assert_int_equal(b.rows[2], 0);
    assert_true(b.whole[2]);
    health_client_free(c);
    snapshot_drop(without);
    end(&b);
}

static void what_another_plane_found_rests_here_and_is_not_reported(void **state)
{
    (void)state;
    struct board b;
    struct health_client *c;
    Gatehouse__HealthHint h = GATEHOUSE__HEALTH_HINT__INIT;
    begin(&b);
    const struct control_link links = {.request = request, .is_connected = always, .arg = &b};
    assert_int_equal(health_client_new(b.loop, &links, &c), ERR_OK);
    health_client_policy(c, b.policy);
    h.provider_id = "p_one";
    h.credential_id = "c_one";
    h.why = "failures"; /* is no word of the credential's limit */
    h.has_for_ms = true;
    h.for_ms = 20000;
    health_client_hint(c, &h);
    assert_int_equal(ceiling_wait(ceiling_in(&b), SLICE("m"), 0, clock_mono_us()), 0);
    h.why = "rate_limited";
    health_client_hint(c, &h);
    assert_in_range(ceiling_wait(ceiling_in(&b), SLICE("m"), 0, clock_mono_us()), 15000000,
                    20000000);
    loop_run(b.loop);
    assert_string_equal(b.state[0], "closed");
    h.for_ms = 0;
    health_client_hint(c, &h);
    assert_int_equal(ceiling_wait(ceiling_in(&b), SLICE("m"), 0, clock_mono_us()), 0);
    h.credential_id = "c_other";
    health_client_hint(c, &h); /* unknown here */
    health_client_free(c);
    end(&b);
}

static void a_share_is_asked_for_and_taken(void **state)
{
    (void)state;
    struct board b;
    struct ceiling_client *c;
    struct ceiling_state s;
    begin(&b);
    b.ceilings_only = true;
    const struct control_link links = {.request = request, .is_connected = always, .arg = &b};
    assert_int_equal(ceiling_client_new(b.loop, &links, &c), ERR_OK);
    ceiling_client_policy(c, b.policy);
    ceiling_look(ceiling_in(&b), clock_mono_us(), &s);
    assert_int_equal(s.share.rpm, 60);
    loop_run(b.loop);
    assert_int_equal(b.asks, 1);
    ceiling_look(ceiling_in(&b), clock_mono_us(), &s);
    assert_int_equal(s.share.rpm, 40);
    ceiling_look(ceiling_in(&b), clock_mono_us() + 11000000, &s);
    assert_int_equal(s.share.rpm, 30);
    ceiling_client_free(c);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changes_is_reported_and_nothing_else),
        cmocka_unit_test(a_credential_that_is_gone_is_told_once),
        cmocka_unit_test(what_another_plane_found_rests_here_and_is_not_reported),
        cmocka_unit_test(a_share_is_asked_for_and_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
