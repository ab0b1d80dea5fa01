/* session, directory — one client's session on all workers of a plane. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/policy/snapshot.h"
#include "mcp-gateway/directory.h"

#define IDLE_US (LIMIT_MCP_IDLE_MS * (uint64_t)1000)

static const struct policy_server server = {
    .o = {.name = {"tools", 5}, .org_id = {"org", 3}, .revision = 4}};

static struct mcp_session *fresh(void)
{
    struct mcp_session *s = mcp_session_new(SLICE("{}"), SLICE("label"), "x-session");
    assert_non_null(s);
    return s;
}

static struct arena *fresh_arena(void)
{
    struct arena *a = arena_new(4096, 65536);
    assert_non_null(a);
    return a;
}

static enum mcp_session_state enter(struct mcp_session *s, uint64_t revision, struct arena *a,
                                    struct mcp_upstream_ref *p)
{
    enum mcp_session_state state;
    assert_int_equal(mcp_session_enter(s, revision, a, &state, p), ERR_OK);
    return state;
}

static void one_opens_and_the_others_wait(void **state)
{
    (void)state;
    struct arena *a = fresh_arena();
    struct mcp_session *s = fresh();
    struct mcp_upstream_ref p;
    assert_int_equal(enter(s, 4, a, &p), MCP_CLOSED);
    assert_int_equal(enter(s, 4, a, &p), MCP_OPENING);
    assert_false(mcp_session_peek(s, 4, a, &p));
    mcp_session_give_up(s);
    assert_int_equal(enter(s, 4, a, &p), MCP_CLOSED);
    assert_int_equal(mcp_session_opened(s, &server, SLICE("up-1"), SLICE("2025-06-18")), ERR_OK);
    assert_int_equal(enter(s, 4, a, &p), MCP_OPEN);
    assert_true(slice_eq(p.upstream_id, SLICE("up-1")));
    assert_true(slice_eq(p.version, SLICE("2025-06-18")));
    mcp_session_give_up(s); /* nobody's business any more */
    assert_true(mcp_session_peek(s, 4, a, &p));
    mcp_session_drop(s);
    arena_free(a);
}

static void losing_an_old_opening_does_not_close_the_new_one(void **state)
{
    (void)state;
    struct arena *a = fresh_arena();
    struct mcp_session *s = fresh();
    struct mcp_upstream_ref first, second;
    enter(s, 4, a, &first);
    assert_int_equal(mcp_session_opened(s, &server, SLICE("up-1"), SLICE("2025-06-18")), ERR_OK);
    enter(s, 4, a, &first);
    mcp_session_lost(s, first.generation);
    assert_int_equal(enter(s, 4, a, &second), MCP_CLOSED);
    assert_int_equal(mcp_session_opened(s, &server, SLICE("up-2"), SLICE("2025-06-18")), ERR_OK);
    mcp_session_lost(s, first.generation);
    assert_int_equal(enter(s, 4, a, &second), MCP_OPEN);
    assert_true(slice_eq(second.upstream_id, SLICE("up-2")));
    mcp_session_drop(s);
    arena_free(a);
}

static void another_revision_of_the_server_may_be_another_host(void **state)
{
    (void)state;
    struct arena *a = fresh_arena();
    struct mcp_session *s = fresh();
    struct mcp_upstream_ref p;
    enter(s, 4, a, &p);
    assert_int_equal(mcp_session_opened(s, &server, SLICE("up-1"), SLICE("2025-06-18")), ERR_OK);
    assert_false(mcp_session_peek(s, 5, a, &p));
    assert_int_equal(enter(s, 5, a, &p), MCP_CLOSED);
    mcp_session_drop(s);
    arena_free(a);
}

static void ids_in_flight_are_mapped_both_ways(void **state)
{
    (void)state;
    struct arena *a = fresh_arena();
    struct mcp_session *s = fresh();
    uint64_t one, two, got;
    assert_int_equal(mcp_session_register(s, SLICE("1"), &one), ERR_OK);
    assert_int_equal(mcp_session_register(s, SLICE("\"1\""), &two), ERR_OK);
    assert_true(one != two);
    assert_int_equal(mcp_session_register(s, SLICE("1"), &got), ERR_EXISTS);
    assert_true(mcp_session_number_of(s, SLICE("\"1\""), &got));
    assert_int_equal(got, two);
    assert_true(slice_eq(mcp_session_id_of(s, one, a), SLICE("1")));
    mcp_session_complete(s, one);
    assert_null(mcp_session_id_of(s, one, a).ptr);
    assert_int_equal(mcp_session_register(s, SLICE("1"), &got), ERR_OK);
    mcp_session_detach(s, two);
    assert_true(slice_eq(mcp_session_id_of(s, two, a), SLICE("\"1\"")));
    assert_int_equal(mcp_session_register(s, SLICE("\"1\""), &got), ERR_OK);
    assert_null(mcp_session_id_of(s, two, a).ptr);
    mcp_session_drop(s);
    arena_free(a);
}

static void the_oldest_flight_is_forgotten_at_the_ceiling(void **state)
{
    (void)state;
    struct mcp_session *s = fresh();
    char id[16];
    uint64_t number;
    for (int i = 0; i <= LIMIT_MCP_FLIGHTS; i++) {
        snprintf(id, sizeof(id), "%d", i);
        assert_int_equal(mcp_session_register(s, slice_str(id), &number), ERR_OK);
    }
    assert_int_equal(s->pending_count, LIMIT_MCP_FLIGHTS);
    assert_false(mcp_session_number_of(s, SLICE("0"), &number));
    assert_true(mcp_session_number_of(s, SLICE("1"), &number));
    mcp_session_drop(s);
}

