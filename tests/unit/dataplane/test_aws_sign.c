/* aws_sign — the vectors that AWS publishes ("aws-sig-v4-test-suite"), as facts, and a path of
 * Bedrock's, which is encoded twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "dataplane/ai/provider/aws_sign.h"

#define KEY "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define TOKEN                                                                                      \
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSP" \
    "fIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT" \
    "7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlz" \
    "m8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

static const struct vector {
    const char *name, *method, *path, *query, *content_type, *body, *token, *signature;
} vectors[] = {
    {"get-vanilla", "GET", "/", "", "", "", "",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla", "POST", "/", "", "", "", "",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"get-vanilla-query-unreserved", "GET", "/",
     "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
     "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     "", "", "", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-utf8", "GET", "/\xe1\x88\xb4", "", "", "", "",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"post-x-www-form-urlencoded", "POST", "/", "", "application/x-www-form-urlencoded",
     "Param1=value1", "", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    {"post-sts-header-before", "POST", "/", "", "", "", TOKEN,
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
};

static void sign(const struct vector *v, struct arena *a, struct aws_signature *ret)
{
    const struct slice body[] = {slice_first(slice_str(v->body), 4),
                                 slice_from(slice_str(v->body), 4)};
    const struct aws_signing s = {
        .method = slice_str(v->method),
        .host = SLICE("example.amazonaws.com"),
        .path = slice_str(v->path),
        .query = slice_str(v->query),
        .content_type = slice_str(v->content_type),
        .body = body,
        .body_count = ARRAY_LEN(body),
        .access_key_id = SLICE("AKIDEXAMPLE"),
        .secret = SLICE(KEY),
        .session_token = slice_str(v->token),
        .region = SLICE("us-east-1"),
        .service = SLICE("service"),
        .at_us = INT64_C(1440938160) * 1000000, /* 2015-08-30 12:36:00 */
    };
    assert_int_equal(aws_sign(&s, a, ret), ERR_OK);
}

static void requests_have_the_published_signatures(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct arena *a = arena_new(4096, 1 << 20);
        struct aws_signature got;
        sign(&vectors[i], a, &got);
        assert_true(slice_eq(got.date, SLICE("20150830T123600Z")));
        if (!slice_ends(got.authorization, slice_str(vectors[i].signature)))
            fail_msg("%s: %.*s", vectors[i].name, SLICE_ARG(got.authorization));
        arena_free(a);
    }
}

static void the_header_names_what_was_signed(void **state)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct aws_signature got;
    (void)state;
    sign(&vectors[4], a, &got);
    assert_true(slice_starts(
        got.authorization,
        SLICE("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
              "SignedHeaders=content-type;host;x-amz-date, Signature=")));
    sign(&vectors[5], a, &got);
    assert_true(slice_search(got.authorization,
                             SLICE("SignedHeaders=host;x-amz-date;x-amz-security-token,")) > 0);
    arena_free(a);
}

static void a_models_name_is_one_segment_of_the_path(void **state)
{
    struct arena *a = arena_new(4096, 1 << 20);
    (void)state;
    assert_true(slice_eq(aws_path_segment(SLICE("us.amazon.nova-pro-v1:0"), a),
                         SLICE("us.amazon.nova-pro-v1%3A0")));
    assert_true(slice_eq(aws_path_segment(SLICE("arn:aws:bedrock:x:1:p/q~ \xc3\xa4"), a),
                         SLICE("arn%3Aaws%3Abedrock%3Ax%3A1%3Ap%2Fq~%20%C3%A4")));
    arena_free(a);
}

static void a_secret_longer_than_any_is_refused(void **state)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct aws_signature got;
    static char secret[1025];
    (void)state;
    memset(secret, 'x', sizeof(secret));
    struct aws_signing s = {.secret = slice_of(secret, 1024)};
    assert_int_equal(aws_sign(&s, a, &got), ERR_OK);
    s.secret.len++;
    assert_int_equal(aws_sign(&s, a, &got), ERR_TOO_BIG);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_have_the_published_signatures),
        cmocka_unit_test(the_header_names_what_was_signed),
        cmocka_unit_test(a_models_name_is_one_segment_of_the_path),
        cmocka_unit_test(a_secret_longer_than_any_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
