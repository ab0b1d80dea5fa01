/* response — a filter's sink sees plain responses, refusals and streams alike, may change, hold
 * back or refuse them; and the end of all of them waits for the record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <uv.h>

#include "common/net/loop.h"
#include "common/request/request.h"

static struct {
    struct loop *loop;
    struct request_env env;
    struct client client;
    char story[512];
    char body[512];
    unsigned status;
    uint64_t length;
    char header[64]; /* the one a filter adds */
    bool ended, aborted, full;
    bool last_refuses;
    unsigned drains;
} t;

static void note(const char *word)
{
    strcat(t.story, word);
    strcat(t.story, " ");
}

/* ---- the client ---- */

static void keep_head(const struct response_head *h)
{
    t.status = h->status;
    t.length = h->length;
    for (size_t i = 0; i < h->header_count; i++)
        if (slice_eq(h->headers[i].name, SLICE("x-seen")))
            snprintf(t.header, sizeof(t.header), "%.*s", SLICE_ARG(h->headers[i].value));
}
static enum sink_result client_head(struct response_sink *s UNUSED, const struct response_head *h)
{
    note("head");
    keep_head(h);
    return SINK_OK;
}
static enum sink_result client_data(struct response_sink *s UNUSED, struct slice data)
{
    strncat(t.body, data.ptr, data.len);
    return t.full ? SINK_FULL : SINK_OK;
}
static enum sink_result client_end(struct response_sink *s UNUSED)
{
    note("end");
    t.ended = true;
    return SINK_OK;
}
static void client_abort(struct response_sink *s UNUSED)
{
    note("abort");
    t.aborted = true;
}
static void client_whole(struct client *c UNUSED, const struct response_head *h, struct slice body)
{
    note("whole");
    keep_head(h);
    t.ended = true;
    strncat(t.body, body.ptr, body.len);
}
static const struct response_ops client_sink = {
    .head = client_head, .data = client_data, .end = client_end, .abort = client_abort};
static const struct client_ops client_ops = {.whole = client_whole};

/* ---- a filter that adds a header and turns letters into capitals ---- */

struct upper {
    struct response_sink sink;
};

static enum sink_result upper_head(struct response_sink *s, const struct response_head *h)
{
    struct http_header all[8];
    size_t n = 0;
    for (; n < h->header_count; n++)
        all[n] = h->headers[n];
    all[n++] = (struct http_header){SLICE("x-seen"), SLICE("upper")};
    return sink_head(s->next, &(struct response_head){h->status, all, n, h->length});
}
static enum sink_result upper_data(struct response_sink *s, struct slice data)
{
    struct slice copy = arena_copy(s->rq->arena, data);
    for (size_t i = 0; i < copy.len; i++)
        if (copy.ptr[i] >= 'a' && copy.ptr[i] <= 'z')
            ((char *)(uintptr_t)copy.ptr)[i] -= 32;
    return sink_data(s->next, copy);
}
static const struct response_ops upper_ops = {.head = upper_head, .data = upper_data};

static enum filter_result pass(struct request *rq UNUSED)
{
    return FILTER_PASS;
}
static const struct filter upper;
static struct response_sink *upper_on_response(struct request *rq)
{
    struct upper *u = filter_state(rq, &upper);
    u->sink.ops = &upper_ops;
    return &u->sink;
}
static void upper_finish(struct request *rq UNUSED)
{
    note("upper-finished");
}
static void recorded(struct request *rq UNUSED)
{
    note("recorded");
}
static const struct filter upper = {.name = "upper",
                                    .slot = FILTER_OWN,
                                    .state_size = sizeof(struct upper),
                                    .on_request = pass,
                                    .on_response = upper_on_response,
                                    .on_finish = upper_finish,
                                    .on_recorded = recorded};

/* ---- a filter that holds the last five bytes back, and refuses what holds "bad" ---- */

struct guard {
    struct response_sink sink;
    struct buf held;
};

static const struct filter guard;

static enum sink_result refuse(struct response_sink *s)
{
    request_refuse(s->rq, REFUSAL_ARGUMENT, SLICE("bad"));
    return SINK_REFUSED;
}
static enum sink_result guard_data(struct response_sink *s, struct slice data)
{
    struct guard *g = CONTAINER_OF(s, struct guard, sink);
    assert_int_equal(buf_append(&g->held, data), ERR_OK);
    if (slice_search(buf_slice(&g->held), SLICE("bad")) >= 0)
        return refuse(s);
    if (g->held.len <= 5)
        return SINK_OK;
    struct slice ready = slice_first(buf_slice(&g->held), g->held.len - 5);
    enum sink_result r = sink_data(s->next, ready);
    buf_eat(&g->held, ready.len);
    return r;
}
static enum sink_result guard_end(struct response_sink *s)
{
    struct guard *g = CONTAINER_OF(s, struct guard, sink);
    note("guard-end");
    if (t.last_refuses)
        return refuse(s);
    enum sink_result r = sink_data(s->next, buf_slice(&g->held));
    buf_clear(&g->held);
    return r > SINK_FULL ? r : sink_end(s->next);
}
static void guard_abort(struct response_sink *s)
{
    note("guard-abort");
    sink_abort(s->next);
}
static void guard_drain(struct response_sink *s)
{
    t.drains++;
    sink_drained(s);
}
static const struct response_ops guard_ops = {
    .data = guard_data, .end = guard_end, .abort = guard_abort, .drain = guard_drain};
