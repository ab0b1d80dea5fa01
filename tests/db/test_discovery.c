/*
 * discovery — the control plane's side: which plane lists a server, when, and what becomes of the
 * tools that were found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "controlplane/discovery/listing_scheduler.h"
#include "controlplane/discovery/tool_report.h"
#include "controlplane/store/store_listing.h"
#include "tests/kit/db/base.h"

#define SECOND INT64_C(1000000)
#define NOON INT64_C(1795348800000000) /* of an arbitrary day */

static struct rollout *rollout;
static int64_t now_us;

/* ---- an installation with two planes ---- */

static bool here[2];

static bool is_here(void *arg, struct slice id)
{
    (void)arg;
    return slice_eq(id, SLICE("dp_a")) ? here[0] : here[1];
}

static struct rollout_plane plane(const char *id)
{
    struct rollout_plane p = {.pool = "pool", .pool_name = "default"};
    snprintf(p.id, sizeof(p.id), "%s", id);
    snprintf(p.org, sizeof(p.org), "%s", base.boot.org_id);
    return p;
}

static void put_plane(const char *id)
{
    char sql[400];
    bool cut;
    struct rollout_plane p = plane(id);
    snprintf(sql, sizeof(sql),
             "insert into dataplanes (id, org_id, name, spec) select '%s', '%s', 'name-of-%s',"
             " jsonb_build_object('pool', id) from pools where name = 'default'",
             id, base.boot.org_id, id);
    database_say(&base, sql);
    assert_int_equal(rollout_put(rollout, &p, &cut), ERR_OK);
}

static void put_server(const char *id, const char *more)
{
    char sql[400];
    snprintf(sql, sizeof(sql),
             "insert into mcp_servers (id, org_id, name, spec) values ('%s', '%s', '%s',"
             " '{\"transport\":\"streamable-http\"%s}')",
             id, base.boot.org_id, id + 4, more);
    database_say(&base, sql);
}

static int begin(void **state)
{
    (void)state;
    database_say(&base, "delete from tools");
    database_say(&base, "delete from tool_listings");
    database_say(&base, "delete from mcp_servers");
    database_say(&base, "delete from dataplane_state");
    here[0] = here[1] = true;
    now_us = NOON;
    return 0;
}

/* ---- what planes say ---- */

static const char *const nothing[] = {NULL};

/* What this plane is to list now: names of servers with their asks, in order. */
static const char *orders(const char *id, uint32_t room, const char *const *holding,
                          const char *const *changed)
{
    static char text[512];
    Gatehouse__ListingAsk m = GATEHOUSE__LISTING_ASK__INIT;
    struct rollout_plane p = plane(id);
    struct listing_reply reply = {0};
    m.holding = (char **)(uintptr_t)holding;
    m.changed = (char **)(uintptr_t)changed;
    while (holding[m.n_holding])
        m.n_holding++;
    while (changed[m.n_changed])
        m.n_changed++;
    m.room = room;
    assert_int_equal(listing_scheduler_ask(base.db, rollout, &p, &m, now_us, &reply), ERR_OK);
    text[0] = '\0';
    for (size_t i = 0; i < reply.reply.n_orders; i++) {
        const Gatehouse__ListingOrder *o = reply.reply.orders[i];
        size_t at = strlen(text);
        snprintf(text + at, sizeof(text) - at, "%s%s:%llu", i ? " " : "", o->name,
                 (unsigned long long)o->ask);
        assert_string_equal(o->org_id, base.boot.org_id);
    }
    listing_reply_free(&reply);
    return text;
}

static const char *asks(const char *id)
{
    return orders(id, LIMIT_LIST_ORDERS, nothing, nothing);
}

struct tool {
    const char *name;
    uint8_t version; /* of its definition */
};

static enum err send_report(const char *server, uint64_t ask, Gatehouse__ToolReport *m)
{
    const struct tool_reporter reporter = {
        .plane = SLICE("dp_a"), .org = slice_str(base.boot.org_id), .now_us = now_us};
    m->server_id = (char *)server;
    m->revision = m->revision ? m->revision : 1;
    m->ask = ask;
    return tool_report_store(base.db, &reporter, m);
}

