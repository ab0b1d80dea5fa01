/* uploads — forms with a file: what streams, at whose pace, what is held of it, and how it ends. */
#include <malloc.h>
#include <stdio.h>

#include "common/base/limits.h"
#include "tests/kit/flow/flow.h"

#define MB ((size_t)1024 * 1024)
#define FIELD(name, value)                                                                         \
    "--xyz\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_HEAD                                                                                  \
    "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n"               \
    "Content-Type: audio/mpeg\r\n\r\n"
#define END "\r\n--xyz--\r\n"
#define SPOKEN "/v1/audio/transcriptions"
#define HEARD                                                                                      \
    "{\"text\":\"hi\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":1000,\"output_tokens\":20}}"

static const struct flow_policy policy = {
    .keys = {{.name = "alice", .models = {"ear"}},
             {.name = "bob", .models = {"ear", "gpt"}},
             {.name = "carol", .models = {"ear"}, .budget = MONEY_DOLLAR},
             {.name = "dave", .models = {"ear"}, .parallel = 1}},
    .models =
        {{.name = "ear", .target_model = "large-ear", .upstreams = {0, 1}, .upstream_count = 2},
         {.name = "gpt", .target_model = "gpt-x", .upstreams = {0}, .upstream_count = 1}},
};

/* What the heap holds now. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
size_t __sanitizer_get_current_allocated_bytes(void);
static size_t allocated(void)
{
    return __sanitizer_get_current_allocated_bytes();
}
#else
static size_t allocated(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}
#endif

/* length 0: in chunks */
static struct flow_client *begins(struct flow *k, const char *key, const char *path,
                                  const char *front, size_t length)
{
    char framing[64] = "Transfer-Encoding: chunked", request[2048];
    if (length)
        snprintf(framing, sizeof(framing), "Content-Length: %zu", length);
    snprintf(request, sizeof(request),
             "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: multipart/form-data; boundary=xyz\r\n%s\r\n\r\n%s",
             path, flow_secret(k, key), framing, front);
    return client_says(k, request);
}

/* The file's bytes are on their way, or the gateway has answered; returns the most that the heap
 * held meanwhile. */
static size_t uploads(struct flow *k, struct flow_client *c, size_t len)
{
    size_t most = 0, left = len;
    uint64_t until = flow_now_ms() + FLOW_WAIT_MS;
    client_uploads(c, len);
    while (c->upload && !c->whole && !c->closed) {
        flow_turn(k);
        size_t now = allocated();
        most = now > most ? now : most;
        if (c->upload < left)
            until = flow_now_ms() + FLOW_WAIT_MS;
        left = c->upload;
        if (flow_now_ms() > until)
            fail_msg("%zu bytes wait in vain", left);
    }
    return most;
}

/* A form of these fields and a file of zeros. */
static struct flow_client *sends(struct flow *k, const char *key, const char *path,
                                 const char *fields, size_t len, const char *end)
{
    char front[1024];
    snprintf(front, sizeof(front), "%s" FILE_HEAD, fields);
    struct flow_client *c = begins(k, key, path, front, strlen(front) + len + strlen(end));
    uploads(k, c, len);
    if (!c->whole && !c->closed)
        client_adds(c, end);
    return c;
}

static Gatehouse__JournalRecord *record(struct flow *k)
{
    WAIT(k, k->env.request_count == 0);
    Gatehouse__JournalRecord *r = flow_record(k);
    assert_non_null(r);
    return r;
}

static void expect_record(struct flow *k, const char *status, size_t attempts)
{
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->status, status);
    assert_int_equal(r->n_attempts, attempts);
    flow_record_free(r);
}

/* Sent whole by its name, and nothing of it was changed but the model. */
static void expect_taken(const struct upstream *up, size_t i, const char *fields, size_t len,
                         const char *end)
{
    char front[1024];
    const struct upstream_call *call = &up->calls[i];
    snprintf(front, sizeof(front), "%s" FILE_HEAD, fields);
    assert_true(up->call_count > i);
    assert_true(slice_starts(call->body, slice_str(front)));
    assert_int_equal(call->taken, strlen(front) + len + strlen(end));
    size_t n = strlen(end) < sizeof(call->end) ? strlen(end) : sizeof(call->end);
    assert_memory_equal(call->end + sizeof(call->end) - n, end + strlen(end) - n, n);
}

