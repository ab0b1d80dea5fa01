/* arena: memory that goes all at once, guests that leave in reverse order. */
#include "common/base/arena.h"

#include "tests/unit/base/unit.h"

static char farewells[16];

static void on_leave(void *guest)
{
    strncat(farewells, guest, 1);
}

UNIT(pieces_are_aligned_and_do_not_overlap)
{
    struct arena *a = arena_new(256, 4096);
    unsigned char *pieces[20];
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        pieces[i] = arena_alloc(a, i + 1);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i + 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        for (size_t k = 0; k <= i; k++)
            assert_int_equal(pieces[i][k], i);
    }
    arena_free(a);
}

UNIT(the_ceiling_is_exact_and_larger_pieces_than_a_chunk_fit_below_it)
{
    struct arena *a = arena_new(64, 256);
    assert_non_null(arena_alloc(a, 64));
    assert_non_null(arena_alloc(a, 160));
    assert_null(arena_alloc(a, 48));
    assert_non_null(arena_alloc(a, 32));
    assert_null(arena_alloc(a, 1));
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_copy(a, slice_of("x", SIZE_MAX)).ptr);
    arena_reset(a);
    assert_non_null(arena_alloc(a, 64));
    assert_non_null(arena_alloc(a, 192));
    arena_free(a);
}

UNIT(a_warm_arena_serves_without_the_heap)
{
    struct arena *a = arena_new(1024, 4096);
    for (int i = 0; i < 10; i++) {
        assert_non_null(arena_alloc(a, 900));
        arena_reset(a);
        mem_fail_after(1); /* from the second turn on nothing may ask the heap */
    }
    assert_false(mem_failed());
    mem_fail_after(0);
    arena_free(a);
}

UNIT(further_chunks_go_back_at_a_reset)
{
    struct arena *a = arena_new(64, 65536);
    ptrdiff_t before = mem_alive();
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(a, 64));
    assert_true(mem_alive() > before);
    arena_reset(a);
    assert_int_equal(mem_alive(), before);
    arena_free(a);
}

UNIT(guests_leave_in_reverse_order_once)
{
    struct arena *a = arena_new(128, 4096);
    farewells[0] = '\0';
    assert_int_equal(arena_adopt(a, "a", on_leave), ERR_OK);
    assert_int_equal(arena_adopt(a, "b", on_leave), ERR_OK);
    arena_reset(a);
    assert_string_equal(farewells, "ba");
    assert_int_equal(arena_adopt(a, "c", on_leave), ERR_OK);
    arena_free(a);
    assert_string_equal(farewells, "bac");
    arena_free(NULL);
}

UNIT(a_guest_that_cannot_be_adopted_leaves_at_once)
{
    struct arena *a = arena_new(16, 16);
    farewells[0] = '\0';
    assert_non_null(arena_alloc(a, 16));
    assert_int_equal(arena_adopt(a, "x", on_leave), ERR_NOMEM);
    assert_string_equal(farewells, "x");
    arena_free(a);
    assert_string_equal(farewells, "x");
}

UNIT(copies_are_whole_and_end_in_nul)
{
    struct arena *a = arena_new(64, 4096);
    struct slice copy = arena_copy(a, slice_of("a\0b", 3));
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b\0", 4);
    assert_string_equal(arena_copy(a, SLICE_NONE).ptr, "");
    expect_text(arena_printf(a, "%d-%s", 42, "long enough to need a chunk of its own, as it is"),
                "42-long enough to need a chunk of its own, as it is");
    const unsigned char *zeros = arena_zalloc(a, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    arena_free(a);
}

static enum err use_once(void)
{
    struct arena *a = arena_new(64, 4096);
    if (!a)
        return ERR_NOMEM;
    farewells[0] = '\0';
    bool ok = arena_alloc(a, 100) && arena_adopt(a, "g", on_leave) == ERR_OK &&
              arena_printf(a, "%0100d", 1).ptr && arena_copy(a, SLICE("copy")).ptr;
    arena_free(a);
    return ok ? ERR_OK : ERR_NOMEM;
}

UNIT(every_allocation_may_fail)
{
    EACH_ALLOCATION_FAILS(use_once());
    assert_string_equal(farewells, "g");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_do_not_overlap),
        cmocka_unit_test(the_ceiling_is_exact_and_larger_pieces_than_a_chunk_fit_below_it),
        cmocka_unit_test(a_warm_arena_serves_without_the_heap),
        cmocka_unit_test(further_chunks_go_back_at_a_reset),
        cmocka_unit_test(guests_leave_in_reverse_order_once),
        cmocka_unit_test(a_guest_that_cannot_be_adopted_leaves_at_once),
        cmocka_unit_test(copies_are_whole_and_end_in_nul),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