/* tools end with a row without a name; complete: they are all there are */
static void report(const char *server, uint64_t ask, const struct tool *tools, bool complete)
{
    Gatehouse__ToolReport m = GATEHOUSE__TOOL_REPORT__INIT;
    Gatehouse__DirectTool rows[8], *list[8];
    uint8_t digests[8][32];
    char definitions[8][200], *names[8];
    size_t n = 0;
    for (; tools[n].name; n++) {
        memset(digests[n], tools[n].version, sizeof(digests[n]));
        snprintf(definitions[n], sizeof(definitions[n]),
                 "{\"name\":\"%s\",\"description\":\"version %u, \\\"so\\\"\"}", tools[n].name,
                 tools[n].version);
        gatehouse__direct_tool__init(&rows[n]);
        rows[n].name = names[n] = (char *)(uintptr_t)tools[n].name;
        rows[n].has_digest = true;
        rows[n].digest = (ProtobufCBinaryData){.data = digests[n], .len = 32};
        rows[n].definition = definitions[n];
        list[n] = &rows[n];
    }
    m.n_tools = n;
    m.tools = list;
    m.complete = complete;
    m.names = complete ? names : NULL;
    m.n_names = complete ? n : 0;
    assert_int_equal(send_report(server, ask, &m), ERR_OK);
}

#define REPORT(server, ask, ...)                                                                   \
    report(server, ask, (const struct tool[]){__VA_ARGS__ __VA_OPT__(, ){NULL, 0}}, true)

static void report_error(const char *server, uint64_t ask, const char *why)
{
    Gatehouse__ToolReport m = GATEHOUSE__TOOL_REPORT__INIT;
    m.error = (char *)(uintptr_t)why;
    assert_int_equal(send_report(server, ask, &m), ERR_OK);
}

/* "echo:approved sum:pending-" in order of name; "-" behind one that is absent */
static const char *tools_of(const char *server)
{
    static char text[512];
    DB_AUTO struct db_result *r = NULL;
    assert_int_equal(
        db_query(base.owner,
                 "select coalesce(string_agg(name || ':' || state ||"
                 " case when spec ? 'absent_since' then '-' else '' end, ' ' order by name), '')"
                 " from tools where server_id = $1 and deleted_at is null",
                 DB_PARAMS(DB_TEXT(slice_str(server))), &r),
        ERR_OK);
    snprintf(text, sizeof(text), "%s", db_cstr(r, 0, 0));
    return text;
}

static void after(int64_t seconds)
{
    now_us += seconds * SECOND;
}

/* ---- states ---- */

static void the_first_list_is_approved_and_what_comes_later_is_not(void **state)
{
    (void)state;
    put_server("mcp_first", "");
    REPORT("mcp_first", 0, {"echo", 1}, {"sum", 1});
    assert_string_equal(tools_of("mcp_first"), "echo:approved sum:approved");
    REPORT("mcp_first", 0, {"echo", 1}, {"sum", 2}, {"zoom", 1});
    assert_string_equal(tools_of("mcp_first"), "echo:approved sum:quarantined zoom:pending");
    assert_int_equal(database_number(&base, "select count(*) from tools where spec ->>"
                                            " 'description' = 'version 2, \"so\"' and spec ->"
                                            " 'definition' ->> 'name' = 'sum'"),
                     1);
}

static void approve_each_leaves_every_tool_pending(void **state)
{
    (void)state;
    put_server("mcp_each", ",\"approve\":\"each\"");
    REPORT("mcp_each", 0, {"echo", 1});
    assert_string_equal(tools_of("mcp_each"), "echo:pending");
}

static void the_first_list_may_come_in_parts_and_from_two_planes(void **state)
{
    (void)state;
    put_server("mcp_parts", "");
    report("mcp_parts", 0, (const struct tool[]){{"a", 1}, {NULL, 0}}, false);
    report("mcp_parts", 0, (const struct tool[]){{"b", 1}, {NULL, 0}}, false);
    assert_string_equal(tools_of("mcp_parts"), "a:approved b:approved");
    assert_string_equal(asks("dp_a"), ""); /* the hash gives it to the other plane */
    assert_string_equal(asks("dp_b"), "parts:0");
    REPORT("mcp_parts", 0, {"a", 1}, {"b", 1}, {"c", 1});
    assert_string_equal(tools_of("mcp_parts"), "a:approved b:approved c:approved");
}

