/* aws_signature — what the AWS SDK for JavaScript signs, and AWS's published vectors, are true; any
 * change to what was signed is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/request/aws_signature.h"

/* Made by @smithy/signature-v4 for the client of Bedrock, with and without a checksum. */
#define SDK_KEY "aSecretAccessKeyOfFortyThreeCharacters_-12345"
#define SDK_BODY "5e4ce7b36ba37b78a5d5f9fd08e6b7b54ba6879d651aa46ec9e1d6fa24ebe30a"
#define SDK_LINE "POST /model/us.amazon.nova-pro-v1%3A0/converse HTTP/1.1\r\n"
#define SDK_HEADERS                                                                                \
    "Host: 127.0.0.1:8080\r\ncontent-type: application/json\r\ncontent-length: 14\r\n"             \
    "amz-sdk-invocation-id: x-1\r\namz-sdk-request: attempt=1;  max=3\r\n"                         \
    "user-agent: aws-sdk-js/3\r\nx-amz-user-agent: aws-sdk-js/3\r\n"
#define SDK_DATE "x-amz-date: 20260102T030405Z\r\n"
#define SDK_SUM "x-amz-content-sha256: " SDK_BODY "\r\n"
#define SDK_SCOPE                                                                                  \
    "AWS4-HMAC-SHA256 Credential=key_0123456789abcdef/20260102/eu-west-1/bedrock/aws4_request, "
#define SDK_NAMES                                                                                  \
    "SignedHeaders=amz-sdk-invocation-id;amz-sdk-request;content-length;content-type;host;"        \
    "x-amz-date;x-amz-user-agent, "
#define SDK_NAMES_SUM                                                                              \
    "SignedHeaders=amz-sdk-invocation-id;amz-sdk-request;content-length;content-type;host;"        \
    "x-amz-content-sha256;x-amz-date;x-amz-user-agent, "
#define SDK_SIGNED "Signature=b3e337dad79cbcf31604ffa776d57f12f2e2d69deb30d1e596e7b0fe2fae5389"
#define SDK_SIGNED_SUM "Signature=4e6fe1829d23dd8e90eec45104fe722027d3a9216679e1103f27af9cc7c9244f"
#define AUTHORIZATION "authorization: "
#define END "\r\n\r\n"

#define AWS_KEY "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define AWS_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define AWS_SCOPE                                                                                  \
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
#define AWS_HOST "Host: example.amazonaws.com\r\nX-Amz-Date: 20150830T123600Z\r\n"

static bool is_true(const char *text, const char *now, const char *body, const char *secret)
{
    struct http_head h;
    struct http1_problem problem;
    struct aws_claim c;
    size_t len;
    int64_t now_us;
    assert_int_equal(clock_parse(slice_str(now), &now_us), ERR_OK);
    if (http1_head(HTTP1_REQUEST, slice_str(text), &h, &len, &problem) != ERR_OK)
        fail_msg("%s", text);
    struct slice said = http_head_find(&h, SLICE("authorization"));
    if (aws_claim_read(&h, said, now_us, &c))
        return false;
    return aws_claim_is_true(&c, &h, slice_str(body), slice_str(secret));
}

#define SDK_WHOLE SDK_LINE SDK_HEADERS SDK_DATE AUTHORIZATION SDK_SCOPE SDK_NAMES SDK_SIGNED END

static void what_the_sdk_signs_is_true(void **state)
{
    (void)state;
    assert_true(is_true(SDK_WHOLE, "2026-01-02T03:04:05Z", SDK_BODY, SDK_KEY));
    assert_true(is_true(SDK_LINE SDK_HEADERS SDK_DATE SDK_SUM AUTHORIZATION SDK_SCOPE SDK_NAMES_SUM
                            SDK_SIGNED_SUM END,
                        "2026-01-02T03:04:05Z", SDK_BODY, SDK_KEY));
}