FLOW(a_file_of_200_mb_streams_and_little_of_it_is_held)
{
    static const size_t len = 200 * MB;
    char front[] = FIELD("model", "ear") FIELD("language", "en") FILE_HEAD;
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, HEARD);
    k->upstreams[0].swallows = true;
    size_t before = allocated();
    struct flow_client *c = begins(k, "alice", SPOKEN, front, strlen(front) + len + strlen(END));
    size_t most = uploads(k, c, len);
    client_adds(c, END);
    expect_status(c, 200);
    expect_body(c, HEARD);
    if (most > before + 2 * MB) /* with what client and upstream of the kit hold themselves */
        fail_msg("%zu bytes more were held", most - before);
    expect_taken(&k->upstreams[0], 0, FIELD("model", "large-ear") FIELD("language", "en"), len,
                 END);
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->status, "ok");
    assert_string_equal(r->span->usage_source, "provider");
    assert_int_equal(r->span->tokens->input, 1000);
    assert_int_equal(r->span->tokens->output, 20);
    assert_int_equal(r->span->cost_nano, 1040000);
    flow_record_free(r);
}

FLOW(a_target_that_does_not_read_holds_the_client_and_loses_nothing)
{
    char front[] = FIELD("model", "ear") FILE_HEAD;
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, HEARD);
    k->upstreams[0].swallows = k->upstreams[0].deaf = true;
    struct flow_client *c =
        begins(k, "alice", SPOKEN, front, strlen(front) + 48 * MB + strlen(END));
    client_uploads(c, 48 * MB);
    for (int i = 0; i < 100; i++)
        flow_turn(k);
    assert_true(c->upload > 0);
    upstream_reads_on(k, 0);
    WAIT(k, c->upload == 0);
    client_adds(c, END);
    expect_status(c, 200);
    expect_taken(&k->upstreams[0], 0, FIELD("model", "large-ear"), 48 * MB, END);
}

FLOW(a_form_in_chunks_streams_too)
{
    static char chunk[4 * 65536];
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, HEARD);
    k->upstreams[0].swallows = true;
    struct flow_client *c = begins(k, "alice", SPOKEN, "", 0);
    char line[256];
    static const char front[] = FIELD("model", "ear") FILE_HEAD;
    snprintf(line, sizeof(line), "%zx\r\n%s\r\n", strlen(front), front);
    client_adds(c, line);
    memset(chunk, 'x', sizeof(chunk) - 1);
    for (int i = 0; i < 8; i++) {
        snprintf(line, sizeof(line), "%zx\r\n", strlen(chunk));
        client_adds(c, line);
        client_adds(c, chunk);
        client_adds(c, "\r\n");
        WAIT(k, stream_pending(c->stream) == 0);
    }
    snprintf(line, sizeof(line), "%zx\r\n%s\r\n0\r\n\r\n", strlen(END), END);
    client_adds(c, line);
    expect_status(c, 200);
    expect_taken(&k->upstreams[0], 0, FIELD("model", "large-ear"), 8 * strlen(chunk), END);
    assert_true(
        slice_eq(upstream_heard(&k->upstreams[0].calls[0], "transfer-encoding"), SLICE("chunked")));
}

static size_t connections(const struct upstream *up)
{
    size_t n = 0;
    LIST_EACH(&up->conns, it)
    {
        n++;
    }
    return n;
}

/* A server may close a kept one just then, and what was streamed could not be sent again. */
FLOW(an_upload_is_given_no_kept_connection)
{
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, HEARD);
    k->upstreams[0].swallows = true;
    expect_status(sends(k, "alice", SPOKEN, FIELD("model", "ear"), 100, END), 200);
    expect_status(sends(k, "alice", SPOKEN, FIELD("model", "ear"), 100, END), 200);
    assert_int_equal(connections(&k->upstreams[0]), 1);
    expect_status(sends(k, "alice", SPOKEN, FIELD("model", "ear"), MB, END), 200);
    assert_int_equal(connections(&k->upstreams[0]), 2);
}

/* ---- how it ends otherwise ---- */

FLOW(a_target_that_is_not_there_costs_nothing_and_the_next_one_has_it_all)
{
    policy_says(k, &policy);
    listener_close(&k->upstreams[0].listener);
    upstream_answers(k, 1, 200, HEARD);
    k->upstreams[1].swallows = true;
    struct flow_client *c = sends(k, "alice", SPOKEN, FIELD("model", "ear"), 4 * MB, END);
    expect_status(c, 200);
    expect_taken(&k->upstreams[1], 0, FIELD("model", "large-ear"), 4 * MB, END);
    expect_record(k, "ok", 2);
}

