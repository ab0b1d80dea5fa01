/* echo — our credential never comes back to the client, however it is cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/request/echo.h"

#define SECRET "Bearer s3cr3t-t0ken-value"
#define MASKED "******************" /* without the scheme */

/* The body in pieces of n bytes, through an echo of the secret. */
static void pass(const char *body, size_t len, size_t n, struct buf *out, bool *found)
{
    struct echo e;
    echo_init(&e, SLICE(SECRET));
    buf_init(out, 1024 * 1024);
    for (size_t at = 0; at < len; at += n)
        assert_int_equal(echo_pass(&e, slice_of(body + at, len - at < n ? len - at : n), out),
                         ERR_OK);
    assert_int_equal(echo_end(&e, out), ERR_OK);
    *found = e.found;
    echo_fini(&e);
}

static void it_is_masked_wherever_the_pieces_are_cut(void **state)
{
    (void)state;
    const char body[] =
        "{\"you\":\"sent s3cr3t-t0ken-value\",\"s3cr3t\":\"s3cr3t-t0ken-valus3cr3t-t0ken-value\"}";
    const char want[] = "{\"you\":\"sent " MASKED "\",\"s3cr3t\":\"s3cr3t-t0ken-valu" MASKED "\"}";
    for (size_t n = 1; n <= sizeof(body); n++) {
        struct buf out;
        bool found;
        pass(body, sizeof(body) - 1, n, &out, &found);
        assert_true(found);
        assert_int_equal(out.len, sizeof(want) - 1);
        assert_memory_equal(buf_slice(&out).ptr, want, out.len);
        buf_fini(&out);
    }
}

static void innocent_bodies_pass_as_they_are(void **state)
{
    (void)state;
    enum { LEN = 100000 };
    char *body = mem_alloc(LEN);
    for (size_t i = 0; i < LEN; i++)
        body[i] = (char)(i * 31 + i / 7); /* zeros too */
    for (size_t n = 1; n < LEN; n = n * 3 + 1) {
        struct buf out;
        bool found;
        pass(body, LEN, n, &out, &found);
        assert_false(found);
        assert_int_equal(out.len, LEN);
        assert_memory_equal(buf_slice(&out).ptr, body, LEN);
        buf_fini(&out);
    }
    mem_free(body);
}

static void at_the_edge_of_what_is_looked_at_it_is_still_found(void **state)
{
    (void)state;
    for (size_t before = ECHO_LOOKED_AT - 30; before <= ECHO_LOOKED_AT; before += 5) {
        char *body = mem_zalloc(before + 64);
        memset(body, 'x', before + 64);
        memcpy(body + before - 18, "s3cr3t-t0ken-value", 18);
        for (size_t n = 7; n < 20000; n = n * 5) {
            struct buf out;
            bool found;
            pass(body, before + 64, n, &out, &found);
            assert_true(found);
            assert_int_equal(out.len, before + 64);
            assert_true(slice_search(buf_slice(&out), SLICE("s3cr3t-t0ken")) < 0);
            buf_fini(&out);
        }
        mem_free(body);
    }
}

static void no_credential_and_a_short_one_look_for_nothing(void **state)
{
    (void)state;
    struct echo e;
    echo_init(&e, SLICE_NONE);
    assert_true(echo_is_over(&e));
    assert_false(echo_is_in(&e, SLICE("anything")));
    echo_init(&e, SLICE("Basic abc"));
    assert_true(echo_is_over(&e));
    echo_fini(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_masked_wherever_the_pieces_are_cut),
        cmocka_unit_test(innocent_bodies_pass_as_they_are),
        cmocka_unit_test(at_the_edge_of_what_is_looked_at_it_is_still_found),
        cmocka_unit_test(no_credential_and_a_short_one_look_for_nothing),
    };
    return cmocka_run_group_tests_name("echo", tests, NULL, NULL);
}
