/* signature — clients of Bedrock sign with the secret access key of a virtual key. */
#include "tests/kit/flow/flow.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/wire/keyprint.h"

#define PATH "/model/b/converse"
#define BODY "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hello\"}]}]}"
#define OTHER "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hullo\"}]}]}"
#define ANSWER                                                                                     \
    "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"text\":\"hi\"}]}},"          \
    "\"stopReason\":\"end_turn\",\"usage\":{\"inputTokens\":3,\"outputTokens\":1,"                 \
    "\"totalTokens\":4},\"metrics\":{\"latencyMs\":7}}"

static const struct flow_policy policy = {
    .providers = {{.dialect = "bedrock", .path = "", .secret = "bearer-key"}},
    .keys = {{.name = "alice", .models = {"b"}}, {.name = "closed", .revoked = true}},
    .models = {{.name = "b", .target_model = "m", .upstreams = {0}, .upstream_count = 1}},
};

struct signing {
    const char *key;
    const char *body; /* what is signed */
    bool says_sum;    /* in x-amz-content-sha256 */
    int64_t late_s;
    const char *sends; /* another body; NULL: what was signed */
    const char *adds;  /* a header that is not signed; NULL: none */
};

static void hex_of(struct slice text, char *out)
{
    struct digest d;
    digest_sha256(text, &d);
    digest_hex(slice_of(d.bytes, DIGEST_LEN), out);
}

/* As AWS describes it, step by step. */
static struct flow_client *asks(struct flow *k, const struct signing *s)
{
    char at[CLOCK_TEXT_MAX], date[17], sum[DIGEST_HEX_MAX], request[1024], hash[DIGEST_HEX_MAX];
    char text[512], secret[KEYPRINT_AWS_SECRET_LEN + 1], first[64], id[32], headers[1024];
    char signature[DIGEST_HEX_MAX], sum_line[128] = "";
    struct digest step, next;
    const char *names = s->says_sum ? "content-type;host;x-amz-content-sha256;x-amz-date"
                                    : "content-type;host;x-amz-date";
    snprintf(id, sizeof(id), "k_%s", s->key);
    const struct policy_key *key = snapshot_key(k->policy, slice_str(id));
    keyprint_aws_secret(snapshot_key_hmac(k->policy), &key->digest, secret);
    clock_format(clock_wall_us() + s->late_s * 1000000, at);
    snprintf(date, sizeof(date), "%.4s%.2s%.2sT%.2s%.2s%.2sZ", at, at + 5, at + 8, at + 11, at + 14,
             at + 17);
    hex_of(slice_str(s->body), sum);
    if (s->says_sum)
        snprintf(sum_line, sizeof(sum_line), "x-amz-content-sha256:%s\n", sum);
    snprintf(request, sizeof(request),
             "POST\n" PATH "\n\ncontent-type:application/json\nhost:127.0.0.1\n%sx-amz-date:%s\n\n"
             "%s\n%s",
             sum_line, date, names, sum);
    hex_of(slice_str(request), hash);
    snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%.8s/eu-west-1/bedrock/aws4_request\n%s",
             date, date, hash);
    snprintf(first, sizeof(first), "AWS4%s", secret);
    digest_hmac(slice_str(first), slice_of(date, 8), &step);
    const struct slice steps[] = {SLICE("eu-west-1"), SLICE("bedrock"), SLICE("aws4_request"),
                                  slice_str(text)};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        digest_hmac(slice_of(step.bytes, DIGEST_LEN), steps[i], &next);
        step = next;
    }
    digest_hex(slice_of(step.bytes, DIGEST_LEN), signature);
    if (s->says_sum)
        snprintf(sum_line, sizeof(sum_line), "x-amz-content-sha256: %s\r\n", sum);
    const char *body = s->sends ? s->sends : s->body;
    snprintf(headers, sizeof(headers),
             "POST " PATH " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\nx-amz-date: %s\r\n%s%s"
             "Authorization: AWS4-HMAC-SHA256 Credential=%s/%.8s/eu-west-1/bedrock/aws4_request, "
             "SignedHeaders=%s, Signature=%s\r\n\r\n",
             strlen(body), date, sum_line, s->adds ? s->adds : "", id, date, names, signature);
    struct flow_client *c = client_says(k, headers);
    client_adds(c, body);
    return c;
}

static void begin(struct flow *k)
{
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, ANSWER);
}

FLOW(a_signed_request_is_its_keys_with_and_without_the_bodys_sum)
{
    begin(k);
    expect_status(asks(k, &(struct signing){.key = "alice", .body = BODY, .says_sum = true}), 200);
    expect_status(asks(k, &(struct signing){.key = "alice", .body = BODY}), 200);
    expect_status(asks(k, &(struct signing){.key = "alice", .body = BODY, .late_s = -280}), 200);
    assert_int_equal(k->upstreams[0].call_count, 3);
    assert_true(slice_eq(upstream_heard(&k->upstreams[0].calls[0], "authorization"),
                         SLICE("Bearer bearer-key")));
    assert_null(upstream_heard(&k->upstreams[0].calls[0], "x-amz-date").ptr);
}

FLOW(another_body_another_time_and_a_revoked_key_are_refused)
{
    static const struct signing rows[] = {
        {.key = "alice", .body = BODY, .sends = OTHER},
        {.key = "alice", .body = BODY, .sends = OTHER, .says_sum = true},
        {.key = "alice", .body = BODY, .late_s = -330},
        {.key = "alice", .body = BODY, .late_s = 330, .says_sum = true},
        {.key = "closed", .body = BODY},
        {.key = "alice", .body = BODY, .adds = "X-Gatehouse-Session: s\r\n"},
        /* who sent it is not known before it would be unpacked */
        {.key = "alice", .body = BODY, .adds = "Content-Encoding: gzip\r\n"},
        {.key = "closed", .body = BODY, .says_sum = true},
    };
    begin(k);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct flow_client *c = asks(k, &rows[i]);
        WAIT(k, c->whole);
        if (c->head.status != 401 && c->head.status != 403)
            fail_msg("row %zu: %u", i, c->head.status);
    }
    assert_int_equal(k->upstreams[0].call_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_signed_request_is_its_keys_with_and_without_the_bodys_sum),
        SCENARIO(another_body_another_time_and_a_revoked_key_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