static void a_listed_session_is_found_until_it_ends(void **state)
{
    (void)state;
    assert_int_equal(mcp_directory_join(), ERR_OK);
    struct mcp_session *s = fresh();
    assert_null(mcp_directory_find(s->sid, 1));
    assert_int_equal(mcp_directory_put(s, 1), ERR_OK);
    struct mcp_session *found = mcp_directory_find(s->sid, 2);
    assert_ptr_equal(found, s);
    mcp_session_drop(found);
    assert_true(mcp_directory_end(s));
    assert_false(mcp_directory_end(s));
    assert_null(mcp_directory_find(s->sid, 3));
    assert_int_equal(mcp_directory_size(), 1); /* the tombstone */
    mcp_session_drop(s);
    assert_null(mcp_directory_expire(3 + IDLE_US));
    assert_int_equal(mcp_directory_size(), 0);
    mcp_directory_part();
}

static void an_idle_session_expires_and_one_in_use_does_not(void **state)
{
    (void)state;
    assert_int_equal(mcp_directory_join(), ERR_OK);
    struct mcp_session *idle = fresh(), *used = fresh();
    assert_int_equal(mcp_directory_put(idle, 1), ERR_OK);
    assert_int_equal(mcp_directory_put(used, 1), ERR_OK);
    uint8_t sid[MCP_SID_LEN];
    memcpy(sid, idle->sid, sizeof(sid));
    mcp_session_drop(idle); /* the directory's count is left */
    assert_null(mcp_directory_expire(IDLE_US));
    assert_null(mcp_directory_find(sid, 1 + IDLE_US));
    struct mcp_session *gone = mcp_directory_expire(1 + IDLE_US);
    assert_non_null(gone);
    assert_memory_equal(gone->sid, sid, sizeof(sid));
    mcp_session_drop(gone);
    assert_null(mcp_directory_expire(1 + IDLE_US));
    struct mcp_session *again = mcp_directory_find(used->sid, 2 + IDLE_US);
    assert_ptr_equal(again, used);
    mcp_session_drop(again);
    mcp_session_drop(used);
    mcp_directory_part();
}

static void a_principal_has_so_many_sessions_and_each_that_ends_makes_room(void **state)
{
    static struct mcp_session *all[LIMIT_MCP_SESSIONS_EACH];
    const struct slice alice = SLICE("agent_alice"), bob = SLICE("agent_bob");
    (void)state;
    assert_int_equal(mcp_directory_join(), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        all[i] = fresh();
        assert_int_equal(mcp_directory_admit(all[i], alice), ERR_OK);
        assert_int_equal(mcp_directory_put(all[i], 1), ERR_OK);
    }
    struct mcp_session *more = fresh(), *other = fresh();
    assert_int_equal(mcp_directory_admit(more, alice), ERR_DENIED);
    assert_int_equal(mcp_directory_admit(other, bob), ERR_OK);
    assert_true(mcp_directory_end(all[7])); /* a tombstone is no open session */
    assert_int_equal(mcp_directory_admit(more, alice), ERR_OK);
    mcp_session_drop(more); /* it was never opened */
    more = fresh();
    assert_int_equal(mcp_directory_admit(more, alice), ERR_OK);
    mcp_session_drop(all[9]); /* the directory's count is left, and it expires */
    all[9] = mcp_directory_expire(1 + IDLE_US);
    assert_non_null(all[9]);
    assert_int_equal(mcp_directory_put(all[9], 1), ERR_OK); /* whose it was is forgotten */
    struct mcp_session *last = fresh();
    assert_int_equal(mcp_directory_admit(last, alice), ERR_OK);
    mcp_session_drop(last);
    mcp_session_drop(more);
    mcp_session_drop(other);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        mcp_session_drop(all[i]);
    mcp_directory_part();
}

static bool try_all(void)
{
    bool done = false;
    uint64_t number;
    if (mcp_directory_join())
        return false;
    struct mcp_session *s = mcp_session_new(SLICE("{}"), SLICE("label"), "x-session");
    if (s) {
        done = !mcp_session_register(s, SLICE("1"), &number) &&
               !mcp_session_opened(s, &server, SLICE("up"), SLICE("2025-06-18")) &&
               !mcp_directory_admit(s, SLICE("agent")) && !mcp_directory_put(s, 1);
        mcp_session_drop(s);
    }
    mcp_directory_part();
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
    assert_true(n > 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_opens_and_the_others_wait),
        cmocka_unit_test(losing_an_old_opening_does_not_close_the_new_one),
        cmocka_unit_test(another_revision_of_the_server_may_be_another_host),
        cmocka_unit_test(ids_in_flight_are_mapped_both_ways),
        cmocka_unit_test(the_oldest_flight_is_forgotten_at_the_ceiling),
        cmocka_unit_test(a_listed_session_is_found_until_it_ends),
        cmocka_unit_test(an_idle_session_expires_and_one_in_use_does_not),
        cmocka_unit_test(a_principal_has_so_many_sessions_and_each_that_ends_makes_room),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
