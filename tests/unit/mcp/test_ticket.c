/* ticket — a session id opens for the one it was sealed for, and for nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mcp-gateway/ticket.h"

#define NOW 1700000000

static const struct mcp_bearer alice = {
    .org_id = {"org", 3}, .key_id = {"k_1", 3}, .agent_id = {"a_1", 3}, .path = {"/mcp/x", 6}};

static struct seal *fresh_seal(char fill)
{
    char master[SEAL_MASTER_LEN];
    memset(master, fill, sizeof(master));
    struct seal *s = seal_new(slice_of(master, sizeof(master)));
    assert_non_null(s);
    return s;
}

static struct mcp_ticket example(void)
{
    struct mcp_ticket t = {.revision = 1,
                           .born_s = NOW,
                           .ends_s = NOW + 10,
                           .key_id = alice.key_id,
                           .agent_id = alice.agent_id,
                           .server_id = SLICE("mcp_1"),
                           .task_id = SLICE("")};
    memset(t.sid, 1, sizeof(t.sid));
    memset(t.plane, 2, sizeof(t.plane));
    memset(t.caps, 3, sizeof(t.caps));
    memcpy(t.label, "s_abcdefghijklmnopqrstuv", sizeof(t.label));
    return t;
}

static struct slice seal_example(const struct seal *s, char *room)
{
    struct mcp_ticket t = example();
    struct slice text;
    assert_int_equal(mcp_ticket_seal(s, &alice, &t, room, &text), ERR_OK);
    return text;
}

static void it_says_what_was_sealed(void **state)
{
    (void)state;
    char room[LIMIT_SEALED_ID + 1];
    struct seal *s = fresh_seal('m');
    struct slice text = seal_example(s, room);
    struct mcp_ticket want = example(), got;
    for (size_t i = 0; i < text.len; i++)
        assert_true(text.ptr[i] >= 0x21 && text.ptr[i] <= 0x7e);
    assert_int_equal(mcp_ticket_open(s, &alice, text, NOW, &got), ERR_OK);
    assert_memory_equal(got.sid, want.sid, sizeof(want.sid));
    assert_memory_equal(got.plane, want.plane, sizeof(want.plane));
    assert_memory_equal(got.caps, want.caps, sizeof(want.caps));
    assert_memory_equal(got.label, want.label, sizeof(want.label));
    assert_int_equal(got.revision, 1);
    assert_int_equal(got.born_s, NOW);
    assert_int_equal(got.ends_s, NOW + 10);
    assert_true(slice_eq(got.server_id, want.server_id));
    assert_int_equal(got.task_id.len, 0);
    seal_free(s);
}

static void it_opens_for_nobody_else_and_nowhere_else(void **state)
{
    (void)state;
    char room[LIMIT_SEALED_ID + 1];
    struct seal *s = fresh_seal('m'), *other = fresh_seal('n');
    struct slice text = seal_example(s, room);
    struct mcp_ticket got;
    struct mcp_bearer bob[4] = {alice, alice, alice, alice};
    bob[0].org_id = SLICE("gro");
    bob[1].key_id = SLICE("k_2");
    bob[2].agent_id = SLICE("");
    bob[3].path = SLICE("/mcp");
    for (size_t i = 0; i < ARRAY_LEN(bob); i++)
        assert_int_equal(mcp_ticket_open(s, &bob[i], text, NOW, &got), ERR_INVALID);
    assert_int_equal(mcp_ticket_open(other, &alice, text, NOW, &got), ERR_INVALID);
    assert_int_equal(mcp_ticket_open(s, &alice, text, NOW + 10, &got), ERR_INVALID);
    seal_free(s);
    seal_free(other);
}

static void a_changed_character_anywhere_makes_it_unknown(void **state)
{
    (void)state;
    char room[LIMIT_SEALED_ID + 1];
    struct seal *s = fresh_seal('m');
    struct slice text = seal_example(s, room);
    struct mcp_ticket got;
    for (size_t i = 0; i < text.len; i++) {
        char kept = room[i];
        room[i] = kept == 'A' ? 'B' : 'A';
        assert_int_equal(mcp_ticket_open(s, &alice, text, NOW, &got), ERR_INVALID);
        room[i] = kept;
    }
    for (size_t n = 0; n < text.len; n++)
        assert_int_equal(mcp_ticket_open(s, &alice, slice_first(text, n), NOW, &got), ERR_INVALID);
    seal_free(s);
}

static void the_longest_ids_fit_and_longer_ones_are_refused(void **state)
{
    (void)state;
    char room[LIMIT_SEALED_ID + 1], id[MCP_TICKET_ID + 1];
    struct seal *s = fresh_seal('m');
    struct mcp_ticket t = example(), got;
    struct mcp_bearer who = alice;
    struct slice text;
    memset(id, 'i', sizeof(id));
    struct slice real = slice_of(id, 29); /* a prefix of six, an underscore and 22 */
    who.key_id = who.agent_id = t.key_id = t.agent_id = t.server_id = t.task_id = real;
    assert_int_equal(mcp_ticket_seal(s, &who, &t, room, &text), ERR_OK);
    assert_true(text.len <= LIMIT_SEALED_ID);
    assert_int_equal(mcp_ticket_open(s, &who, text, NOW, &got), ERR_OK);
    t.task_id = slice_of(id, sizeof(id));
    assert_int_equal(mcp_ticket_seal(s, &who, &t, room, &text), ERR_TOO_BIG);
    seal_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_was_sealed),
        cmocka_unit_test(it_opens_for_nobody_else_and_nowhere_else),
        cmocka_unit_test(a_changed_character_anywhere_makes_it_unknown),
        cmocka_unit_test(the_longest_ids_fit_and_longer_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
