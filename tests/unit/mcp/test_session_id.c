/* session_id — it opens for the principal it was sealed for, and for no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mcp-gateway/session_id.h"

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

static struct mcp_session_id example(void)
{
    struct mcp_session_id t = {.revision = 1,
                               .declared = 5,
                               .born_s = NOW,
                               .ends_s = NOW + 10,
                               .server_id = SLICE("mcp_1"),
                               .task_id = SLICE(""),
                               .server_revision = 77,
                               .upstream_revision = 2,
                               .upstream_id = SLICE("5e8e6cb2-ec1b-4d2b-9d9e-5d2a4b1b3e0f"),
                               .capabilities = SLICE("{\"roots\":{}}"),
                               .client_info = SLICE("{\"name\":\"c\",\"version\":\"1\"}")};
    memset(t.sid, 1, sizeof(t.sid));
    memcpy(t.label, "s_abcdefghijklmnopqrstuv", sizeof(t.label));
    return t;
}

static struct slice seal_example(const struct seal *s, char *space)
{
    struct mcp_session_id t = example();
    struct slice text;
    assert_int_equal(mcp_session_id_seal(s, &alice, &t, space, &text), ERR_OK);
    return text;
}

static void it_says_what_was_sealed(void **state)
{
    (void)state;
    char space[LIMIT_SEALED_ID + 1];
    struct seal *s = fresh_seal('m');
    struct slice text = seal_example(s, space);
    struct mcp_session_id want = example(), got;
    for (size_t i = 0; i < text.len; i++)
        assert_true(text.ptr[i] >= 0x21 && text.ptr[i] <= 0x7e);
    assert_int_equal(mcp_session_id_open(s, &alice, text, NOW, &got), ERR_OK);
    assert_memory_equal(got.sid, want.sid, sizeof(want.sid));
    assert_memory_equal(got.label, want.label, sizeof(want.label));
    assert_int_equal(got.revision, 1);
    assert_int_equal(got.declared, 5);
    assert_int_equal(got.born_s, NOW);
    assert_int_equal(got.ends_s, NOW + 10);
    assert_int_equal(got.server_revision, 77);
    assert_int_equal(got.upstream_revision, 2);
    assert_true(slice_eq(got.server_id, want.server_id));
    assert_true(slice_eq(got.upstream_id, want.upstream_id));
    assert_true(slice_eq(got.capabilities, want.capabilities));
    assert_true(slice_eq(got.client_info, want.client_info));
    assert_int_equal(got.task_id.len, 0);
    seal_free(s);
}

static void it_opens_for_no_other_principal_and_on_no_other_path(void **state)
{
    (void)state;
    char space[LIMIT_SEALED_ID + 1];
    struct seal *s = fresh_seal('m'), *other = fresh_seal('n');
    struct slice text = seal_example(s, space);
    struct mcp_session_id got;
    struct mcp_bearer bob[4] = {alice, alice, alice, alice};
    bob[0].org_id = SLICE("gro");
    bob[1].key_id = SLICE("k_2");
    bob[2].agent_id = SLICE("");
    bob[3].path = SLICE("/mcp");
    for (size_t i = 0; i < ARRAY_LEN(bob); i++)
        assert_int_equal(mcp_session_id_open(s, &bob[i], text, NOW, &got), ERR_INVALID);
    assert_int_equal(mcp_session_id_open(other, &alice, text, NOW, &got), ERR_INVALID);
    assert_int_equal(mcp_session_id_open(s, &alice, text, NOW + 10, &got), ERR_INVALID);
    seal_free(s);
    seal_free(other);
}

static void a_changed_character_anywhere_makes_it_unknown(void **state)
{
    (void)state;
    char space[LIMIT_SEALED_ID + 1];
    struct seal *s = fresh_seal('m');
    struct slice text = seal_example(s, space);
    struct mcp_session_id got;
    for (size_t i = 0; i < text.len; i++) {
        char kept = space[i];
        space[i] = kept == 'A' ? 'B' : 'A';
        assert_int_equal(mcp_session_id_open(s, &alice, text, NOW, &got), ERR_INVALID);
        space[i] = kept;
    }
    for (size_t n = 0; n < text.len; n++)
        assert_int_equal(mcp_session_id_open(s, &alice, slice_first(text, n), NOW, &got),
                         ERR_INVALID);
    seal_free(s);
}

static void what_is_optional_is_left_out_where_it_does_not_fit(void **state)
{
    (void)state;
    char space[LIMIT_SEALED_ID + 1], id[MCP_POLICY_ID + 1], large[2000];
    struct seal *s = fresh_seal('m');
    struct mcp_session_id t = example(), got;
    struct slice text;
    memset(id, 'i', sizeof(id));
    memset(large, 'u', sizeof(large));
    t.server_id = t.task_id = slice_of(id, 29); /* a prefix of six, an underscore and 22 */
    t.upstream_id = t.capabilities = slice_of(large, sizeof(large));
    assert_int_equal(mcp_session_id_seal(s, &alice, &t, space, &text), ERR_OK);
    assert_true(text.len <= LIMIT_SEALED_ID);
    assert_int_equal(mcp_session_id_open(s, &alice, text, NOW, &got), ERR_OK);
    assert_int_equal(got.upstream_revision, MCP_NO_UPSTREAM);
    assert_int_equal(got.upstream_id.len + got.capabilities.len, 0);
    assert_true(slice_eq(got.client_info, t.client_info));
    t.task_id = slice_of(id, sizeof(id));
    assert_int_equal(mcp_session_id_seal(s, &alice, &t, space, &text), ERR_TOO_BIG);
    for (size_t n = 0; n < 300; n++) { /* every length of what is optional fits, or is left out */
        t = example();
        t.upstream_id = slice_of(large, n);
        t.client_info = slice_of(large, 300 - n);
        assert_int_equal(mcp_session_id_seal(s, &alice, &t, space, &text), ERR_OK);
        assert_true(text.len <= LIMIT_SEALED_ID);
        assert_int_equal(mcp_session_id_open(s, &alice, text, NOW, &got), ERR_OK);
    }
    seal_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_was_sealed),
        cmocka_unit_test(it_opens_for_no_other_principal_and_on_no_other_path),
        cmocka_unit_test(a_changed_character_anywhere_makes_it_unknown),
        cmocka_unit_test(what_is_optional_is_left_out_where_it_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
