/* cloud — credentials that are had from a source: containers, instances, web identities, workload
 * identity, client credentials. The mocks demand what the real services demand. */
#include "tests/kit/flow/flow.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/upstream/token_source.h"
#include "dataplane/ai/provider/aws_sign.h"

#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"g\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define CONVERSED                                                                                  \
    "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"text\":\"hi\"}]}},"          \
    "\"stopReason\":\"end_turn\",\"usage\":{\"inputTokens\":3,\"outputTokens\":1,"                 \
    "\"totalTokens\":4},\"metrics\":{\"latencyMs\":7}}"
#define GENERATED                                                                                  \
    "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hi\"}],\"role\":\"model\"},"            \
    "\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":3,"                       \
    "\"candidatesTokenCount\":1,\"totalTokenCount\":4}}"
#define COMPLETED                                                                                  \
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"g\",\"choices\":[{"    \
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":"       \
    "\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4}}"
#define JSON "Content-Type: application/json\r\n"
#define KEY_ID "ASIAEXAMPLE000000001"
#define SECRET_KEY "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define SESSION_TOKEN "FwoGZXIvYXdzEXAMPLE//token=="
#define ROLE_ARN "arn:aws:iam::123456789012:role/gate"

static int life_s = 3600; /* of keys that the mocks of AWS give */
static bool refuses;      /* what gives credentials is out of order */

static void set_up(void)
{
    life_s = 3600;
    refuses = false;
}

/* The upstream at place 1 gives the credentials of the one at place 0. */
static void policy_with(struct flow *k, const char *dialect, Gatehouse__CredentialSource *s,
                        const char *path, const char *secret)
{
    static char url[128];
    struct flow_policy p = {
        .providers = {{.dialect = dialect,
                       .path = "",
                       .secret = secret,
                       .no_secret = !secret,
                       .source = s,
                       .region = "eu-west-1"}},
        .keys = {{.name = "alice", .models = {"g"}}},
        .models = {{.name = "g", .target_model = "m", .upstreams = {0}, .upstream_count = 1}},
    };
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", k->upstreams[1].port, path);
    s->url = url;
    policy_says(k, &p);
}

static bool begins(const struct upstream_call *c, const char *line)
{
    return slice_starts(c->head, slice_str(line));
}

static bool heard(const struct upstream_call *c, const char *name, const char *value)
{
    return slice_eq(upstream_heard(c, name), slice_str(value));
}

/* A field of a form, as it was encoded. */
static bool has_field(const struct upstream_call *c, const char *field)
{
    struct slice rest = c->body, part;
    while (slice_split(&rest, '&', &part))
        if (slice_eq(part, slice_str(field)))
            return true;
    return false;
}

static bool is_form(const struct upstream_call *c)
{
    return heard(c, "content-type", "application/x-www-form-urlencoded");
}

/* ---- AWS ---- */

static const char *ends(void)
{
    static char text[CLOCK_TEXT_MAX];
    struct slice all = clock_format(clock_wall_us() + (int64_t)life_s * 1000000, text);
    char *dot = strchr(text, '.');
    (void)all;
    memcpy(dot, "Z", 2); /* AWS gives whole seconds */
    return text;
}

static void reply_keys(struct buf *out)
{
    char body[512];
    snprintf(body, sizeof(body),
             "{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"" KEY_ID
             "\",\"SecretAccessKey\":\"" SECRET_KEY "\",\"Token\":\"" SESSION_TOKEN
             "\",\"Expiration\":\"%s\"}",
             ends());
    upstream_reply(out, 200, JSON, body);
}

static void container(struct upstream *u UNUSED, const struct upstream_call *c, struct buf *out)
{
    if (!begins(c, "GET /v2/credentials/1-2-3 HTTP/1.1\r\n"))
        upstream_reply(out, 404, JSON, "{\"code\":\"NotFound\"}");
    else if (refuses || !heard(c, "authorization", "Basic task-token"))
        upstream_reply(out, 401, JSON, "{\"code\":\"AuthorizationError\",\"message\":\"no\"}");
    else
        reply_keys(out);
}

