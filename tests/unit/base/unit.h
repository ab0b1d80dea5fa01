/*
 * unit — what every unit test of this folder starts with.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/base/slice.h"

#define UNIT(name) static void name(void **state UNUSED)

/* shows the text where it differs, not just that it does */
static inline void expect_text(struct slice got, const char *want)
{
    struct slice wanted = slice_str(want);
    if (!slice_eq(got, wanted))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(got), want);
}

/* Runs `body`, an expression of enum err, with the 1st, 2nd, … allocation failing, until one run
 * is not hit. Each failing run must say ERR_NOMEM and leave as many pieces alive as before. */
#define EACH_ALLOCATION_FAILS(body)                                                                \
    do {                                                                                           \
        size_t run_ = 0;                                                                           \
        bool hit_ = true;                                                                          \
        while (hit_) {                                                                             \
            assert_true(++run_ < 10000);                                                           \
            ptrdiff_t before_ = mem_alive();                                                       \
            mem_fail_after(run_);                                                                  \
            enum err said_ = (body);                                                               \
            hit_ = mem_failed();                                                                   \
            mem_fail_after(0);                                                                     \
            assert_int_equal(said_, hit_ ? ERR_NOMEM : ERR_OK);                                    \
            assert_int_equal(mem_alive(), before_);                                                \
        }                                                                                          \
        assert_true(run_ > 1); /* a body that allocates nothing shows nothing */                   \
    } while (0)