static void a_tool_that_is_gone_is_marked_and_comes_back_as_it_was(void **state)
{
    (void)state;
    put_server("mcp_gone", "");
    REPORT("mcp_gone", 0, {"echo", 1}, {"sum", 1}, {"tag", 1});
    database_say(&base,
                 "update tools set spec = spec || '{\"tags\":[\"safe\"]}' where name = 'tag'");
    REPORT("mcp_gone", 0, {"echo", 1});
    assert_string_equal(tools_of("mcp_gone"), "echo:approved sum:approved- tag:approved-");
    assert_int_equal(database_number(&base, "select count(*) from tools where spec ->>"
                                            " 'absent_since' = '2026-11-22T12:00:00.000000Z'"),
                     2);
    int64_t revisions = database_number(&base, "select sum(revision) from tools");
    REPORT("mcp_gone", 0, {"echo", 1}); /* nothing new: nothing is written */
    assert_int_equal(database_number(&base, "select sum(revision) from tools"), revisions);
    REPORT("mcp_gone", 0, {"echo", 1}, {"sum", 1}, {"tag", 9});
    assert_string_equal(tools_of("mcp_gone"), "echo:approved sum:approved tag:quarantined");
    assert_int_equal(database_number(&base, "select count(*) from tools where spec -> 'tags' ="
                                            " '[\"safe\"]'"),
                     1);
    REPORT("mcp_gone", 0);
    assert_string_equal(tools_of("mcp_gone"), "echo:approved- sum:approved- tag:quarantined-");
}

static void a_failure_changes_no_tool_and_its_error_is_stored(void **state)
{
    (void)state;
    put_server("mcp_fails", "");
    REPORT("mcp_fails", 0, {"echo", 1});
    after(1);
    report_error("mcp_fails", 0, "initialize: it answered with status 401");
    assert_string_equal(tools_of("mcp_fails"), "echo:approved");
    TX_AUTO struct tx tx = {0};
    JSON_AUTO json_t *ids = json_pack("[s]", "mcp_fails"), *views = NULL;
    assert_int_equal(tx_begin(base.db, slice_str(base.boot.org_id), &tx), ERR_OK);
    assert_int_equal(store_listing_views(&tx, ids, &views), ERR_OK);
    const json_t *view = json_object_get(views, "mcp_fails");
    assert_string_equal(json_text(view, "last_error").ptr,
                        "initialize: it answered with status 401");
    assert_string_equal(json_text(view, "last_listed_at").ptr, "2026-11-22T12:00:00.000000Z");
    assert_string_equal(json_text(view, "last_tried_at").ptr, "2026-11-22T12:00:01.000000Z");
    assert_string_equal(json_text(view, "dataplane").ptr, "name-of-dp_a");
    assert_int_equal(json_integer_value(json_object_get(view, "tools")), 1);
}

static void a_report_by_an_older_revision_or_of_a_deleted_server_is_passed_over(void **state)
{
    (void)state;
    put_server("mcp_moved", "");
    database_say(&base, "update mcp_servers set revision = 2 where id = 'mcp_moved'");
    REPORT("mcp_moved", 0, {"echo", 1});
    assert_string_equal(tools_of("mcp_moved"), "");
    put_server("mcp_deleted", "");
    database_say(&base, "update mcp_servers set deleted_at = now() where id = 'mcp_deleted'");
    REPORT("mcp_deleted", 0, {"echo", 1});
    assert_string_equal(tools_of("mcp_deleted"), "");
}

static void hostile_tool_texts_do_not_break_a_report(void **state)
{
    (void)state;
    Gatehouse__ToolReport m = GATEHOUSE__TOOL_REPORT__INIT;
    Gatehouse__DirectTool rows[4], *list[4];
    static const char *const names[] = {"nul", "broken", "sp ace", ""};
    static const char *const definitions[] = {"{\"name\":\"nul\",\"description\":\"\\u0000\"}",
                                              "{\"na", "{}", "{}"};
    uint8_t digest[32] = {1};
    put_server("mcp_odd", "");
    for (size_t i = 0; i < 4; i++) {
        gatehouse__direct_tool__init(&rows[i]);
        rows[i].name = (char *)(uintptr_t)names[i];
        rows[i].definition = (char *)(uintptr_t)definitions[i];
        rows[i].digest = (ProtobufCBinaryData){.data = digest, .len = 32};
        list[i] = &rows[i];
    }
    m.tools = list;
    m.n_tools = 4;
    assert_int_equal(send_report("mcp_odd", 0, &m), ERR_OK);
    assert_string_equal(tools_of("mcp_odd"), "broken:approved nul:approved");
    assert_int_equal(send_report(NULL, 0, &m), ERR_INVALID);
    report_error("mcp_odd", 0, "bytes \xff that are no text");
}