/* All that was taken from the client is its front, so that even a target that had it all may fail.
 */
FLOW(a_form_that_is_all_front_is_sent_again_with_its_end)
{
    static char file[LIMIT_BODY_FRONT];
    char line[256];
    static const char front[] = FIELD("model", "ear") FILE_HEAD;
    policy_says(k, &policy);
    upstream_answers(k, 0, 503, "{\"error\":{\"message\":\"busy\"}}");
    upstream_answers(k, 1, 200, HEARD);
    k->upstreams[0].swallows = k->upstreams[1].swallows = true;
    memset(file, 'x', sizeof(file) - strlen(front) - strlen(END)); /* the front to the byte */
    struct flow_client *c = begins(k, "alice", SPOKEN, "", 0);
    snprintf(line, sizeof(line), "%zx\r\n%s", strlen(front) + strlen(file) + strlen(END), front);
    client_adds(c, line);
    client_adds(c, file);
    client_adds(c, END "\r\n");
    WAIT(k, k->upstreams[0].calls[0].taken ==
                sizeof("large-ear") - sizeof("ear") + strlen(front) + strlen(file) + strlen(END));
    client_adds(c, "0\r\n\r\n");
    expect_status(c, 200);
    expect_taken(&k->upstreams[1], 0, FIELD("model", "large-ear"), strlen(file), END);
    expect_record(k, "ok", 2);
}

/* What was sent to it is gone: no other target could be given the whole. */
FLOW(a_target_that_dies_inside_the_upload_is_the_calls_failure)
{
    policy_says(k, &policy);
    k->upstreams[0].hasty = true; /* it dies as soon as the request's head has come */
    upstream_cuts(k, 0);
    upstream_answers(k, 1, 200, HEARD);
    k->upstreams[1].swallows = true;
    struct flow_client *c = sends(k, "alice", SPOKEN, FIELD("model", "ear"), 48 * MB, END);
    expect_status(c, 502);
    expect_code(c, "upstream_error");
    assert_int_equal(k->upstreams[1].call_count, 0);
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->status, "error");
    assert_int_equal(r->n_attempts, 1);
    assert_null(r->span->tokens);
    flow_record_free(r);
}

FLOW(a_refusal_inside_the_upload_is_told_at_once)
{
    policy_says(k, &policy);
    k->upstreams[0].hasty = true;
    upstream_answers(k, 0, 400, "{\"error\":{\"message\":\"too long\",\"code\":null}}");
    struct flow_client *c = sends(k, "alice", SPOKEN, FIELD("model", "ear"), 48 * MB, END);
    expect_status(c, 400);
    expect_body_has(c, "too long");
    expect_record(k, "error", 1);
}

FLOW(a_client_that_leaves_inside_the_upload_ends_it)
{
    char front[] = FIELD("model", "ear") FILE_HEAD;
    policy_says(k, &policy);
    k->upstreams[0].swallows = true;
    struct flow_client *c = begins(k, "alice", SPOKEN, front, strlen(front) + 4 * MB + strlen(END));
    uploads(k, c, 2 * MB);
    WAIT(k, k->upstreams[0].calls[0].taken > MB);
    client_hangs_up(c);
    Gatehouse__JournalRecord *r = record(k);
    assert_string_equal(r->span->status, "cancelled");
    assert_null(r->span->tokens);
    flow_record_free(r);
    assert_int_equal(k->upstreams[0].call_count, 0); /* never whole */
}

