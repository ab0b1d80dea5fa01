/* echo — our credential never comes back to the client, however it is spelled and cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/upstream/echo.h"

#define SECRET "Bearer s3cr3t-t0ken-value"
#define MASKED "******************" /* without the scheme */

/* The body in pieces of n bytes, through an echo of the secret. */
static void pass(const char *body, size_t len, size_t n, struct buf *out, bool *found)
{
    struct echo e;
    struct slice clean;
    echo_init(&e);
    echo_begin(&e, SLICE(SECRET));
    buf_init(out, 1024 * 1024);
    for (size_t at = 0; at < len; at += n) {
        struct slice piece = slice_of(body + at, len - at < n ? len - at : n);
        assert_int_equal(echo_pass(&e, piece, &clean), ERR_OK);
        assert_int_equal(buf_append(out, clean), ERR_OK);
    }
    assert_int_equal(buf_append(out, echo_end(&e)), ERR_OK);
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

/* One row: a spelling of "/pa+th/s3cr3t=" as some upstream may write it. */
static void it_is_masked_in_every_spelling(void **state)
{
    static const char *const spellings[] = {
        "/pa+th/s3cr3t=",
        "\\/pa+th\\/s3cr3t=",                         /* JSON: \/ */
        "\\\\\\/pa+th\\\\\\/s3cr3t=",                 /* JSON in JSON: \\\/ */
        "\\u002fpa\\u002Bth/s3cr3t\\u003d",           /* \u002f */
        "\\\\u002fpa+th\\\\u002Fs3cr3t=",             /* \\u002f */
        "%2Fpa%2bth%2Fs3cr3t%3D",                     /* percent */
        "%252Fpa%252Bth%252fs3cr3t%253D",             /* twice */
        "%2F%70%61%2b%74%68%2f%73%33%63%72%33%74%3d", /* every byte */
        "\\u002f\\u0070a%2bth\\/s3cr3t=",             /* mixed */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
        char body[256];
        size_t len = strlen(spellings[i]);
        int n = snprintf(body, sizeof(body), "{\"a\\n\":\"%s\",\"b\":1}", spellings[i]);
        for (size_t cut = 1; cut <= (size_t)n; cut++) {
            struct echo e;
            struct slice clean;
            struct buf out;
            buf_init(&out, 4096);
            echo_init(&e);
            echo_begin(&e, SLICE("Bearer /pa+th/s3cr3t="));
            for (size_t at = 0; at < (size_t)n; at += cut) {
                struct slice piece = slice_first(slice_of(body + at, (size_t)n - at), cut);
                assert_int_equal(echo_pass(&e, piece, &clean), ERR_OK);
                assert_int_equal(buf_append(&out, clean), ERR_OK);
            }
            assert_int_equal(buf_append(&out, echo_end(&e)), ERR_OK);
            bool right = e.found && out.len == (size_t)n &&
                         slice_starts(buf_slice(&out), SLICE("{\"a\\n\":\"*")) &&
                         slice_search(buf_slice(&out), SLICE("s3cr3t")) < 0 &&
                         buf_slice(&out).ptr[8 + len] == '\"';
            if (!right)
                fail_msg("%s in pieces of %zu: %.*s", spellings[i], cut,
                         SLICE_ARG(buf_slice(&out)));
            buf_fini(&out);
            echo_fini(&e);
        }
        assert_true(echo_find(SLICE("/pa+th/s3cr3t="), slice_of(body, (size_t)n)));
    }
}

static void what_only_resembles_it_passes(void **state)
{
    static const char *const texts[] = {"/pa+th/s3cr3t", "%2Gpa+th/s3cr3t=", "\\u002pa+th/s3cr3t=",
                                        "\\/pa+th\\n/s3cr3t=", "%2Fpa%20th%2Fs3cr3t%3D"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (echo_find(SLICE("/pa+th/s3cr3t="), slice_str(texts[i])))
            fail_msg("%s", texts[i]);
}

static void no_credential_and_a_short_one_look_for_nothing(void **state)
{
    (void)state;
    struct echo e;
    echo_init(&e);
    echo_begin(&e, SLICE_NONE);
    assert_true(echo_is_over(&e));
    assert_false(echo_is_in(&e, SLICE("anything")));
    echo_begin(&e, SLICE("Basic abc"));
    assert_true(echo_is_over(&e));
    echo_fini(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_masked_wherever_the_pieces_are_cut),
        cmocka_unit_test(innocent_bodies_pass_as_they_are),
        cmocka_unit_test(at_the_edge_of_what_is_looked_at_it_is_still_found),
        cmocka_unit_test(it_is_masked_in_every_spelling),
        cmocka_unit_test(what_only_resembles_it_passes),
        cmocka_unit_test(no_credential_and_a_short_one_look_for_nothing),
    };
    return cmocka_run_group_tests_name("echo", tests, NULL, NULL);
}