static void instance(struct upstream *u UNUSED, const struct upstream_call *c, struct buf *out)
{
    if (begins(c, "PUT /latest/api/token ") &&
        heard(c, "x-aws-ec2-metadata-token-ttl-seconds", "21600"))
        upstream_reply(out, 200, "Content-Type: text/plain\r\n", "AQAEAsession==");
    else if (!heard(c, "x-aws-ec2-metadata-token", "AQAEAsession=="))
        upstream_reply(out, 401, "Content-Type: text/html\r\n", "<?xml version=\"1.0\"?><html/>");
    else if (begins(c, "GET /latest/meta-data/iam/security-credentials/ "))
        upstream_reply(out, 200, "Content-Type: text/plain\r\n", "gate-role\n");
    else if (begins(c, "GET /latest/meta-data/iam/security-credentials/gate-role "))
        reply_keys(out);
    else
        upstream_reply(out, 404, "Content-Type: text/html\r\n", "none");
}

static void sts(struct upstream *u UNUSED, const struct upstream_call *c, struct buf *out)
{
    char body[2048];
    bool whole =
        begins(c, "POST / HTTP/1.1\r\n") && is_form(c) &&
        has_field(c, "Action=AssumeRoleWithWebIdentity") && has_field(c, "Version=2011-06-15") &&
        has_field(c, "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fgate") &&
        has_field(c, "RoleSessionName=gatehouse") && !upstream_heard(c, "authorization").ptr;
    if (!whole || !has_field(c, "WebIdentityToken=eyJ.web.identity")) {
        upstream_reply(out, 400, "Content-Type: text/xml\r\n",
                       "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n"
                       "  <Error>\n    <Type>Sender</Type>\n    <Code>InvalidIdentityToken</Code>\n"
                       "    <Message>No OpenIDConnect provider: eyJ.wrong</Message>\n  </Error>\n"
                       "  <RequestId>r-1</RequestId>\n</ErrorResponse>\n");
        return;
    }
    snprintf(body, sizeof(body),
             "<AssumeRoleWithWebIdentityResponse "
             "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n"
             "  <AssumeRoleWithWebIdentityResult>\n"
             "    <Audience>sts.amazonaws.com</Audience>\n"
             "    <AssumedRoleUser><AssumedRoleId>AROA:gatehouse</AssumedRoleId>"
             "<Arn>arn:aws:sts::123456789012:assumed-role/gate/gatehouse</Arn></AssumedRoleUser>\n"
             "    <Credentials>\n      <AccessKeyId>" KEY_ID "</AccessKeyId>\n"
             "      <SecretAccessKey>" SECRET_KEY "</SecretAccessKey>\n"
             "      <SessionToken>FwoGZXIvYXdzEXAMPLE&#x2F;/token==</SessionToken>\n"
             "      <Expiration>%s</Expiration>\n    </Credentials>\n"
             "  </AssumeRoleWithWebIdentityResult>\n"
             "  <ResponseMetadata><RequestId>r-2</RequestId></ResponseMetadata>\n"
             "</AssumeRoleWithWebIdentityResponse>\n",
             ends());
    upstream_reply(out, 200, "Content-Type: text/xml\r\n", body);
}

/* As Bedrock verifies it, with the keys that were given. */
static void expect_signed(struct flow *k, const struct upstream_call *call)
{
    struct arena *a = arena_new(4096, 1 << 20);
    struct aws_signature want;
    struct slice date = upstream_heard(call, "x-amz-date");
    char host[32], at[32];
    int64_t us;
    assert_true(begins(call, "POST /model/m/converse HTTP/1.1\r\n"));
    assert_true(heard(call, "x-amz-security-token", SESSION_TOKEN));
    snprintf(host, sizeof(host), "127.0.0.1:%u", k->upstreams[0].port);
    snprintf(at, sizeof(at), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", date.ptr, date.ptr + 4, date.ptr + 6,
             date.ptr + 9, date.ptr + 11, date.ptr + 13);
    assert_int_equal(clock_parse(slice_str(at), &us), ERR_OK);
    const struct aws_signing s = {.method = SLICE("POST"),
                                  .host = slice_str(host),
                                  .path = SLICE("/model/m/converse"),
                                  .content_type = SLICE("application/json"),
                                  .body = &call->body,
                                  .body_count = 1,
                                  .access_key_id = SLICE(KEY_ID),
                                  .secret = SLICE(SECRET_KEY),
                                  .session_token = SLICE(SESSION_TOKEN),
                                  .region = SLICE("eu-west-1"),
                                  .service = SLICE("bedrock"),
                                  .at_us = us};
    assert_int_equal(aws_sign(&s, a, &want), ERR_OK);
    assert_true(slice_eq(upstream_heard(call, "authorization"), want.authorization));
    arena_free(a);
}