/* ---- which plane lists, and when ---- */

static void a_new_server_is_ordered_once_and_again_in_five_minutes(void **state)
{
    (void)state;
    put_server("mcp_fresh", "");
    assert_string_equal(asks("dp_a"), ""); /* the hash gives it to the other plane */
    assert_string_equal(asks("dp_b"), "fresh:0");
    after(1);
    const char *const own[] = {"mcp_fresh", NULL};
    assert_string_equal(orders("dp_b", 8, own, nothing), "");
    REPORT("mcp_fresh", 0, {"echo", 1});
    after(280);
    assert_string_equal(asks("dp_b"), "");
    after(40);
    assert_string_equal(asks("dp_b"), "fresh:0");
}

static void a_plane_that_lost_its_order_gets_it_again_and_one_that_is_gone_loses_it(void **state)
{
    (void)state;
    put_server("mcp_fresh", "");
    assert_string_equal(asks("dp_b"), "fresh:0");
    after(1);
    assert_string_equal(asks("dp_b"), "fresh:0"); /* it reports that it has no order */
    after(1);
    assert_string_equal(asks("dp_a"), "");
    here[1] = false;
    assert_string_equal(asks("dp_a"), "fresh:0");
    here[1] = true; /* it returns while the other lists */
    assert_string_equal(asks("dp_b"), "");
    REPORT("mcp_fresh", 0, {"echo", 1});
    after(400);
    assert_string_equal(asks("dp_b"), "fresh:0");
}

static void a_plane_that_another_control_plane_heard_is_present(void **state)
{
    (void)state;
    char sql[300];
    put_server("mcp_fresh", "");
    here[1] = false;
    snprintf(sql, sizeof(sql),
             "insert into dataplane_state (dataplane_id, org_id, last_heard_at) values ('dp_b',"
             " '%s', timestamptz '2026-11-22 12:00:00+00' - interval '5 s')",
             base.boot.org_id);
    database_say(&base, sql);
    assert_string_equal(asks("dp_a"), "");
    after(10); /* the plane has not been heard for a while */
    assert_string_equal(asks("dp_a"), "fresh:0");
}

static void a_changed_server_and_one_that_says_so_are_listed_again(void **state)
{
    (void)state;
    const char *const changed[] = {"mcp_fresh", "mcp_unknown", "no id", NULL};
    put_server("mcp_fresh", "");
    REPORT("mcp_fresh", 0, {"echo", 1});
    assert_string_equal(orders("dp_b", 8, nothing, changed), ""); /* a pause behind each list */
    after(6);
    assert_string_equal(asks("dp_b"), "fresh:1");
    orders("dp_b", 8, (const char *const[]){"mcp_fresh", NULL}, changed); /* again, meanwhile */
    REPORT("mcp_fresh", 1, {"echo", 1});
    after(6);
    assert_string_equal(asks("dp_b"), "fresh:2");
    REPORT("mcp_fresh", 2, {"echo", 1});
    after(6);
    assert_string_equal(asks("dp_b"), "");
    database_say(&base, "update mcp_servers set revision = 2 where id = 'mcp_fresh'");
    assert_string_equal(asks("dp_b"), "fresh:2");
}

static void failures_are_tried_again_ever_later_but_within_five_minutes(void **state)
{
    (void)state;
    put_server("mcp_fresh", "");
    here[1] = false;
    int64_t waited = 0;
    for (int i = 0; i < 7; i++) {
        after(1000);
        assert_string_equal(asks("dp_a"), "fresh:0");
        report_error("mcp_fresh", 0, "no");
        int64_t wait = database_number(&base, "select extract(epoch from due_at - tried_at)::int"
                                              " from tool_listings");
        assert_in_range(wait, i < 5 ? 14 << i : 285, i < 5 ? 16 << i : 315);
        assert_true(i >= 5 || wait > waited);
        waited = wait;
    }
    REPORT("mcp_fresh", 0, {"echo", 1});
    assert_int_equal(database_number(&base, "select failures from tool_listings"), 0);
}

