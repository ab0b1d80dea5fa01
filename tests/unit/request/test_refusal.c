/*
 * refusal — each row has a sentence with the detail in its place, and docs/errors.md lists the
 * rows. `unit.request.test_refusal --write` writes that page anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/request/refusal.h"
#include "tests/kit/page.h"

#define PAGE "docs/errors.md"

static void each_row_has_status_code_and_a_sentence_without_a_hole(void **state)
{
    struct arena *a = arena_new(4096, 65536);
    (void)state;
    for (int id = REFUSAL_NONE + 1; id < REFUSAL_COUNT; id++) {
        struct refusal r = {.id = (enum refusal_id)id, .detail = SLICE("detail")};
        const struct refusal_row *row = refusal_row(r.id);
        struct slice text = refusal_sentence(&r, a);
        /* a JSON-RPC error travels in a 200 (decisions.md, Statuses) */
        assert_true(row->status == 200 || (row->status >= 400 && row->status <= 599));
        assert_true(row->code[0] != '\0');
        assert_true(text.len > 0);
        assert_true(slice_search(text, SLICE("%.*s")) < 0);
        assert_true(slice_find(text, '[') < 0 && slice_find(text, ']') < 0);
    }
    arena_free(a);
}

static void a_detail_fills_the_sentence(void **state)
{
    struct arena *a = arena_new(4096, 65536);
    struct refusal r = {.id = REFUSAL_MODEL_UNKNOWN, .detail = SLICE("gpt-9")};
    (void)state;
    assert_true(slice_eq(refusal_sentence(&r, a),
                         SLICE("The model gpt-9 does not exist or is not granted.")));
    arena_free(a);
}

static void what_stands_in_brackets_goes_with_the_detail(void **state)
{
    struct arena *a = arena_new(4096, 65536);
    struct refusal with = {.id = REFUSAL_PATH_UNKNOWN, .detail = SLICE("see [there]")};
    struct refusal without = {.id = REFUSAL_PATH_UNKNOWN};
    (void)state;
    assert_true(slice_eq(refusal_sentence(&with, a),
                         SLICE("Nothing is served at this path: see [there].")));
    assert_true(slice_eq(refusal_sentence(&without, a), SLICE("Nothing is served at this path.")));
    arena_free(a);
}

static void a_sentence_without_its_detail_is_still_one(void **state)
{
    struct arena *a = arena_new(4096, 65536);
    struct refusal r = {.id = REFUSAL_BAD_REQUEST};
    (void)state;
    assert_true(slice_eq(refusal_sentence(&r, a), SLICE("The request is malformed.")));
    arena_free(a);
}

static const char head[] =
    "# Refusals\n\n"
    "Written from the table in `common/request/refusal.h`; a test holds the two together.\n\n"
    "A gate refuses a request with one of these. The body is in the dialect of the path: an\n"
    "OpenAI error object below `/v1`, a JSON-RPC error at `/mcp`, RFC 9457 problem details below\n"
    "`/api` and everywhere else; `code` is the word of this table. `…` stands for the detail of\n"
    "the request. A status of 200 is a JSON-RPC error. Rates, parallel limits, overload and\n"
    "`upstream_rate_limited` say `retry-after` (seconds) and `retry-after-ms`; a budget that is\n"
    "used up says `x-should-retry: false`. Within an MCP session, limits and budgets are JSON-RPC\n"
    "errors in a response of status 200, with the wait in `data`.\n\n"
    "| status | code | sentence |\n| --- | --- | --- |\n";

static int by_status(const void *a, const void *b)
{
    const enum refusal_id *x = a, *y = b;
    unsigned s = refusal_row(*x)->status, t = refusal_row(*y)->status;
    return s != t ? (s > t) - (s < t) : (*x > *y) - (*x < *y);
}

static void write_page(struct buf *out)
{
    enum refusal_id ids[REFUSAL_COUNT];
    struct arena *a = arena_new(4096, 65536);
    size_t n = 0;
    for (int id = REFUSAL_NONE + 1; id < REFUSAL_COUNT; id++)
        ids[n++] = (enum refusal_id)id;
    qsort(ids, n, sizeof(ids[0]), by_status);
    assert_int_equal(buf_append(out, slice_str(head)), ERR_OK);
    for (size_t i = 0; i < n; i++) {
        const struct refusal r = {.id = ids[i], .detail = SLICE("…")};
        const struct refusal_row *row = refusal_row(ids[i]);
        assert_int_equal(buf_printf(out, "| %u | `%s` | %.*s |\n", row->status, row->code,
                                    SLICE_ARG(refusal_sentence(&r, a))),
                         ERR_OK);
    }
    arena_free(a);
}

static void the_page_is_the_table(void **state)
{
    (void)state;
    page_is(PAGE, write_page);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_has_status_code_and_a_sentence_without_a_hole),
        cmocka_unit_test(a_detail_fills_the_sentence),
        cmocka_unit_test(what_stands_in_brackets_goes_with_the_detail),
        cmocka_unit_test(a_sentence_without_its_detail_is_still_one),
        cmocka_unit_test(the_page_is_the_table),
    };
    if (argc > 1 && strcmp(argv[1], "--write") == 0)
        return page_write(PAGE, write_page);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
