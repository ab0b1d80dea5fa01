/* client_session, upstream_session, router, session_directory — one client's session on all workers
 * of a plane. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/policy/snapshot.h"
#include "mcp-gateway/session_directory.h"
#include "mcp-gateway/upstream_session.h"

#define IDLE_US (LIMIT_MCP_IDLE_MS * (uint64_t)1000)
#define DAY_US (LIMIT_MCP_SESSION_MS * (uint64_t)1000)

static const struct policy_server server = {
    .o = {.id = {"mcp_1", 5}, .name = {"tools", 5}, .org_id = {"org", 3}, .revision = 4}};

static struct client_session *fresh(void)
{
    const struct client_session_spec spec = {
        .hello = SLICE("{}"), .external_id = SLICE("label"), .named_by = "x-session"};
    struct client_session *s = client_session_new(&spec);
    assert_non_null(s);
    return s;
}

static struct arena *fresh_arena(void)
{
    struct arena *a = arena_new(4096, 65536);
    assert_non_null(a);
    return a;
}

struct looking {
    struct arena *arena;
    struct upstream_ref ref;
    struct upstream_failure failure;
    unsigned failures;
};

static enum upstream_turn enter(struct upstream_session *u, uint64_t revision, bool greets,
                                struct looking *l)
{
    const struct upstream_need need = {.server_revision = revision,
                                       .worker = 3,
                                       .greeted_suffices = greets,
                                       .failures = &l->failures,
                                       .arena = l->arena};
    return upstream_session_enter(u, &need, &l->ref, &l->failure);
}

static void open_as(struct upstream_session *u, const char *id)
{
    struct mcp_worker_set waiting;
    assert_int_equal(upstream_session_opened(u, &server, slice_str(id), SLICE("2025-06-18")),
                     ERR_OK);
    upstream_session_settle(u, false, NULL, &waiting);
}

static void one_opens_and_the_others_wait(void **state)
{
    (void)state;
    struct client_session *s = fresh();
    struct upstream_session *u = client_session_upstream(s, server.o.id);
    struct looking l = {.arena = fresh_arena(), .failures = UINT_MAX};
    struct mcp_worker_set waiting;
    assert_ptr_equal(client_session_upstream(s, server.o.id), u);
    assert_int_equal(enter(u, 4, false, &l), UPSTREAM_GREET);
    assert_int_equal(enter(u, 4, false, &l), UPSTREAM_WAIT);
    assert_false(upstream_session_peek(u, 4, l.arena, &l.ref));
    assert_int_equal(upstream_session_opened(u, &server, SLICE("up-1"), SLICE("2025-06-18")),
                     ERR_OK);
    upstream_session_settle(u, false, NULL, &waiting);
    assert_int_equal(waiting.bits[0], 1u << 3);
    assert_int_equal(enter(u, 4, false, &l), UPSTREAM_USE);
    assert_true(slice_eq(l.ref.upstream_id, SLICE("up-1")));
    assert_true(slice_eq(l.ref.version, SLICE("2025-06-18")));
    client_session_drop(s);
    arena_free(l.arena);
}

static void all_waiting_requests_get_the_failure_and_the_next_opens_again(void **state)
{
    (void)state;
    struct client_session *s = fresh();
    struct upstream_session *u = client_session_upstream(s, server.o.id);
    struct looking first = {.arena = fresh_arena(), .failures = UINT_MAX}, second = first,
                   third = first;
    const struct upstream_failure busy = {.why = ERR_DENIED, .status = 429};
    struct mcp_worker_set waiting;
    assert_int_equal(enter(u, 4, false, &first), UPSTREAM_GREET);
    assert_int_equal(enter(u, 4, false, &second), UPSTREAM_WAIT);
    upstream_session_settle(u, false, &busy, &waiting);
    assert_int_equal(enter(u, 4, false, &second), UPSTREAM_FAIL);
    assert_int_equal(second.failure.status, 429);
    assert_int_equal(enter(u, 4, false, &third), UPSTREAM_GREET);
    client_session_drop(s);
    arena_free(first.arena);
}

static void what_was_greeted_is_used_and_confirmed_once(void **state)
{
    (void)state;
    struct client_session *s = fresh();
    struct upstream_session *u = client_session_upstream(s, server.o.id);
    struct looking l = {.arena = fresh_arena(), .failures = UINT_MAX};
    struct mcp_worker_set waiting;
    assert_int_equal(enter(u, 4, true, &l), UPSTREAM_GREET);
    assert_int_equal(upstream_session_opened(u, &server, SLICE("up-1"), SLICE("2025-06-18")),
                     ERR_OK);
    upstream_session_settle(u, true, NULL, &waiting);
    assert_int_equal(enter(u, 4, true, &l), UPSTREAM_USE);
    assert_int_equal(enter(u, 4, false, &l), UPSTREAM_CONFIRM);
    assert_int_equal(enter(u, 4, false, &l), UPSTREAM_WAIT);
    upstream_session_settle(u, false, NULL, &waiting);
    assert_int_equal(enter(u, 4, false, &l), UPSTREAM_USE);
    client_session_drop(s);
    arena_free(l.arena);
}

static void losing_an_old_opening_does_not_close_the_new_one(void **state)
{
    (void)state;
    struct client_session *s = fresh();
    struct upstream_session *u = client_session_upstream(s, server.o.id);
    struct looking l = {.arena = fresh_arena(), .failures = UINT_MAX};
    enter(u, 4, false, &l);
    open_as(u, "up-1");
    enter(u, 4, false, &l);
    unsigned old = l.ref.generation;
    assert_true(upstream_session_lost(u, old));
    assert_int_equal(enter(u, 4, false, &l), UPSTREAM_GREET);
    open_as(u, "up-2");
    assert_false(upstream_session_lost(u, old));
    assert_int_equal(enter(u, 4, false, &l), UPSTREAM_USE);
    assert_true(slice_eq(l.ref.upstream_id, SLICE("up-2")));
    client_session_drop(s);
    arena_free(l.arena);
}

static void another_revision_of_the_server_may_be_another_host(void **state)
{
    (void)state;
    struct client_session *s = fresh();
    struct upstream_session *u = client_session_upstream(s, server.o.id);
    struct looking l = {.arena = fresh_arena(), .failures = UINT_MAX};
    enter(u, 4, false, &l);
    open_as(u, "up-1");
    assert_false(upstream_session_peek(u, 5, l.arena, &l.ref));
    assert_int_equal(enter(u, 5, false, &l), UPSTREAM_GREET);
    client_session_drop(s);
    arena_free(l.arena);
}

static void what_a_client_set_is_restored_as_it_stands_last(void **state)
{
    (void)state;
    struct client_session *s = fresh();
    struct upstream_session *u = client_session_upstream(s, server.o.id);
    struct arena *a = fresh_arena();
    const char *method;
    struct slice params;
    assert_false(upstream_session_restore(u, 0, a, &method, &params));
    upstream_session_subscribe(u, SLICE("\"x:1\""), true);
    upstream_session_subscribe(u, SLICE("\"x:2\""), true);
    upstream_session_subscribe(u, SLICE("\"x:2\""), true);
    upstream_session_subscribe(u, SLICE("\"x:1\""), false);
    upstream_session_set_level(u, SLICE("\"info\""));
    upstream_session_set_level(u, SLICE("\"debug\""));
    assert_true(upstream_session_restore(u, 0, a, &method, &params));
    assert_string_equal(method, "logging/setLevel");
    assert_true(slice_eq(params, SLICE("{\"level\":\"debug\"}")));
    assert_true(upstream_session_restore(u, 1, a, &method, &params));
    assert_string_equal(method, "resources/subscribe");
    assert_true(slice_eq(params, SLICE("{\"uri\":\"x:2\"}")));
    assert_false(upstream_session_restore(u, 2, a, &method, &params));
    client_session_drop(s);
    arena_free(a);
}

static void ids_under_way_are_mapped_both_ways(void **state)
{
    (void)state;
    struct arena *a = fresh_arena();
    struct client_session *s = fresh();
    struct slice id;
    uint64_t one, two, got;
    unsigned worker;
    bool lists;
    assert_int_equal(client_session_add(s, SLICE("1"), 5, true, &one), ERR_OK);
    assert_int_equal(client_session_add(s, SLICE("\"1\""), 6, false, &two), ERR_OK);
    assert_true(one != two);
    assert_int_equal(client_session_add(s, SLICE("1"), 5, false, &got), ERR_EXISTS);
    assert_true(client_session_by_id(s, SLICE("\"1\""), &got, &worker));
    assert_int_equal(got, two);
    assert_int_equal(worker, 6);
    assert_true(client_session_by_number(s, one, a, &id, &lists));
    assert_true(slice_eq(id, SLICE("1")));
    assert_true(lists);
    client_session_answered(s, one, false);
    assert_false(client_session_by_number(s, one, a, &id, &lists));
    client_session_answered(s, two, true); /* its stream can be resumed */
    assert_true(client_session_by_number(s, two, a, &id, &lists));
    assert_false(client_session_by_id(s, SLICE("\"1\""), &got, &worker));
    assert_int_equal(client_session_add(s, SLICE("\"1\""), 6, false, &got), ERR_OK);
    client_session_drop(s);
    arena_free(a);
}

