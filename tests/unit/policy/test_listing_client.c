/* discovery — the plane's side: its requests, the orders it carries out, and its reports. */
#include "tests/unit/policy/policy_kit.h"

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/policy/listing_client.h"

/* A control plane that gives orders, takes reports, and may be away. */
struct office {
    struct loop *loop;
    struct listing_client *discovery;
    struct registry *registry;
    const char *give; /* a server to be listed, in every reply; NULL: none */
    const char *say;  /* Reply.error to a report; NULL: all is well */
    unsigned refused;
    unsigned lose;     /* replies that do not come back */
    unsigned asks;     /* questions that came */
    char holding[256]; /* in the last question */
    char changed[256];
    unsigned room;
    unsigned parts, tools; /* of reports */
    size_t names;          /* of the complete one */
    bool complete;
    char error[200];
    unsigned largest; /* bytes of a message */
    unsigned lists;   /* orders that were to be carried out */
    unsigned list_ms; /* for one */
    struct tool_order order;
    bool (*until)(const struct office *o);
    struct timer watch;
    unsigned looks;
};

struct reply {
    struct office *office;
    void (*done)(void *arg, enum err e, const void *reply);
    void *arg;
    bool asked, lost;
};

static void deliver(void *arg)
{
    struct reply *a = arg;
    Gatehouse__Reply r = GATEHOUSE__REPLY__INIT;
    Gatehouse__ListingReply l = GATEHOUSE__LISTING_REPLY__INIT;
    Gatehouse__ListingOrder o = GATEHOUSE__LISTING_ORDER__INIT, *list[] = {&o};
    if (!a->asked && a->office->say) {
        r.error = (char *)(uintptr_t)a->office->say;
        a->office->refused++;
    }
    if (a->asked) {
        o.server_id = o.name = (char *)(uintptr_t)a->office->give;
        o.org_id = "org";
        o.has_revision = o.has_ask = true;
        o.revision = 2;
        o.ask = 5;
        l.orders = list;
        l.n_orders = a->office->give != NULL;
        r.body_case = GATEHOUSE__REPLY__BODY_LISTING;
        r.listing = &l;
    }
    a->done(a->arg, a->lost ? ERR_TIMEOUT : ERR_OK, a->lost ? NULL : &r);
    mem_free(a);
}

static void join(char *out, size_t cap, char **texts, size_t n)
{
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(out);
        snprintf(out + at, cap - at, "%s%s", i ? " " : "", texts[i]);
    }
}

static void take(struct office *o, const Gatehouse__Request *m)
{
    if (m->body_case == GATEHOUSE__REQUEST__BODY_LISTING) {
        o->asks++;
        join(o->holding, sizeof(o->holding), m->listing->holding, m->listing->n_holding);
        join(o->changed, sizeof(o->changed), m->listing->changed, m->listing->n_changed);
        o->room = m->listing->room;
        return;
    }
    assert_int_equal(m->body_case, GATEHOUSE__REQUEST__BODY_TOOLS);
    assert_int_equal(m->tools->ask, 5);
    assert_int_equal(m->tools->revision,
                     o->list_ms ? 2 : 3); /* the one that was not listed: as ordered */
    o->parts++;
    o->tools += (unsigned)m->tools->n_tools;
    o->complete = m->tools->complete;
    o->names = m->tools->n_names;
    if (m->tools->error)
        snprintf(o->error, sizeof(o->error), "%s", m->tools->error);
}

static enum err office_request(void *arg, void *message,
                               void (*done)(void *done_arg, enum err e, const void *reply),
                               void *done_arg)
{
    struct office *o = arg;
    size_t len = gatehouse__request__get_packed_size(message);
    uint8_t *wire = mem_alloc(len);
    struct reply *a = mem_zalloc(sizeof(*a));
    gatehouse__request__pack(message, wire);
    Gatehouse__Request *m = gatehouse__request__unpack(NULL, len, wire);
    assert_non_null(m);
    o->largest = len > o->largest ? (unsigned)len : o->largest;
    *a = (struct reply){.office = o, .done = done, .arg = done_arg, .lost = o->lose > 0};
    a->asked = m->body_case == GATEHOUSE__REQUEST__BODY_LISTING;
    o->lose -= o->lose > 0;
    if (!a->lost && (a->asked || !o->say))
        take(o, m);
    gatehouse__request__free_unpacked(m, NULL);
    mem_free(wire);
    enum err e = loop_post(o->loop, deliver, a); /* a stopped loop takes no message */
    if (e != ERR_OK)
        mem_free(a);
    return e;
}

