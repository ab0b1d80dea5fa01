/* filters — entered in order, finished in reverse, once each, however the request ends. */
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
    char story[256];
    enum filter_result b_says;
    bool finish_in_work;
    unsigned status;
    char body[256];
    bool aborted, ended, full;
    uint64_t length;
    struct client client;
} t;

static void note(const char *word)
{
    strcat(t.story, word);
    strcat(t.story, " ");
}

static enum filter_result enter_a(struct request *rq UNUSED)
{
    note("a?");
    return FILTER_PASS;
}
static void finish_a(struct request *rq UNUSED)
{
    note("a!");
}
static enum filter_result enter_b(struct request *rq)
{
    note("b?");
    if (t.b_says == FILTER_REFUSE)
        request_refuse(rq, REFUSAL_RATE, SLICE("slowly"));
    return t.b_says;
}
static void finish_b(struct request *rq UNUSED)
{
    note("b!");
}
static enum filter_result enter_c(struct request *rq UNUSED)
{
    note("c?");
    return FILTER_PASS;
}
static void finish_c(struct request *rq UNUSED)
{
    note("c!");
}

static void recorded(struct request *rq UNUSED)
{
    note("recorded");
}

static const struct filter a = {
    .name = "a", .slot = FILTER_OWN, .state_size = 3, .on_request = enter_a, .on_finish = finish_a};
static const struct filter b = {
    .name = "b", .on_request = enter_b, .on_finish = finish_b, .on_recorded = recorded};
static const struct filter c = {.name = "c",
                                .slot = FILTER_OWN + 1,
                                .state_size = 40,
                                .on_request = enter_c,
                                .on_finish = finish_c};
static const struct filter *const filters[] = {&a, &b, &c, NULL};

static void work(struct request *rq)
{
    const struct http_header none = {SLICE("content-type"), SLICE("text/plain")};
    note("work");
    if (t.finish_in_work)
        request_finish(rq, &(struct request_end){.outcome = OUTCOME_OK,
                                                 .status = 200,
                                                 .headers = &none,
                                                 .header_count = 1,
                                                 .body = SLICE("done")});
}
static void cancel(struct request *rq)
{
    note("cancel");
    request_finish_as(rq, OUTCOME_CANCELLED);
}
static enum err refusal_body(struct request *rq, struct buf *out, const char **type)
{
    *type = "text/plain";
    return buf_append(out, slice_str(refusal_row(rq->refusal.id)->code));
}
static const struct gate gate = {
    .name = NULL, .filters = filters, .work = work, .cancel = cancel, .refusal_body = refusal_body};

/* ---- the client ---- */

static enum sink_result client_head(struct response_sink *s UNUSED, const struct response_head *h)
{
    t.status = h->status;
    t.length = h->length;
    return SINK_OK;
}
static enum sink_result client_data(struct response_sink *s UNUSED, struct slice data)
{
    strncat(t.body, data.ptr, data.len);
    return t.full ? SINK_FULL : SINK_OK;
}
static enum sink_result client_end(struct response_sink *s UNUSED)
{
    t.ended = true;
    return SINK_OK;
}
static void client_abort(struct response_sink *s UNUSED)
{
    t.aborted = true;
}
static void client_whole(struct client *to UNUSED, const struct response_head *h, struct slice body)
{
    note("said");
    t.status = h->status;
    t.ended = true;
    strncat(t.body, body.ptr, body.len);
}
static const struct response_ops client_sink = {
    .head = client_head, .data = client_data, .end = client_end, .abort = client_abort};
static const struct client_ops client_ops = {.whole = client_whole};

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    request_env_init(&t.env);
    t.b_says = FILTER_PASS;
    t.finish_in_work = true;
    if (loop_new(&t.loop))
        return -1;
    t.env.loop = t.loop;
    t.client = (struct client){.sink = {.ops = &client_sink}, .ops = &client_ops};
    return 0;
}

static void turn(void)
{
    uv_run(loop_uv(t.loop), UV_RUN_NOWAIT);
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(t.loop); /* runs what was retired */
    request_env_fini(&t.env);
    return 0;
}

static struct request *set_out(void)
{
    static const struct http_head head;
    struct request *rq = request_new(&t.env, &gate, &t.client, &head, SLICE("peer"));
    assert_non_null(rq);
    request_start(rq);
    return rq;
}

static void filters_are_entered_in_order_and_finished_in_reverse_before_the_response(void **state)
{
    (void)state;
    set_out();
    assert_string_equal(t.story, "a? b? c? work c! b! a! recorded said ");
    assert_int_equal(t.status, 200);
    assert_string_equal(t.body, "done");
    assert_int_equal(t.env.request_count, 0);
}

