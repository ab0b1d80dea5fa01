/* ai_mark — a mark is known again by its owner's marker alone, with the account in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "dataplane/ai/ai_mark.h"

static struct ai_marker marker_of(const char *key, const char *owner)
{
    struct ai_marker m = {.ready = true, .owner = slice_str(owner)};
    digest_hmac_ready(slice_str(key), &m.key);
    return m;
}

static struct slice marked(const struct ai_marker *m, const struct ai_account *account,
                           const char *value, char out[static 256])
{
    char mark[AI_MARK_LEN];
    assert_true(ai_mark_write(m, account, slice_str(value), mark));
    snprintf(out, 256, "%s%.*s", value, AI_MARK_LEN, mark);
    return slice_str(out);
}

static void a_mark_says_its_account_to_its_owner_alone(void **state)
{
    struct ai_marker alice = marker_of("key", "alice"), bob = marker_of("key", "bob"),
                     other = marker_of("yek", "alice"), none = {.owner = SLICE("alice")};
    struct ai_account one, got;
    struct slice value;
    char text[256], again[256];
    (void)state;
    ai_account_of(SLICE("openai"), SLICE("main"), &one);
    struct slice id = marked(&alice, &one, "resp_1", text);
    assert_true(slice_eq(id, marked(&alice, &one, "resp_1", again)));
    assert_true(ai_mark_read(&alice, id, &value, &got));
    assert_true(slice_eq(value, SLICE("resp_1")) && ai_account_eq(&got, &one));
    assert_true(ai_mark_split(id, &value, &got));
    assert_false(ai_mark_read(&bob, id, &value, &got));
    assert_false(ai_mark_read(&other, id, &value, &got));
    assert_false(ai_mark_read(&none, id, &value, &got));
    assert_false(ai_mark_write(&none, &one, SLICE("x"), text));
}

/* Each bit of it counts: the value, the account, the code. */
static void a_changed_mark_is_none(void **state)
{
    struct ai_marker alice = marker_of("key", "alice");
    struct ai_account one, got;
    struct slice value;
    char text[256];
    (void)state;
    ai_account_of(SLICE("openai"), SLICE_NONE, &one);
    struct slice id = marked(&alice, &one, "msg_abc", text);
    for (size_t i = 0; i < id.len; i++) {
        text[i] ^= 1;
        if (ai_mark_read(&alice, id, &value, &got))
            fail_msg("byte %zu: %s", i, text);
        text[i] ^= 1;
    }
    assert_false(ai_mark_read(&alice, slice_from(id, 7), &value, &got)); /* a mark of nothing */
    assert_false(ai_mark_read(&alice, SLICE(""), &value, &got));
    assert_false(ai_mark_read(&alice, SLICE("resp_1"), &value, &got));
}

static void accounts_differ_by_provider_and_credential(void **state)
{
    struct ai_account a, b;
    (void)state;
    ai_account_of(SLICE("ab"), SLICE("c"), &a);
    ai_account_of(SLICE("a"), SLICE("bc"), &b);
    assert_false(ai_account_eq(&a, &b));
    ai_account_of(SLICE("ab"), SLICE("c"), &b);
    assert_true(ai_account_eq(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_says_its_account_to_its_owner_alone),
        cmocka_unit_test(a_changed_mark_is_none),
        cmocka_unit_test(accounts_differ_by_provider_and_credential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