static void container_policy(struct flow *k, const char *token)
{
    static Gatehouse__CredentialSource s;
    gatehouse__credential_source__init(&s);
    s.type = "aws_container";
    policy_with(k, "bedrock", &s, "/v2/credentials/1-2-3", token);
    k->upstreams[1].reply = container;
}

FLOW(keys_of_a_container_sign_and_are_fetched_once_for_all_who_wait)
{
    set_up();
    container_policy(k, "Basic task-token");
    upstream_answers(k, 0, 200, CONVERSED);
    struct flow_client *a = client_posts(k, "alice", CHAT, NULL, HELLO);
    struct flow_client *b = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(a, 200);
    expect_status(b, 200);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(k->upstreams[1].call_count, 1);
    assert_int_equal(k->upstreams[0].call_count, 3);
    for (size_t i = 0; i < 3; i++)
        expect_signed(k, &k->upstreams[0].calls[i]);
}

static void instance_policy(struct flow *k, char *role)
{
    static Gatehouse__CredentialSource s;
    gatehouse__credential_source__init(&s);
    s.type = "aws_imds";
    s.role = role;
    policy_with(k, "bedrock", &s, "", NULL);
    k->upstreams[1].reply = instance;
    upstream_answers(k, 0, 200, CONVERSED);
}

FLOW(an_instance_says_its_role_and_its_keys_within_a_session)
{
    set_up();
    instance_policy(k, NULL);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(k->upstreams[1].call_count, 3);
    expect_signed(k, &k->upstreams[0].calls[0]);
}

FLOW(a_role_that_is_given_is_not_asked_for)
{
    set_up();
    instance_policy(k, "gate-role");
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(k->upstreams[1].call_count, 2);
    expect_signed(k, &k->upstreams[0].calls[0]);
}

static void identity_policy(struct flow *k, const char *token, char *file)
{
    static Gatehouse__CredentialSource s;
    gatehouse__credential_source__init(&s);
    s.type = "aws_web_identity";
    s.role = ROLE_ARN;
    s.token_file = file;
    policy_with(k, "bedrock", &s, "", token);
    k->upstreams[1].reply = sts;
    upstream_answers(k, 0, 200, CONVERSED);
}

FLOW(a_web_identity_assumes_its_role)
{
    set_up();
    identity_policy(k, "eyJ.web.identity", NULL);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(k->upstreams[1].call_count, 1);
    expect_signed(k, &k->upstreams[0].calls[0]);
}

FLOW(what_sts_refuses_is_told_by_its_word_and_nothing_else_of_it)
{
    set_up();
    identity_policy(k, "eyJ.wrong", NULL);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_body_has(c, "its account could not be exchanged for a credential: AWS STS refused it "
                       "with status 400 (InvalidIdentityToken)");
    assert_true(slice_search(buf_slice(&c->body), SLICE("eyJ.wrong")) < 0);
    assert_int_equal(k->upstreams[0].call_count, 0);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 502);
    assert_int_equal(k->upstreams[1].call_count, 1); /* for a while it is not tried again */
}

/* ---- files ---- */

static void write_file(int folder, const char *name, const char *text)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* As Kubernetes lays them out: token → ..data/token, and ..data → a folder of the day. */
static int token_folder(void)
{
    char path[SCRATCH_MAX];
    assert_true(scratch_folder(path));
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(mkdirat(fd, "..day", 0700), 0);
    write_file(fd, "..day/token", "eyJ.web.identity\n");
    assert_int_equal(symlinkat("..day", fd, "..data"), 0);
    assert_int_equal(symlinkat("..data/token", fd, "token"), 0);
    assert_int_equal(symlinkat("../../etc/passwd", fd, "escapes"), 0);
    assert_int_equal(symlinkat("/etc/passwd", fd, "rooted"), 0);
    token_source_set_folder(fd);
    return fd;
}