static bool always(void *arg UNUSED)
{
    return true;
}

static void on_list(void *arg, const struct tool_order *order)
{
    struct office *o = arg;
    o->lists++;
    o->order = *order;
}

static void on_watch(struct timer *t)
{
    struct office *o = CONTAINER_OF(t, struct office, watch);
    if (o->until(o) || ++o->looks > 1500)
        loop_stop(o->loop);
    else
        timer_start(t, 10);
}

static void open_office(struct office *o)
{
    const struct control_link links = {.request = office_request, .is_connected = always, .arg = o};
    const struct listing_client_events events = {.list = on_list, .arg = o, .list_ms = o->list_ms};
    assert_int_equal(loop_new(&o->loop), ERR_OK);
    o->registry = registry_new();
    assert_int_equal(listing_client_new(o->loop, &links, &events, &o->discovery), ERR_OK);
    timer_init(&o->watch, o->loop, on_watch);
}

static void close_office(struct office *o)
{
    listing_client_free(o->discovery);
    loop_free(o->loop);
    registry_free(o->registry);
}

static void run(struct office *o, bool (*until)(const struct office *o))
{
    o->until = until;
    o->looks = 0;
    timer_start(&o->watch, 1);
    loop_run(o->loop);
    assert_true(until(o));
}

/* The policy with one server, as it is at this revision. */
static void publish(struct office *o, uint64_t revision)
{
    struct snapshot_build *b = NULL;
    Gatehouse__McpServer server = GATEHOUSE__MCP_SERVER__INIT;
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    server.org_id = "org";
    server.name = "mcp_s";
    server.url = "http://127.0.0.1:9/mcp";
    m.has_kind = m.has_revision = true;
    m.kind = GATEHOUSE__OBJECT_KIND__KIND_MCP_SERVER;
    m.id = "mcp_s";
    m.revision = revision;
    m.body_case = GATEHOUSE__POLICY_OBJECT__BODY_MCP_SERVER;
    m.mcp_server = &server;
    assert_int_equal(snapshot_build_begin(NULL, o->registry, &b), ERR_OK);
    assert_int_equal(snapshot_build_apply(b, &m), ERR_OK);
    struct snapshot *s = snapshot_build_end(&b, SLICE("lineage"), revision);
    assert_non_null(s);
    listing_client_policy(o->discovery, s);
    snapshot_drop(s);
}

static struct tool_list *found(const struct office *o, size_t n, size_t bytes)
{
    static char definition[LIMIT_LIST_DEFINITION + 1];
    char name[32];
    struct tool_list *l = tool_list_new(&o->order);
    assert_non_null(l);
    l->order.revision = 3;
    for (size_t i = 0; i < n; i++) {
        int head = snprintf(definition, sizeof(definition), "{\"n\":%zu,\"d\":\"", i);
        memset(definition + head, 'x', bytes);
        memcpy(definition + head + bytes, "\"}", 3);
        snprintf(name, sizeof(name), "tool-%zu", i);
        assert_int_equal(tool_list_add(l, slice_str(name), slice_str(definition)), ERR_OK);
    }
    return l;
}

static bool has_asked_twice(const struct office *o)
{
    return o->asks >= 2;
}

static bool has_listed(const struct office *o)
{
    return o->lists > 0;
}

static bool has_it_all(const struct office *o)
{
    return o->complete || o->error[0];
}

static bool is_refused(const struct office *o)
{
    return o->refused > 0;
}

static bool is_idle(const struct office *o)
{
    return o->asks > 0 && !o->holding[0];
}

