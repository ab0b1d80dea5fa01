/* vertex — a service account's key becomes a token, once for all who wait; what goes to Vertex. */
#include "tests/kit/flow/flow.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "common/base/digest.h"
#include "common/base/json_out.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"g\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define ANSWER                                                                                     \
    "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hi\"}],\"role\":\"model\"},"            \
    "\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":3,"                       \
    "\"candidatesTokenCount\":1,\"totalTokenCount\":4}}"
#define MESSAGE                                                                                    \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\","          \
    "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],\"stop_reason\":\"end_turn\","              \
    "\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}"
#define TOKEN(text, life)                                                                          \
    "{\"access_token\":\"" text "\",\"expires_in\":" life ",\"token_type\":\"Bearer\"}"

static EVP_PKEY *key;      /* made once: it takes long */
static char account[4096]; /* the service account's JSON */

static void make_key(void)
{
    char pem[2048] = "";
    if (!key)
        key = EVP_RSA_gen(2048);
    BIO *out = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    BIO_read(out, pem, sizeof(pem) - 1);
    BIO_free(out);
    snprintf(account, sizeof(account), "%s", pem);
}

/* The upstream at place 1 is the token endpoint. */
static void policy_with(struct flow *k, const char *model, const char *path)
{
    static struct flow_policy p;
    static char json[4096];
    struct buf text;
    char uri[64];
    make_key();
    buf_init(&text, sizeof(json));
    snprintf(uri, sizeof(uri), "http://127.0.0.1:%u/token", k->upstreams[1].port);
    struct json_out o = {.to = &text};
    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "type", SLICE("service_account"));
    json_out_text(&o, "project_id", SLICE("my-project"));
    json_out_text(&o, "private_key_id", SLICE("kid-1"));
    json_out_text(&o, "private_key", slice_str(account));
    json_out_text(&o, "client_email", SLICE("robot@my-project.iam.gserviceaccount.com"));
    json_out_text(&o, "token_uri", slice_str(uri));
    json_out_end(&o, '}');
    assert_int_equal(o.e, ERR_OK);
    snprintf(json, sizeof(json), "%.*s", SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
    p = (struct flow_policy){
        .providers =
            {{.dialect = "vertex", .path = path, .secret = json, .region = "europe-west4"}},
        .keys = {{.name = "alice", .models = {"g"}}},
        .models = {{.name = "g", .target_model = model, .upstreams = {0}, .upstream_count = 1}},
    };
    policy_says(k, &p);
}

static json_t *part_of(struct slice jwt, size_t at)
{
    struct slice part;
    uint8_t bytes[2048];
    size_t n;
    struct json_problem problem;
    json_t *tree = NULL;
    for (size_t i = 0; i <= at; i++)
        assert_true(slice_split(&jwt, '.', &part));
    assert_int_equal(digest_unbase64url(part, bytes, sizeof(bytes), &n), ERR_OK);
    assert_int_equal(json_read(slice_of(bytes, n), &tree, &problem), ERR_OK);
    return tree;
}

static void expect_signed(struct slice jwt)
{
    uint8_t signature[512];
    size_t n, end = jwt.len;
    while (jwt.ptr[end - 1] != '.')
        end--;
    assert_int_equal(digest_unbase64url(slice_from(jwt, end), signature, sizeof(signature), &n),
                     ERR_OK);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(c, signature, n, (const uint8_t *)jwt.ptr, end - 1), 1);
    EVP_MD_CTX_free(c);
}

FLOW(an_account_is_exchanged_for_a_token_once_for_all_who_wait)
{
    policy_with(k, "gemini-3-flash", "");
    upstream_answers(k, 0, 200, ANSWER);
    upstream_waits_for_go(k, 1);
    upstream_answers(k, 1, 200, TOKEN("ya29.first", "3600"));

    struct flow_client *a = client_posts(k, "alice", CHAT, NULL, HELLO);
    struct flow_client *b = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->env.request_count == 2 && k->upstreams[1].call_count == 1);
    upstream_goes(k, 1);
    expect_status(a, 200);
    expect_status(b, 200);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);

    assert_int_equal(k->upstreams[1].call_count, 1);
    assert_int_equal(k->upstreams[0].call_count, 3);
    const struct upstream_call *call = &k->upstreams[0].calls[2];
    assert_true(slice_starts(call->head,
                             SLICE("POST /v1/projects/my-project/locations/europe-west4/publishers/"
                                   "google/models/gemini-3-flash:generateContent HTTP/1.1\r\n")));
    assert_true(slice_eq(upstream_heard(call, "authorization"), SLICE("Bearer ya29.first")));
    assert_null(upstream_heard(call, "x-goog-api-key").ptr);

    const struct upstream_call *grant = &k->upstreams[1].calls[0];
    const struct slice front =
        SLICE("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    assert_true(slice_starts(grant->head, SLICE("POST /token HTTP/1.1\r\n")));
    assert_true(slice_starts(grant->body, front));
    struct slice jwt = slice_from(grant->body, front.len);
    JSON_AUTO json_t *header = part_of(jwt, 0);
    JSON_AUTO json_t *claims = part_of(jwt, 1);
    assert_true(slice_eq(json_text(header, "alg"), SLICE("RS256")));
    assert_true(slice_eq(json_text(header, "kid"), SLICE("kid-1")));
    assert_true(
        slice_eq(json_text(claims, "iss"), SLICE("robot@my-project.iam.gserviceaccount.com")));
    assert_true(slice_eq(json_text(claims, "scope"),
                         SLICE("https://www.googleapis.com/auth/cloud-platform")));
    expect_signed(jwt);
}

