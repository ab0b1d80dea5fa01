/* session_memo — what was derived is found again, under the key it was derived under. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/request/session_memo.h"

#define FIRST "0123456789abcdef0123456789abcdef"
#define SECOND "fedcba9876543210fedcba9876543210"
#define ID "s_0000000000000000000001"

static struct session_key key_of(const char *secret, const char *name)
{
    return (struct session_key){.secret = slice_str(secret),
                                .owner = SLICE("agent_1"),
                                .kind = 'h',
                                .name = slice_str(name)};
}

static void an_id_is_found_under_its_key_and_forgotten_with_it(void **state)
{
    (void)state;
    struct session_memo *m = session_memo_new();
    const struct session_key a = key_of(FIRST, "night"), b = key_of(SECOND, "night");
    assert_null(session_memo_find(m, &a));
    session_memo_keep(m, &a, ID);
    assert_string_equal(session_memo_find(m, &a), ID);
    assert_null(session_memo_find(m, &b));
    session_memo_keep(m, &b, ID);
    assert_string_equal(session_memo_find(m, &b), ID);
    assert_null(session_memo_find(m, &a));
    session_memo_free(m);
    session_memo_free(NULL);
}

static void the_key_does_not_lie_in_the_table(void **state)
{
    (void)state;
    struct session_memo *m = session_memo_new();
    const struct session_key a = key_of(FIRST, "night");
    session_memo_keep(m, &a, ID);
    /* a table has a place of some 200 bytes for each of a thousand */
    assert_null(memmem(m, 128 * 1024, FIRST, strlen(FIRST)));
    session_memo_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_found_under_its_key_and_forgotten_with_it),
        cmocka_unit_test(the_key_does_not_lie_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