static void a_refusal_finishes_only_what_was_entered(void **state)
{
    (void)state;
    t.b_says = FILTER_REFUSE;
    set_out();
    assert_string_equal(t.story, "a? b? b! a! recorded said ");
    assert_int_equal(t.status, 429);
    assert_string_equal(t.body, "rate_limit_exceeded");
}

static void a_waiting_filter_goes_on_when_it_passes(void **state)
{
    (void)state;
    t.b_says = FILTER_WAIT;
    struct request *rq = set_out();
    assert_string_equal(t.story, "a? b? ");
    request_go_on(rq, FILTER_PASS);
    assert_string_equal(t.story, "a? b? c? work c! b! a! recorded said ");
}

static void a_waiting_filter_that_refuses_is_finished_once(void **state)
{
    (void)state;
    t.b_says = FILTER_WAIT;
    struct request *rq = set_out();
    request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    request_go_on(rq, FILTER_REFUSE);
    assert_string_equal(t.story, "a? b? b! a! recorded said ");
    assert_int_equal(t.status, 503);
}

static void a_client_that_goes_while_a_filter_waits_finishes_it(void **state)
{
    (void)state;
    t.b_says = FILTER_WAIT;
    struct request *rq = set_out();
    request_on_gone(rq);
    assert_string_equal(t.story, "a? b? b! a! recorded ");
    assert_int_equal(t.status, 0);
    assert_true(t.ended);
}

static void a_client_that_goes_during_the_work_cancels_it(void **state)
{
    (void)state;
    t.finish_in_work = false;
    struct request *rq = set_out();
    request_on_gone(rq);
    assert_string_equal(t.story, "a? b? c? work cancel c! b! a! recorded ");
}

static void the_last_piece_comes_after_the_filters_were_finished(void **state)
{
    (void)state;
    t.finish_in_work = false;
    struct request *rq = set_out();
    assert_int_equal(response_begin(rq, 200, NULL, 0, UINT64_MAX), SINK_OK);
    assert_int_equal(response_write(rq, SLICE("first ")), SINK_OK);
    assert_string_equal(t.body, "first ");
    request_finish(rq, &(struct request_end){.outcome = OUTCOME_OK, .body = SLICE("last")});
    assert_string_equal(t.body, "first last");
    assert_true(t.ended && !t.aborted);
}

static void a_response_cut_short_is_not_ended_as_if_it_were_whole(void **state)
{
    (void)state;
    t.finish_in_work = false;
    struct request *rq = set_out();
    assert_int_equal(response_begin(rq, 200, NULL, 0, UINT64_MAX), SINK_OK);
    request_finish_as(rq, OUTCOME_CANCELLED);
    assert_true(t.aborted && !t.ended);
}

static void work_that_says_nothing_is_an_internal_error(void **state)
{
    (void)state;
    t.finish_in_work = false;
    struct request *rq = set_out();
    request_finish_as(rq, OUTCOME_ERROR);
    assert_int_equal(t.status, 500);
}

static void a_filters_state_is_its_own_zeroed_and_aligned(void **state)
{
    (void)state;
    t.finish_in_work = false;
    struct request *rq = set_out();
    char *of_a = filter_state(rq, &a), *of_c = filter_state(rq, &c);
    assert_non_null(of_a);
    assert_true(of_c >= of_a + 3);
    assert_int_equal((uintptr_t)of_c % 16, 0);
    assert_null(filter_state(rq, &b)); /* it has none */
    const struct filter other = {.name = "other", .slot = FILTER_OWN + 2, .state_size = 8};
    assert_null(filter_state(rq, &other));
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(of_c[i], 0);
    memset(of_c, 0xff, 40);
    request_finish_as(rq, OUTCOME_ERROR);
    turn();
    rq = set_out();
    assert_int_equal(((char *)filter_state(rq, &c))[39], 0);
    request_finish_as(rq, OUTCOME_ERROR);
}

static void an_ended_request_is_used_again(void **state)
{
    (void)state;
    struct request *first = set_out();
    turn();
    assert_int_equal(t.env.spare_count, 1);
    struct request *second = set_out();
    assert_ptr_equal(first, second);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(filters_are_entered_in_order_and_finished_in_reverse_before_the_response),
        STORY(a_refusal_finishes_only_what_was_entered),
        STORY(a_waiting_filter_goes_on_when_it_passes),
        STORY(a_waiting_filter_that_refuses_is_finished_once),
        STORY(a_client_that_goes_while_a_filter_waits_finishes_it),
        STORY(a_client_that_goes_during_the_work_cancels_it),
        STORY(the_last_piece_comes_after_the_filters_were_finished),
        STORY(a_response_cut_short_is_not_ended_as_if_it_were_whole),
        STORY(work_that_says_nothing_is_an_internal_error),
        STORY(a_filters_state_is_its_own_zeroed_and_aligned),
        STORY(an_ended_request_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