FLOW(the_token_of_a_web_identity_may_be_in_a_file)
{
    set_up();
    int folder = token_folder();
    identity_policy(k, NULL, "token");
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    expect_signed(k, &k->upstreams[0].calls[0]);
    token_source_set_folder(-1);
    close(folder);
}

FLOW(no_file_outside_of_the_folder_is_read)
{
    static char *const names[] = {"escapes", "rooted", "../0", "/etc/passwd", "none"};
    set_up();
    int folder = token_folder();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        identity_policy(k, NULL, names[i]);
        struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
        expect_status(c, 502);
        expect_body_has(c, "its token file cannot be read");
    }
    assert_int_equal(k->upstreams[1].call_count, 0);
    token_source_set_folder(-1);
    close(folder);
}

FLOW(without_a_folder_no_file_is_read)
{
    set_up();
    identity_policy(k, NULL, "token");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_body_has(c, "GATEHOUSE_TOKEN_DIR");
}

/* ---- how long it lasts ---- */

FLOW(keys_whose_renewal_fails_serve_until_they_end)
{
    set_up();
    life_s = 5; /* between 4 and 5 s; renewed in its last quarter */
    container_policy(k, "Basic task-token");
    upstream_answers(k, 0, 200, CONVERSED);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    refuses = true;
    uint64_t begin_us = clock_mono_us();
    WAIT(k, clock_mono_us() - begin_us > 3800000);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    WAIT(k, k->upstreams[1].call_count == 2);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    WAIT(k, clock_mono_us() - begin_us > 5000000);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_body_has(c, "the container's credential endpoint refused it with status 401 "
                       "(AuthorizationError)");
}

FLOW(a_credential_that_the_policy_no_longer_has_is_forgotten)
{
    set_up();
    container_policy(k, "Basic task-token");
    upstream_answers(k, 0, 200, CONVERSED);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    container_policy(k, "Basic task-token"); /* the same: nothing is fetched */
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(k->upstreams[1].call_count, 1);
    container_policy(k, "another-token");
    container_policy(k, "Basic task-token");
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(k->upstreams[1].call_count, 2);
}