FLOW(a_key_that_is_taken_away_ends_it)
{
    struct flow_policy taken = policy;
    char front[] = FIELD("model", "ear") FILE_HEAD;
    taken.keys[0].revoked = true;
    policy_says(k, &policy);
    k->upstreams[0].swallows = true;
    struct flow_client *c = begins(k, "alice", SPOKEN, front, strlen(front) + 4 * MB + strlen(END));
    uploads(k, c, 2 * MB);
    WAIT(k, k->upstreams[0].calls[0].taken > MB);
    policy_says(k, &taken);
    expect_status(c, 401);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

/* ---- what stands where ---- */

FLOW(a_model_that_may_not_be_used_is_refused_before_the_file)
{
    char front[] = FIELD("model", "other") FILE_HEAD;
    policy_says(k, &policy);
    struct flow_client *c =
        begins(k, "alice", SPOKEN, front, strlen(front) + 400 * MB + strlen(END));
    uploads(k, c, MB);
    expect_status(c, 404);
    expect_code(c, "model_not_found");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

FLOW(under_a_budget_it_is_refused_before_the_file)
{
    char front[] = FIELD("model", "ear") FILE_HEAD;
    policy_says(k, &policy);
    struct flow_client *c =
        begins(k, "carol", SPOKEN, front, strlen(front) + 400 * MB + strlen(END));
    uploads(k, c, MB);
    expect_status(c, 400);
    expect_code(c, "unbounded_cost");
    assert_int_equal(k->upstreams[0].call_count, 0);
    assert_int_equal(flow_taken(k, "key:k_carol"), 0);
}

FLOW(an_upload_takes_one_of_the_calls_at_a_time_and_gives_it_back)
{
    char front[] = FIELD("model", "ear") FILE_HEAD;
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, HEARD);
    k->upstreams[0].swallows = true;
    struct flow_client *c = begins(k, "dave", SPOKEN, front, strlen(front) + 4 * MB + strlen(END));
    uploads(k, c, 2 * MB);
    WAIT(k, k->upstreams[0].calls[0].taken > MB);
    expect_status(sends(k, "dave", SPOKEN, FIELD("model", "ear"), MB, END), 429);
    client_hangs_up(c);
    WAIT(k, k->env.request_count == 0);
    expect_status(sends(k, "dave", SPOKEN, FIELD("model", "ear"), MB, END), 200);
}

FLOW(a_model_behind_the_file_is_awaited_up_to_the_ceiling)
{
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, HEARD);
    k->upstreams[0].swallows = true;
    struct flow_client *c =
        sends(k, "alice", SPOKEN, "", 4 * MB, "\r\n" FIELD("model", "ear") "--xyz--\r\n");
    expect_status(c, 200);
    expect_taken(&k->upstreams[0], 0, "", 4 * MB, "\r\n" FIELD("model", "large-ear") "--xyz--\r\n");

    c = sends(k, "alice", SPOKEN, "", 33 * MB, "\r\n" FIELD("model", "ear") "--xyz--\r\n");
    expect_status(c, 413);
    expect_body_has(c, "send its fields before its file");
    assert_int_equal(k->upstreams[0].call_count, 1);
}

/* The deployment of the path counts, whatever the form says. */
FLOW(a_form_for_a_deployment_of_azure_streams_under_its_name)
{
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, HEARD);
    k->upstreams[0].swallows = true;
    struct flow_client *c =
        sends(k, "alice", "/openai/deployments/ear/audio/transcriptions?api-version=1",
              FIELD("model", "any"), 40 * MB, END);
    expect_status(c, 200);
    expect_taken(&k->upstreams[0], 0, FIELD("model", "large-ear"), 40 * MB, END);
}

struct end_row {
    const char *fields, *end, *says;
};

/* Some reader would take the second, or what stands behind the end. None is given the whole. */
FLOW(what_must_not_stand_behind_the_front_ends_the_call)
{
    static const struct end_row rows[] = {
        {FIELD("model", "ear"), "\r\n" FIELD("model", "gpt") "--xyz--\r\n",
         "model must be one field of the form"},
        {FIELD("model", "ear"),
         "\r\n--xyz\r\nContent-Disposition: form-data; name=\"model\"; filename=\"a\"\r\n\r\n"
         "gpt" END,
         "model must be one field of the form"},
        {FIELD("model", "ear"), END FIELD("model", "gpt") "--xyz--\r\n",
         "something stands behind the end of the form"},
        {FIELD("model", "ear"), "\r\n--xyz\r\nX: y\r\n\r\ngpt" END,
         "a part of the form has no name"},
        {FIELD("model", "ear"), "\r\n--xyz-", "the form has no end"},
    };
    policy_says(k, &policy);
    k->upstreams[0].swallows = true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct flow_client *c = sends(k, "bob", SPOKEN, rows[i].fields, 2 * MB, rows[i].end);
        WAIT(k, c->whole || c->closed);
        if (c->head.status != 400 || slice_search(buf_slice(&c->body), slice_str(rows[i].says)) < 0)
            fail_msg("%s: %u %.*s", rows[i].end, c->head.status, SLICE_ARG(buf_slice(&c->body)));
        if (k->upstreams[0].call_count)
            fail_msg("%s: the target has the whole", rows[i].end);
        expect_record(k, "refused", 1);
    }
}