static void at_the_ceiling_what_was_answered_is_forgotten_first(void **state)
{
    (void)state;
    struct client_session *s = fresh();
    char id[16];
    uint64_t number = 0, answered = 0;
    unsigned worker;
    for (int i = 0; i <= LIMIT_MCP_PENDING; i++) {
        snprintf(id, sizeof(id), "%d", i);
        assert_int_equal(client_session_add(s, slice_str(id), 0, false, &number), ERR_OK);
        if (i == 9) {
            answered = number;
            client_session_answered(s, number, true);
        }
    }
    assert_int_equal(s->router.request_count, LIMIT_MCP_PENDING);
    assert_null(router_by_number(&s->router, answered));
    assert_true(client_session_by_id(s, SLICE("0"), &number, &worker));
    assert_int_equal(client_session_add(s, SLICE("more"), 0, false, &number), ERR_OK);
    assert_false(client_session_by_id(s, SLICE("0"), &number, &worker)); /* the oldest */
    client_session_drop(s);
}

static void a_question_is_answered_once(void **state)
{
    (void)state;
    struct arena *a = fresh_arena();
    struct client_session *s = fresh();
    assert_int_equal(client_session_ask(s, SLICE("\"q\""), SLICE("7"), 1), ERR_OK);
    assert_true(slice_eq(client_session_question(s, SLICE("7"), 1, a), SLICE("\"q\"")));
    assert_null(client_session_question(s, SLICE("7"), 2, a).ptr);
    assert_false(client_session_take_question(s, SLICE("\"r\"")));
    assert_true(client_session_take_question(s, SLICE("\"q\"")));
    assert_false(client_session_take_question(s, SLICE("\"q\"")));
    client_session_drop(s);
    arena_free(a);
}