FLOW(who_waits_for_a_credential_that_goes_is_told)
{
    set_up();
    container_policy(k, "Basic task-token");
    k->upstreams[1].reply = NULL;
    upstream_hangs(k, 1);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    WAIT(k, k->upstreams[1].call_count == 1);
    container_policy(k, "another-token");
    expect_status(c, 502);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(keys_that_are_over_already_are_none)
{
    set_up();
    life_s = -60;
    container_policy(k, "Basic task-token");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_body_has(c, "what it was given is over already");
}

/* ---- Google ---- */

static void metadata_server(struct upstream *u UNUSED, const struct upstream_call *c,
                            struct buf *out)
{
    if (!heard(c, "metadata-flavor", "Google"))
        upstream_reply(out, 403, "Content-Type: text/html\r\n", "Missing Metadata-Flavor");
    else if (!begins(c, "GET /computeMetadata/v1/instance/service-accounts/default/token HTTP"))
        upstream_reply(out, 404, "Content-Type: text/html\r\n", "none");
    else
        upstream_reply(out, 200, refuses ? JSON : JSON "Metadata-Flavor: Google\r\n",
                       "{\"access_token\":\"ya29.of-the-machine\",\"expires_in\":3599,"
                       "\"token_type\":\"Bearer\"}");
}

static void metadata_policy(struct flow *k)
{
    static Gatehouse__CredentialSource s;
    gatehouse__credential_source__init(&s);
    s.type = "gcp_metadata";
    s.project = "my-project";
    policy_with(k, "vertex", &s, "", NULL);
    k->upstreams[1].reply = metadata_server;
    upstream_answers(k, 0, 200, GENERATED);
}

FLOW(the_metadata_server_gives_a_token_for_vertex)
{
    set_up();
    metadata_policy(k);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(k->upstreams[1].call_count, 1);
    const struct upstream_call *call = &k->upstreams[0].calls[1];
    assert_true(begins(call, "POST /v1/projects/my-project/locations/eu-west-1/publishers/google/"
                             "models/m:generateContent HTTP"));
    assert_true(heard(call, "authorization", "Bearer ya29.of-the-machine"));
}

FLOW(what_does_not_say_that_it_is_googles_metadata_server_is_not_believed)
{
    set_up();
    refuses = true;
    metadata_policy(k);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_body_has(c, "what answered is no metadata server of Google");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

static void google(struct upstream *u UNUSED, const struct upstream_call *c, struct buf *out)
{
    char body[256];
    if (begins(c, "GET /subject?audience=x HTTP")) {
        upstream_reply(out, 200, JSON, "{\"count\":1,\"value\":\"eyJ.the+subject\"}");
    } else if (begins(c, "POST /v1/token HTTP") && is_form(c) &&
               has_field(c,
                         "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange") &&
               has_field(c, "audience=%2F%2Fiam.googleapis.com%2Fprojects%2F1%2Fproviders%2Fp") &&
               has_field(c, "scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform") &&
               has_field(c, "requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3A"
                            "access_token") &&
               has_field(c, "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt") &&
               has_field(c, "subject_token=eyJ.the%2Bsubject")) {
        upstream_reply(out, 200, JSON,
                       "{\"access_token\":\"ya29.federated\",\"issued_token_type\":"
                       "\"urn:ietf:params:oauth:token-type:access_token\",\"token_type\":"
                       "\"Bearer\",\"expires_in\":3600}");
    } else if (begins(c, "POST /v1/sa:generateAccessToken HTTP") &&
               heard(c, "authorization", "Bearer ya29.federated") &&
               slice_eq(c->body, SLICE("{\"scope\":[\"https://www.googleapis.com/auth/"
                                       "cloud-platform\"],\"lifetime\":\"3600s\"}"))) {
        snprintf(body, sizeof(body),
                 "{\"accessToken\":\"ya29.impersonated\",\"expireTime\":\"%s\"}", ends());
        upstream_reply(out, 200, JSON, body);
    } else {
        upstream_reply(out, 400, JSON,
                       "{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\"}}");
    }
}

static void external_policy(struct flow *k, bool impersonates, const char *secret)
{
    static Gatehouse__CredentialSource s;
    static char subject[64], impersonation[64];
    gatehouse__credential_source__init(&s);
    snprintf(subject, sizeof(subject), "http://127.0.0.1:%u/subject?audience=x",
             k->upstreams[1].port);
    snprintf(impersonation, sizeof(impersonation), "http://127.0.0.1:%u/v1/sa:generateAccessToken",
             k->upstreams[1].port);
    s.type = "gcp_external_account";
    s.audience = "//iam.googleapis.com/projects/1/providers/p";
    s.project = "my-project";
    s.token_url = secret ? NULL : subject;
    s.token_field = secret ? NULL : "value";
    s.impersonation_url = impersonates ? impersonation : NULL;
    policy_with(k, "vertex", &s, "/v1/token", secret);
    k->upstreams[1].reply = google;
    upstream_answers(k, 0, 200, GENERATED);
}

FLOW(an_account_outside_exchanges_its_token_and_impersonates)
{
    set_up();
    external_policy(k, true, NULL);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(k->upstreams[1].call_count, 3);
    assert_true(heard(&k->upstreams[0].calls[0], "authorization", "Bearer ya29.impersonated"));
}

FLOW(an_exchanged_token_may_be_used_itself)
{
    set_up();
    external_policy(k, false, "eyJ.the+subject");
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_int_equal(k->upstreams[1].call_count, 1);
    assert_true(heard(&k->upstreams[0].calls[0], "authorization", "Bearer ya29.federated"));
}

FLOW(a_subject_that_google_refuses_is_told_by_its_status)
{
    set_up();
    external_policy(k, false, "eyJ.another");
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_body_has(c, "the token exchange refused it with status 400 (INVALID_ARGUMENT)");
}

/* ---- Azure ---- */

static void entra(struct upstream *u UNUSED, const struct upstream_call *c, struct buf *out)
{
    bool whole = begins(c, "POST /t-1/oauth2/v2.0/token HTTP") && is_form(c) &&
                 has_field(c, "grant_type=client_credentials") && has_field(c, "client_id=app-1") &&
                 has_field(c, "scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default");
    bool secret = has_field(c, "client_secret=s3cr3t~value");
    bool assertion = has_field(c, "client_assertion=eyJ.web.identity") &&
                     has_field(c, "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-"
                                  "assertion-type%3Ajwt-bearer");
    if (whole && secret != assertion)
        upstream_reply(out, 200, JSON,
                       "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"ext_expires_in\":3599,"
                       "\"access_token\":\"opaque-token\"}");
    else
        upstream_reply(out, 401, JSON,
                       "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215\"}");
}

static void entra_policy(struct flow *k, const char *secret, char *file)
{
    static Gatehouse__CredentialSource s;
    gatehouse__credential_source__init(&s);
    s.type = "azure_client";
    s.tenant = "t-1";
    s.client_id = "app-1";
    s.token_file = file;
    policy_with(k, "azure", &s, "/t-1/oauth2/v2.0/token", secret);
    k->upstreams[1].reply = entra;
    upstream_answers(k, 0, 200, COMPLETED);
}

FLOW(a_client_of_entra_id_is_known_by_its_token)
{
    set_up();
    entra_policy(k, "s3cr3t~value", NULL);
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_true(heard(&k->upstreams[0].calls[0], "authorization", "Bearer opaque-token"));
    assert_null(upstream_heard(&k->upstreams[0].calls[0], "api-key").ptr);
}

FLOW(a_workload_of_entra_id_shows_its_assertion)
{
    set_up();
    int folder = token_folder();
    entra_policy(k, NULL, "token");
    expect_status(client_posts(k, "alice", CHAT, NULL, HELLO), 200);
    assert_true(heard(&k->upstreams[0].calls[0], "authorization", "Bearer opaque-token"));
    token_source_set_folder(-1);
    close(folder);
}

FLOW(a_wrong_client_secret_is_told_without_it)
{
    set_up();
    entra_policy(k, "wrong-secret", NULL);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, HELLO);
    expect_status(c, 502);
    expect_body_has(c, "refused it with status 401 (invalid_client)");
    assert_true(slice_search(buf_slice(&c->body), SLICE("wrong-secret")) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(keys_of_a_container_sign_and_are_fetched_once_for_all_who_wait),
        SCENARIO(an_instance_says_its_role_and_its_keys_within_a_session),
        SCENARIO(a_role_that_is_given_is_not_asked_for),
        SCENARIO(a_web_identity_assumes_its_role),
        SCENARIO(what_sts_refuses_is_told_by_its_word_and_nothing_else_of_it),
        SCENARIO(the_token_of_a_web_identity_may_be_in_a_file),
        SCENARIO(no_file_outside_of_the_folder_is_read),
        SCENARIO(without_a_folder_no_file_is_read),
        SCENARIO(keys_whose_renewal_fails_serve_until_they_end),
        SCENARIO(a_credential_that_the_policy_no_longer_has_is_forgotten),
        SCENARIO(who_waits_for_a_credential_that_goes_is_told),
        SCENARIO(keys_that_are_over_already_are_none),
        SCENARIO(the_metadata_server_gives_a_token_for_vertex),
        SCENARIO(what_does_not_say_that_it_is_googles_metadata_server_is_not_believed),
        SCENARIO(an_account_outside_exchanges_its_token_and_impersonates),
        SCENARIO(an_exchanged_token_may_be_used_itself),
        SCENARIO(a_subject_that_google_refuses_is_told_by_its_status),
        SCENARIO(a_client_of_entra_id_is_known_by_its_token),
        SCENARIO(a_workload_of_entra_id_shows_its_assertion),
        SCENARIO(a_wrong_client_secret_is_told_without_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