static struct response_sink *guard_on_response(struct request *rq)
{
    struct guard *g = filter_state(rq, &guard);
    buf_init(&g->held, 256);
    g->sink.ops = &guard_ops;
    return &g->sink;
}
static void guard_finish(struct request *rq)
{
    struct guard *g = filter_state(rq, &guard);
    note("guard-finished");
    buf_fini(&g->held);
}
static const struct filter guard = {.name = "guard",
                                    .slot = FILTER_OWN + 1,
                                    .state_size = sizeof(struct guard),
                                    .on_request = pass,
                                    .on_response = guard_on_response,
                                    .on_finish = guard_finish};

/* ---- one that refuses the request ---- */

static enum filter_result say_no(struct request *rq)
{
    request_refuse(rq, REFUSAL_RATE, SLICE("slowly"));
    return FILTER_REFUSE;
}
static const struct filter no = {.name = "no", .on_request = say_no};

/* ---- the gate ---- */

static void work(struct request *rq UNUSED)
{
}
static void cancel(struct request *rq)
{
    request_finish_as(rq, OUTCOME_CANCELLED);
}
static void on_drain(struct request *rq UNUSED)
{
    note("drained");
}
static enum err refusal_body(struct request *rq, struct buf *out, const char **type)
{
    *type = "text/plain";
    return buf_append(out, slice_str(refusal_row(rq->refusal.id)->code));
}
static enum err stream_error(struct request *rq, struct buf *out)
{
    return buf_printf(out, "error: %s", refusal_row(rq->refusal.id)->code);
}

static const struct filter *const plain[] = {NULL};
static const struct filter *const both[] = {&upper, &guard, NULL};
static const struct filter *const refusing[] = {&upper, &guard, &no, NULL};

static struct request *start(const struct filter *const *filters)
{
    static const struct http_head head;
    static struct gate gate = {.work = work,
                               .cancel = cancel,
                               .on_drain = on_drain,
                               .refusal_body = refusal_body,
                               .stream_error = stream_error};
    gate.filters = filters;
    struct request *rq = request_new(&t.env, &gate, &t.client, &head, SLICE("peer"));
    assert_non_null(rq);
    request_start(rq);
    return rq;
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    request_env_init(&t.env);
    t.client = (struct client){.sink = {.ops = &client_sink}, .ops = &client_ops};
    if (loop_new(&t.loop))
        return -1;
    t.env.loop = t.loop;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(t.loop);
    request_env_fini(&t.env);
    return 0;
}

static void finish_whole(struct request *rq, struct slice body)
{
    request_finish(rq, &(struct request_end){.outcome = OUTCOME_OK, .status = 200, .body = body});
}

static void a_plain_response_passes_every_sink_before_the_record(void **state)
{
    (void)state;
    finish_whole(start(both), SLICE("all of it"));
    assert_string_equal(t.body, "ALL OF IT");
    assert_string_equal(t.header, "upper");
    assert_int_equal(t.status, 200);
    assert_int_equal(t.length, 9);
    assert_string_equal(t.story, "guard-end guard-finished upper-finished recorded whole ");
}

static void a_refusal_passes_the_sinks_of_the_filters_that_passed(void **state)
{
    (void)state;
    start(refusing);
    assert_string_equal(t.body, "RATE_LIMIT_EXCEEDED");
    assert_int_equal(t.status, 429);
    assert_string_equal(t.header, "upper");
}

static void a_stream_passes_them_piece_by_piece_and_its_end_waits_for_the_record(void **state)
{
    (void)state;
    struct request *rq = start(both);
    assert_int_equal(response_begin(rq, 200, NULL, 0, UINT64_MAX), SINK_OK);
    assert_int_equal(response_write(rq, SLICE("one two ")), SINK_OK);
    assert_string_equal(t.body, "ONE"); /* the last five are held back */
    assert_int_equal(response_write(rq, SLICE("three")), SINK_OK);
    assert_string_equal(t.body, "ONE TWO ");
    request_finish(rq, &(struct request_end){.outcome = OUTCOME_OK, .body = SLICE(" four")});
    assert_string_equal(t.body, "ONE TWO THREE FOUR");
    assert_string_equal(t.story, "head guard-end guard-finished upper-finished recorded end ");
}