static void the_published_vectors_are_true(void **state)
{
    static const char *const rows[] = {
        "GET / HTTP/1.1\r\n" AWS_HOST AUTHORIZATION AWS_SCOPE "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" END,
        "POST / HTTP/1.1\r\n" AWS_HOST AUTHORIZATION AWS_SCOPE "SignedHeaders=host;x-amz-date, "
        "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" END,
        "GET / HTTP/1.1\r\nMy-Header1:  value1\r\nMy-Header2: \"a   b   c\"\r\n" AWS_HOST
            AUTHORIZATION AWS_SCOPE "SignedHeaders=host;my-header1;my-header2;x-amz-date, "
        "Signature=acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" END,
        "GET / HTTP/1.1\r\nMy-Header1: value2\r\nMy-Header1: value2\r\nMy-Header1: "
        "value1\r\n" AWS_HOST AUTHORIZATION AWS_SCOPE "SignedHeaders=host;my-header1;x-amz-date, "
        "Signature=c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" END,
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!is_true(rows[i], "2015-08-30T12:36:00Z", AWS_EMPTY, AWS_KEY))
            fail_msg("row %zu", i);
}

static void what_was_changed_is_not_true(void **state)
{
    static const struct {
        const char *text, *now, *body, *secret;
    } rows[] = {
        {SDK_WHOLE, "2026-01-02T03:09:06Z", SDK_BODY, SDK_KEY}, /* too late, and too early */
        {SDK_WHOLE, "2026-01-02T02:59:04Z", SDK_BODY, SDK_KEY},
        {SDK_WHOLE, "2026-01-02T03:04:05Z", AWS_EMPTY, SDK_KEY},
        {SDK_WHOLE, "2026-01-02T03:04:05Z", SDK_BODY, AWS_KEY},
        {"POST /model/other/converse HTTP/1.1\r\n" SDK_HEADERS SDK_DATE AUTHORIZATION SDK_SCOPE
             SDK_NAMES SDK_SIGNED END,
         NULL, SDK_BODY, SDK_KEY},
        {SDK_LINE SDK_HEADERS SDK_DATE
         "x-amz-security-token: t\r\n" AUTHORIZATION SDK_SCOPE SDK_NAMES SDK_SIGNED END,
         NULL, SDK_BODY, SDK_KEY}, /* an x-amz header that is not signed */
        {SDK_LINE SDK_HEADERS SDK_DATE
         "X-Gatehouse-Task: night\r\n" AUTHORIZATION SDK_SCOPE SDK_NAMES SDK_SIGNED END,
         NULL, SDK_BODY, SDK_KEY}, /* it would choose the task */
        {SDK_LINE SDK_HEADERS SDK_DATE
         "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n" AUTHORIZATION SDK_SCOPE SDK_NAMES_SUM
             SDK_SIGNED_SUM END,
         NULL, "UNSIGNED-PAYLOAD", SDK_KEY},
        {SDK_LINE SDK_HEADERS SDK_DATE AUTHORIZATION SDK_SCOPE
         "SignedHeaders=x-amz-date, " SDK_SIGNED END,
         NULL, SDK_BODY, SDK_KEY}, /* no host */
        {SDK_LINE SDK_HEADERS SDK_DATE SDK_DATE AUTHORIZATION SDK_SCOPE SDK_NAMES SDK_SIGNED END,
         NULL, SDK_BODY, SDK_KEY},
        {SDK_LINE SDK_HEADERS SDK_DATE AUTHORIZATION "AWS4-HMAC-SHA256 Credential=key/x" END, NULL,
         SDK_BODY, SDK_KEY},
        {SDK_LINE SDK_HEADERS SDK_DATE AUTHORIZATION SDK_SCOPE SDK_NAMES END, NULL, SDK_BODY,
         SDK_KEY},
        {SDK_LINE SDK_HEADERS
         "x-amz-date: Fri\r\n" AUTHORIZATION SDK_SCOPE SDK_NAMES SDK_SIGNED END,
         NULL, SDK_BODY, SDK_KEY},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (is_true(rows[i].text, rows[i].now ? rows[i].now : "2026-01-02T03:04:05Z", rows[i].body,
                    rows[i].secret))
            fail_msg("row %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_sdk_signs_is_true),
        cmocka_unit_test(the_published_vectors_are_true),
        cmocka_unit_test(what_was_changed_is_not_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