static void what_a_client_declares_is_read_and_written(void **state)
{
    static const struct {
        const char *said;
        uint32_t bits;
        const char *written;
    } rows[] = {
        {"{}", 0, "{}"},
        {"{\"sampling\":{}}", DECLARES_SAMPLING, "{\"sampling\":{}}"},
        {"{\"roots\":{\"listChanged\":true}}", DECLARES_ROOTS | DECLARES_ROOTS_CHANGES,
         "{\"roots\":{\"listChanged\":true}}"},
        {"{\"roots\":{\"listChanged\":false},\"x\":1}", DECLARES_ROOTS, "{\"roots\":{}}"},
        {"{\"elicitation\":{}}", DECLARES_ELICITATION, "{\"elicitation\":{}}"},
        {"{\"elicitation\":{\"url\":{}}}", DECLARES_ELICITATION_URL,
         "{\"elicitation\":{\"url\":{}}}"},
        {"{\"elicitation\":{\"url\":{},\"form\":{}}}",
         DECLARES_ELICITATION | DECLARES_ELICITATION_URL,
         "{\"elicitation\":{\"form\":{},\"url\":{}}}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out;
        buf_init(&out, 1024);
        if (client_declared(slice_str(rows[i].said)) != rows[i].bits)
            fail_msg("row %zu: %s", i, rows[i].said);
        assert_int_equal(client_declared_write(rows[i].bits, &out), ERR_OK);
        assert_true(slice_eq(buf_slice(&out), slice_str(rows[i].written)));
        buf_fini(&out);
    }
}

/* ---- the directory ---- */

static void a_listed_session_is_found_until_it_ends(void **state)
{
    (void)state;
    bool known;
    assert_int_equal(session_directory_join(), ERR_OK);
    struct client_session *s = fresh();
    assert_null(session_directory_find(s->sid, 1, &known));
    assert_false(known);
    assert_int_equal(session_directory_put(s, 1), ERR_OK);
    assert_int_equal(session_directory_put(s, 1), ERR_EXISTS);
    struct client_session *found = session_directory_find(s->sid, 2, &known);
    assert_ptr_equal(found, s);
    client_session_drop(found);
    assert_true(session_directory_end(s));
    assert_false(session_directory_end(s));
    assert_int_equal(session_directory_size(), 0);
    assert_null(session_directory_find(s->sid, 3, &known));
    assert_true(known); /* the tombstone, for as long as its id opens */
    assert_null(session_directory_expire(IDLE_US + 3));
    assert_null(session_directory_find(s->sid, IDLE_US + 3, &known));
    assert_true(known);
    assert_null(session_directory_expire(1 + DAY_US));
    assert_null(session_directory_find(s->sid, 1 + DAY_US, &known));
    assert_false(known);
    client_session_drop(s);
    session_directory_part();
}

static void an_idle_session_expires_and_one_in_use_does_not(void **state)
{
    (void)state;
    bool known;
    assert_int_equal(session_directory_join(), ERR_OK);
    struct client_session *idle = fresh(), *used = fresh();
    assert_int_equal(session_directory_put(idle, 1), ERR_OK);
    assert_int_equal(session_directory_put(used, 1), ERR_OK);
    uint8_t sid[MCP_SID_LEN];
    memcpy(sid, idle->sid, sizeof(sid));
    client_session_drop(idle); /* the directory's count is left */
    assert_null(session_directory_expire(IDLE_US));
    assert_null(session_directory_find(sid, 1 + IDLE_US, &known));
    assert_true(known);
    struct client_session *gone = session_directory_expire(1 + IDLE_US);
    assert_non_null(gone);
    assert_memory_equal(gone->sid, sid, sizeof(sid));
    client_session_drop(gone);
    assert_null(session_directory_expire(1 + IDLE_US));
    assert_int_equal(session_directory_size(), 1);
    struct client_session *again = session_directory_find(used->sid, 2 + IDLE_US, &known);
    assert_ptr_equal(again, used);
    client_session_drop(again);
    client_session_drop(used);
    session_directory_part();
}

static void a_principal_has_so_many_sessions_and_each_that_ends_makes_space(void **state)
{
    static struct client_session *all[LIMIT_MCP_SESSIONS_EACH];
    const struct slice alice = SLICE("agent_alice"), bob = SLICE("agent_bob");
    (void)state;
    assert_int_equal(session_directory_join(), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        all[i] = fresh();
        assert_int_equal(session_directory_count(all[i], alice), ERR_OK);
        assert_int_equal(session_directory_put(all[i], 1), ERR_OK);
    }
    struct client_session *more = fresh(), *other = fresh();
    assert_int_equal(session_directory_count(more, alice), ERR_DENIED);
    assert_int_equal(session_directory_count(other, bob), ERR_OK);
    assert_true(session_directory_end(all[7])); /* a tombstone is no open session */
    assert_int_equal(session_directory_count(more, alice), ERR_OK);
    client_session_drop(more); /* it was never opened */
    more = fresh();
    assert_int_equal(session_directory_count(more, alice), ERR_OK);
    client_session_drop(more);
    client_session_drop(other);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        client_session_drop(all[i]);
    session_directory_part();
}

static void a_session_and_its_principal_have_so_many_event_streams(void **state)
{
    struct directory_owner *open[LIMIT_MCP_STREAMS], *no = NULL;
    (void)state;
    assert_int_equal(session_directory_join(), ERR_OK);
    struct client_session *s = fresh();
    assert_int_equal(session_directory_count(s, SLICE("alice")), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(open); i++)
        assert_int_equal(session_directory_stream_opened(s, LIMIT_MCP_STREAMS_EACH, &open[i]),
                         ERR_OK);
    assert_int_equal(session_directory_stream_opened(s, LIMIT_MCP_STREAMS_EACH, &no), ERR_DENIED);
    session_directory_stream_closed(s, &open[0]);
    assert_int_equal(session_directory_stream_opened(s, LIMIT_MCP_STREAMS_EACH, &open[0]), ERR_OK);
    session_directory_discount(s); /* it ends before its streams do */
    for (size_t i = 0; i < ARRAY_LEN(open); i++)
        session_directory_stream_closed(s, &open[i]);
    client_session_drop(s);
    session_directory_part();
}

static bool try_all(void)
{
    bool done = false;
    uint64_t number;
    const struct client_session_spec spec = {.hello = SLICE("{}"), .external_id = SLICE("label")};
    if (session_directory_join())
        return false;
    struct client_session *s = client_session_new(&spec);
    struct upstream_session *u = s ? client_session_upstream(s, server.o.id) : NULL;
    if (u)
        done = !client_session_add(s, SLICE("1"), 0, false, &number) &&
               !client_session_ask(s, SLICE("\"q\""), SLICE("7"), 1) &&
               !upstream_session_opened(u, &server, SLICE("up"), SLICE("2025-06-18")) &&
               !session_directory_count(s, SLICE("agent")) && !session_directory_put(s, 1);
    client_session_drop(s);
    session_directory_part();
    return done;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    ptrdiff_t alive = mem_alive();
    size_t n = 1;
    for (;; n++) {
        mem_fail_after(n);
        bool done = try_all();
        bool failed = mem_failed();
        mem_fail_after(0);
        assert_int_equal(mem_alive(), alive);
        assert_int_equal(done, !failed);
        if (!failed)
            break;
    }
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_opens_and_the_others_wait),
        cmocka_unit_test(all_waiting_requests_get_the_failure_and_the_next_opens_again),
        cmocka_unit_test(what_was_greeted_is_used_and_confirmed_once),
        cmocka_unit_test(losing_an_old_opening_does_not_close_the_new_one),
        cmocka_unit_test(another_revision_of_the_server_may_be_another_host),
        cmocka_unit_test(what_a_client_set_is_restored_as_it_stands_last),
        cmocka_unit_test(ids_under_way_are_mapped_both_ways),
        cmocka_unit_test(at_the_ceiling_what_was_answered_is_forgotten_first),
        cmocka_unit_test(a_question_is_answered_once),
        cmocka_unit_test(what_a_client_declares_is_read_and_written),
        cmocka_unit_test(a_listed_session_is_found_until_it_ends),
        cmocka_unit_test(an_idle_session_expires_and_one_in_use_does_not),
        cmocka_unit_test(a_principal_has_so_many_sessions_and_each_that_ends_makes_space),
        cmocka_unit_test(a_session_and_its_principal_have_so_many_event_streams),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