static void an_order_waits_for_its_policy_and_is_carried_out_once(void **state)
{
    (void)state;
    struct office o = {.give = "mcp_s"};
    open_office(&o);
    publish(&o, 1); /* older than the order */
    run(&o, has_asked_twice);
    assert_string_equal(o.holding, "mcp_s");
    assert_int_equal(o.room, LIMIT_LIST_ORDERS - 1);
    assert_int_equal(o.lists, 0);
    publish(&o, 2);
    assert_int_equal(o.lists, 1);
    publish(&o, 3);
    assert_int_equal(o.lists, 1);
    assert_string_equal(o.order.org_id, "org");
    close_office(&o);
}

static void a_large_list_travels_in_parts_below_the_ceiling_although_replies_are_lost(void **state)
{
    (void)state;
    struct office o = {.give = "mcp_s"};
    open_office(&o);
    publish(&o, 2);
    run(&o, has_listed);
    o.give = NULL;
    o.lose = 2;
    struct tool_list *l = found(&o, 200, 20000); /* 4 MB */
    listing_client_listed(o.discovery, &l);
    assert_null(l);
    run(&o, has_it_all);
    assert_int_equal(o.tools, 200);
    assert_int_equal(o.names, 200);
    assert_in_range(o.parts, 6, 10);
    assert_in_range(o.largest, LIMIT_LIST_PART / 2, LIMIT_BUS_DELTA);
    o.asks = 0;
    o.holding[0] = 'x';
    run(&o, is_idle);
    close_office(&o);
}

static void an_error_is_reported_and_a_report_that_is_refused_is_let_go(void **state)
{
    (void)state;
    struct office o = {.give = "mcp_s"};
    open_office(&o);
    publish(&o, 2);
    run(&o, has_listed);
    struct tool_list *l = found(&o, 3, 10);
    tool_list_fail(l, "tools/list: no");
    listing_client_listed(o.discovery, &l);
    run(&o, has_it_all);
    assert_string_equal(o.error, "tools/list: no");
    assert_int_equal(o.tools, 0);
    o.lists = 0;
    run(&o, has_listed); /* ordered again */
    o.give = NULL;
    o.say = "invalid";
    l = found(&o, 1, 10);
    listing_client_listed(o.discovery, &l);
    run(&o, is_refused);
    o.asks = 0;
    o.holding[0] = 'x';
    run(&o, is_idle);
    close_office(&o);
}

static void a_listing_that_never_ends_fails_and_leaves_its_place(void **state)
{
    (void)state;
    struct office o = {.give = "mcp_s", .list_ms = 50};
    open_office(&o);
    publish(&o, 2);
    run(&o, has_listed);
    o.give = NULL;
    run(&o, has_it_all);
    assert_string_equal(o.error, "the data plane could not do it");
    o.asks = 0;
    o.holding[0] = 'x';
    run(&o, is_idle);
    assert_int_equal(o.room, LIMIT_LIST_ORDERS);
    close_office(&o);
}

static void a_list_without_an_order_is_dropped(void **state)
{
    (void)state;
    struct office o = {0};
    open_office(&o);
    struct tool_list *l = found(&o, 1, 10);
    listing_client_listed(o.discovery, &l);
    assert_null(l);
    close_office(&o);
}

static void changes_are_reported_until_they_are_acknowledged_and_each_once(void **state)
{
    (void)state;
    struct office o = {.lose = 1};
    open_office(&o);
    listing_client_changed(o.discovery, SLICE("mcp_a"));
    listing_client_changed(o.discovery, SLICE("mcp_b"));
    listing_client_changed(o.discovery, SLICE("mcp_a"));
    run(&o, is_idle);
    assert_string_equal(o.changed, "mcp_a mcp_b");
    run(&o, has_asked_twice);
    assert_string_equal(o.changed, "");
    close_office(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_waits_for_its_policy_and_is_carried_out_once),
        cmocka_unit_test(a_large_list_travels_in_parts_below_the_ceiling_although_replies_are_lost),
        cmocka_unit_test(an_error_is_reported_and_a_report_that_is_refused_is_let_go),
        cmocka_unit_test(a_listing_that_never_ends_fails_and_leaves_its_place),
        cmocka_unit_test(a_list_without_an_order_is_dropped),
        cmocka_unit_test(changes_are_reported_until_they_are_acknowledged_and_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
