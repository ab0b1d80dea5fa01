/*
 * admin_problem — each row has a status and a code, no two rows have the same of both, and
 * docs/admin-errors.md lists them. `unit.controlplane.test_admin_problem --write` writes that page
 * anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/api/admin_problem.h"
#include "tests/kit/page.h"

#define PAGE "docs/admin-errors.md"

static void each_row_has_a_status_and_a_code_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < PROBLEM_COUNT; i++) {
        const struct problem_row *row = problem_row((enum problem_id)i);
        assert_true(row->status >= 400 && row->status <= 599);
        assert_true(strspn(row->code, "abcdefghijklmnopqrstuvwxyz_") == strlen(row->code));
        assert_true(row->code[0] != '\0' && row->when[0] != '\0');
        for (int k = 0; k < i; k++) {
            const struct problem_row *other = problem_row((enum problem_id)k);
            if (row->status == other->status && strcmp(row->code, other->code) == 0)
                fail_msg("%u %s stands twice", row->status, row->code);
        }
    }
}

static const char head[] =
    "# Refusals of the admin API\n\n"
    "Written from the table in `controlplane/api/admin_problem.h`; a test holds the two "
    "together.\n\n"
    "A refusal is RFC 9457 problem details: `status`, `title` (the status's reason), `code` (a "
    "word\n"
    "of this table), `detail` (a sentence about this request), and members beside them where the\n"
    "code has any: `errors` with a JSON pointer each, `candidates`. 429 and 503 say `retry-after`\n"
    "where a time is known.\n\n"
    "| status | code | when |\n| --- | --- | --- |\n";

static void write_page(struct buf *out)
{
    assert_int_equal(buf_append(out, slice_str(head)), ERR_OK);
    for (int i = 0; i < PROBLEM_COUNT; i++) {
        const struct problem_row *row = problem_row((enum problem_id)i);
        assert_int_equal(buf_printf(out, "| %u | `%s` | %s |\n", row->status, row->code, row->when),
                         ERR_OK);
    }
}

static void the_page_is_the_table(void **state)
{
    (void)state;
    page_is(PAGE, write_page);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_has_a_status_and_a_code_of_its_own),
        cmocka_unit_test(the_page_is_the_table),
    };
    if (argc > 1 && strcmp(argv[1], "--write") == 0)
        return page_write(PAGE, write_page);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