static void a_filter_that_refuses_in_mid_stream_is_told_in_band(void **state)
{
    (void)state;
    struct request *rq = start(both);
    assert_int_equal(response_begin(rq, 200, NULL, 0, UINT64_MAX), SINK_OK);
    assert_int_equal(response_write(rq, SLICE("good ")), SINK_OK);
    assert_int_equal(response_write(rq, SLICE("bad ")), SINK_REFUSED);
    assert_int_equal(rq->stage, REQUEST_WORK); /* the gate ends it, having let its upstream go */
    request_finish_as(rq, OUTCOME_REFUSED);
    assert_string_equal(t.body, "error: argument_not_allowed");
    assert_true(t.ended && !t.aborted);
}

static void a_filter_may_refuse_at_the_very_end_of_a_stream(void **state)
{
    (void)state;
    struct request *rq = start(both);
    assert_int_equal(response_begin(rq, 200, NULL, 0, UINT64_MAX), SINK_OK);
    assert_int_equal(response_write(rq, SLICE("one two")), SINK_OK);
    t.last_refuses = true;
    request_finish(rq, &(struct request_end){.outcome = OUTCOME_OK, .body = SLICE(" three")});
    assert_int_equal(rq->end, OUTCOME_REFUSED);
    assert_string_equal(t.body, "ONerror: argument_not_allowed");
    assert_true(t.ended && !t.aborted);
}

static void a_filter_may_refuse_a_plain_response_of_which_the_client_saw_nothing(void **state)
{
    (void)state;
    finish_whole(start(both), SLICE("all of it is bad"));
    assert_int_equal(t.status, 403);
    assert_string_equal(t.body, "argument_not_allowed");
    assert_int_equal(t.header[0], 0); /* it does not pass the filters again */
}

static void a_stream_that_is_cut_leaves_nothing_held_behind(void **state)
{
    (void)state;
    struct request *rq = start(both);
    assert_int_equal(response_begin(rq, 200, NULL, 0, UINT64_MAX), SINK_OK);
    assert_int_equal(response_write(rq, SLICE("one")), SINK_OK);
    request_finish(rq, &(struct request_end){.outcome = OUTCOME_ERROR, .cut = true});
    assert_string_equal(t.body, "");
    assert_string_equal(t.story, "head guard-abort guard-finished upper-finished recorded abort ");
}

static void a_client_that_is_gone_hears_nothing_and_its_filters_finish(void **state)
{
    (void)state;
    struct request *rq = start(both);
    assert_int_equal(response_begin(rq, 200, NULL, 0, UINT64_MAX), SINK_OK);
    request_on_gone(rq);
    assert_string_equal(t.story, "head guard-abort guard-finished upper-finished recorded end ");
}

static void back_pressure_runs_from_the_client_through_the_sinks_to_the_gate(void **state)
{
    (void)state;
    struct request *rq = start(both);
    assert_int_equal(response_begin(rq, 200, NULL, 0, UINT64_MAX), SINK_OK);
    t.full = true;
    assert_int_equal(response_write(rq, SLICE("one two three")), SINK_FULL);
    assert_true(response_is_full(rq));
    t.story[0] = 0;
    request_on_drain(rq);
    assert_string_equal(t.story, "drained ");
    assert_int_equal(t.drains, 1);
    assert_false(response_is_full(rq));
    request_finish_as(rq, OUTCOME_OK);
}

static void an_error_of_a_stream_that_was_begun_is_told_in_band(void **state)
{
    (void)state;
    struct request *rq = start(plain);
    assert_false(response_is_heard(rq, NULL));
    assert_int_equal(response_begin(rq, 200, NULL, 0, UINT64_MAX), SINK_OK);
    assert_int_equal(response_write(rq, SLICE("one ")), SINK_OK);
    request_refuse(rq, REFUSAL_UPSTREAM, SLICE("it is away"));
    request_finish_as(rq, OUTCOME_ERROR);
    assert_string_equal(t.body, "one error: upstream_error");
    assert_true(t.ended && !t.aborted);
}

#define CHAIN(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHAIN(a_plain_response_passes_every_sink_before_the_record),
        CHAIN(a_refusal_passes_the_sinks_of_the_filters_that_passed),
        CHAIN(a_stream_passes_them_piece_by_piece_and_its_end_waits_for_the_record),
        CHAIN(a_filter_that_refuses_in_mid_stream_is_told_in_band),
        CHAIN(a_filter_may_refuse_at_the_very_end_of_a_stream),
        CHAIN(a_filter_may_refuse_a_plain_response_of_which_the_client_saw_nothing),
        CHAIN(a_stream_that_is_cut_leaves_nothing_held_behind),
        CHAIN(a_client_that_is_gone_hears_nothing_and_its_filters_finish),
        CHAIN(back_pressure_runs_from_the_client_through_the_sinks_to_the_gate),
        CHAIN(an_error_of_a_stream_that_was_begun_is_told_in_band),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