static void a_refresh_is_served_by_a_listing_that_began_after_it(void **state)
{
    (void)state;
    uint64_t ask = 0;
    bool done = true;
    char error[64];
    put_server("mcp_fresh", "");
    REPORT("mcp_fresh", 0, {"echo", 1});
    TX_AUTO struct tx tx = {0};
    assert_int_equal(tx_begin(base.db, slice_str(base.boot.org_id), &tx), ERR_OK);
    assert_int_equal(store_listing_ask(&tx, SLICE("mcp_none"), true, &ask), ERR_NOT_FOUND);
    assert_int_equal(store_listing_ask(&tx, SLICE("mcp_fresh"), true, &ask), ERR_OK);
    assert_int_equal(tx_commit(&tx), ERR_OK);
    assert_string_equal(asks("dp_b"), "fresh:1"); /* without waiting for the pause */
    REPORT("mcp_fresh", 0, {"echo", 1});          /* a late one, begun before */
    assert_int_equal(tx_begin(base.db, slice_str(base.boot.org_id), &tx), ERR_OK);
    assert_int_equal(
        store_listing_outcome(&tx, SLICE("mcp_fresh"), ask, &done, error, sizeof(error)), ERR_OK);
    assert_false(done);
    assert_int_equal(tx_commit(&tx), ERR_OK);
    report_error("mcp_fresh", ask, "tools/list: no");
    assert_int_equal(tx_begin(base.db, slice_str(base.boot.org_id), &tx), ERR_OK);
    assert_int_equal(
        store_listing_outcome(&tx, SLICE("mcp_fresh"), ask, &done, error, sizeof(error)), ERR_OK);
    assert_true(done);
    assert_string_equal(error, "tools/list: no");
}

static void a_plane_gets_no_more_orders_than_it_can_take(void **state)
{
    (void)state;
    char id[32];
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof(id), "mcp_many-%02d", i);
        put_server(id, "");
    }
    here[1] = false;
    assert_string_equal(orders("dp_a", 0, nothing, nothing), "");
    assert_string_equal(orders("dp_a", 2, nothing, nothing), "many-00:0 many-01:0");
    const char *const two[] = {"mcp_many-00", "mcp_many-01", NULL};
    assert_string_equal(orders("dp_a", 1, two, nothing), "many-02:0");
}

/* ---- */

static int open_base(void **state)
{
    base_open(state);
    rollout = rollout_new();
    assert_non_null(rollout);
    rollout_ask_presence(rollout, is_here, NULL);
    put_plane("dp_a");
    put_plane("dp_b");
    return 0;
}

static int close_base(void **state)
{
    rollout_free(rollout);
    return base_close(state);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_list_is_approved_and_what_comes_later_is_not),
        TEST(approve_each_leaves_every_tool_pending),
        TEST(the_first_list_may_come_in_parts_and_from_two_planes),
        TEST(a_tool_that_is_gone_is_marked_and_comes_back_as_it_was),
        TEST(a_failure_changes_no_tool_and_its_error_is_stored),
        TEST(a_report_by_an_older_revision_or_of_a_deleted_server_is_passed_over),
        TEST(hostile_tool_texts_do_not_break_a_report),
        TEST(a_new_server_is_ordered_once_and_again_in_five_minutes),
        TEST(a_plane_that_lost_its_order_gets_it_again_and_one_that_is_gone_loses_it),
        TEST(a_plane_that_another_control_plane_heard_is_present),
        TEST(a_changed_server_and_one_that_says_so_are_listed_again),
        TEST(failures_are_tried_again_ever_later_but_within_five_minutes),
        TEST(a_refresh_is_served_by_a_listing_that_began_after_it),
        TEST(a_plane_gets_no_more_orders_than_it_can_take),
    };
    return cmocka_run_group_tests(tests, open_base, close_base);
}