FLOW(a_stream_that_is_asked_for_behind_the_file_is_one)
{
    policy_says(k, &policy);
    upstream_opens_stream(k, 0);
    upstream_sends(k, 0, "data: {\"type\":\"transcript.text.delta\",\"delta\":\"hi\"}\n\n");
    upstream_sends(k, 0, "data: {\"type\":\"transcript.text.done\",\"text\":\"hi\"}\n\n");
    upstream_ends_stream(k, 0);
    k->upstreams[0].swallows = true;
    struct flow_client *c = sends(k, "alice", SPOKEN, FIELD("model", "ear"), 2 * MB,
                                  "\r\n" FIELD("stream", "true") "--xyz--\r\n");
    expect_status(c, 200);
    assert_true(slice_eq(client_header(c, "content-type"), SLICE("text/event-stream")));
    expect_body_has(c, "transcript.text.done");
}

FLOW(an_uploads_ceiling_is_its_own)
{
    char front[] = FIELD("model", "ear") FILE_HEAD;
    policy_says(k, &policy);
    k->env.upload_max = 3 * MB;
    k->env.body_max[GATE_AI] = MB;
    k->upstreams[0].swallows = true;
    upstream_answers(k, 0, 200, HEARD);
    struct flow_client *c = sends(k, "alice", SPOKEN, FIELD("model", "ear"), 2 * MB, END);
    expect_status(c, 200);
    c = begins(k, "alice", SPOKEN, front, 3 * MB + 1); /* refused by its head */
    expect_status(c, 413);

    c = begins(k, "alice", SPOKEN, "", 0);
    client_adds(c, "99999999\r\n");
    client_adds(c, front);
    uploads(k, c, 5 * MB);
    expect_status(c, 413);
    expect_body_has(c, "3145728 bytes");
    assert_int_equal(k->upstreams[0].call_count, 1);
}

/* ---- files that a provider keeps ---- */

FLOW(a_file_of_a_named_purpose_streams)
{
    policy_says(k, &policy);
    k->upstreams[0].swallows = true;
    upstream_answers(k, 0, 200, "{\"id\":\"file-1\",\"object\":\"file\"}");
    struct flow_client *c =
        sends(k, "bob", "/v1/files", FIELD("purpose", "assistants"), 48 * MB, END);
    expect_status(c, 200);
    expect_taken(&k->upstreams[0], 0, FIELD("purpose", "assistants"), 48 * MB, END);

    c = sends(k, "bob", "/v1/files", FIELD("purpose", "assistants"), 2 * MB,
              "\r\n" FIELD("purpose", "batch") "--xyz--\r\n");
    expect_status(c, 400);
    expect_body_has(c, "purpose must be one field of the form");
    assert_int_equal(k->upstreams[0].call_count, 1);
}

/* Its lines are looked at, so that all of them must be there. */
FLOW(a_large_batch_is_read_before_it_goes_on)
{
    policy_says(k, &policy);
    struct flow_client *c = sends(k, "bob", "/v1/files", FIELD("purpose", "batch"), 2 * MB, END);
    expect_status(c, 400);
    expect_body_has(c, "line 1 of the batch");
    assert_int_equal(k->upstreams[0].call_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_file_of_200_mb_streams_and_little_of_it_is_held),
        SCENARIO(a_target_that_does_not_read_holds_the_client_and_loses_nothing),
        SCENARIO(a_form_in_chunks_streams_too),
        SCENARIO(an_upload_is_given_no_kept_connection),
        SCENARIO(a_target_that_is_not_there_costs_nothing_and_the_next_one_has_it_all),
        SCENARIO(a_form_that_is_all_front_is_sent_again_with_its_end),
        SCENARIO(a_target_that_dies_inside_the_upload_is_the_calls_failure),
        SCENARIO(a_refusal_inside_the_upload_is_told_at_once),
        SCENARIO(a_client_that_leaves_inside_the_upload_ends_it),
        SCENARIO(a_key_that_is_taken_away_ends_it),
        SCENARIO(a_model_that_may_not_be_used_is_refused_before_the_file),
        SCENARIO(under_a_budget_it_is_refused_before_the_file),
        SCENARIO(an_upload_takes_one_of_the_calls_at_a_time_and_gives_it_back),
        SCENARIO(a_model_behind_the_file_is_awaited_up_to_the_ceiling),
        SCENARIO(a_form_for_a_deployment_of_azure_streams_under_its_name),
        SCENARIO(what_must_not_stand_behind_the_front_ends_the_call),
        SCENARIO(a_stream_that_is_asked_for_behind_the_file_is_one),
        SCENARIO(an_uploads_ceiling_is_its_own),
        SCENARIO(a_file_of_a_named_purpose_streams),
        SCENARIO(a_large_batch_is_read_before_it_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