/* Its last quarter has begun once the first response is there. */
FLOW(a_token_that_ends_soon_is_renewed_while_the_old_one_serves)
{
    policy_with(k, "gemini-3-flash", "");
    upstream_rests(k, 0, 1600);
    upstream_answers(k, 0, 200, ANSWER);
    upstream_answers(k, 1, 200, TOKEN("ya29.short", "2"));
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(k->upstreams[1].call_count, 1);

    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[1].call_count == 2);
    expect_status(c, 200);
    assert_true(slice_eq(upstream_heard(&k->upstreams[0].calls[1], "authorization"),
                         SLICE("Bearer ya29.short")));
}

FLOW(an_account_that_the_endpoint_refuses_is_told_without_its_secrets)
{
    policy_with(k, "gemini-3-flash", "");
    upstream_answers(k, 1, 400, "{\"error\":\"invalid_grant\"}");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_body_has(c, "could not be exchanged for a token: the token endpoint refused it");
    assert_int_equal(k->upstreams[0].call_count, 0);
    /* for a moment it is not tried again */
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 502);
    assert_int_equal(k->upstreams[1].call_count, 1);
}

FLOW(an_account_without_a_key_is_refused)
{
    static const struct flow_policy p = {
        .providers = {{.dialect = "vertex",
                       .path = "",
                       .secret = "{\"project_id\":\"p\",\"client_email\":\"a@b\",\"private_key\":"
                                 "\"none\",\"token_uri\":\"http://127.0.0.1:1/\"}",
                       .region = "r1"}},
        .keys = {{.name = "alice", .models = {"g"}}},
        .models = {{.name = "g", .upstreams = {0}, .upstream_count = 1}},
    };
    policy_says(k, &p);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_body_has(c, "no service account's JSON with an RSA key");
}

FLOW(a_client_that_leaves_while_a_token_is_fetched_leaves_nothing)
{
    policy_with(k, "gemini-3-flash", "");
    upstream_hangs(k, 1);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[1].call_count == 1);
    client_hangs_up(c);
    WAIT(k, k->env.request_count == 0);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(claude_on_vertex_is_told_in_anthropics_dialect)
{
    policy_with(k, "claude-sonnet-4-5@20250929", "");
    upstream_answers(k, 0, 200, MESSAGE);
    upstream_answers(k, 1, 200, TOKEN("ya29.first", "3600"));
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 200);
    expect_body_has(c, "\"content\":\"hi\"");
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(
        call->head,
        SLICE("POST /v1/projects/my-project/locations/europe-west4/publishers/anthropic/"
              "models/claude-sonnet-4-5%4020250929:rawPredict HTTP/1.1\r\n")));
    assert_true(slice_search(call->body, SLICE("\"anthropic_version\":\"vertex-2023-10-16\"")) >=
                0);
    assert_true(slice_search(call->body, SLICE("\"model\"")) < 0);
}

FLOW(a_base_url_may_name_project_and_region)
{
    static const struct flow_policy p = {
        .providers = {{.dialect = "vertex",
                       .path = "/v1/projects/p/locations/l",
                       .secret = "ya29.a-token-as-it-is"}},
        .keys = {{.name = "alice", .models = {"g"}}},
        .models = {{.name = "g", .upstreams = {0}, .upstream_count = 1}},
    };
    policy_says(k, &p);
    upstream_answers(k, 0, 200, ANSWER);
    struct flow_client *c = client_posts(k, "alice", "/v1beta/models/g:generateContent", NULL,
                                         "{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}]}");
    expect_status(c, 200);
    const struct upstream_call *call = &k->upstreams[0].calls[0];
    assert_true(slice_starts(call->head, SLICE("POST /v1/projects/p/locations/l/publishers/google/"
                                               "models/g:generateContent ")));
    assert_true(
        slice_eq(upstream_heard(call, "authorization"), SLICE("Bearer ya29.a-token-as-it-is")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(an_account_is_exchanged_for_a_token_once_for_all_who_wait),
        SCENARIO(a_token_that_ends_soon_is_renewed_while_the_old_one_serves),
        SCENARIO(an_account_that_the_endpoint_refuses_is_told_without_its_secrets),
        SCENARIO(an_account_without_a_key_is_refused),
        SCENARIO(a_client_that_leaves_while_a_token_is_fetched_leaves_nothing),
        SCENARIO(claude_on_vertex_is_told_in_anthropics_dialect),
        SCENARIO(a_base_url_may_name_project_and_region),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    EVP_PKEY_free(key);
    return failed;
}
