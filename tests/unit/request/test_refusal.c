/* refusal — every row speaks, and a detail stands where its sentence has a place for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/request/refusal.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_has_status_code_and_a_sentence_without_a_hole),
        cmocka_unit_test(a_detail_fills_the_sentence),
        cmocka_unit_test(what_stands_in_brackets_goes_with_the_detail),
        cmocka_unit_test(a_sentence_without_its_detail_is_still_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
