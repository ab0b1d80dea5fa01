/* request_cut — a version makes only those requests be judged anew that name something it changed.
 */
#include "tests/unit/policy/policy_kit.h"

#include <uv.h>

#include "common/net/loop.h"
#include "common/request/request.h"

#define REQUESTS 3

static struct {
    struct loop *loop;
    struct registry *registry;
    struct request_env env;
    const struct snapshot *policy;
    uint64_t version;
    struct client client[REQUESTS];
    struct request *rq[REQUESTS];
    unsigned judged[REQUESTS];
    bool denied;
} t;

/* ---- a client that drops what it gets, a gate that counts ---- */

static enum sink_result say_head(struct response_sink *s UNUSED,
                                 const struct response_head *h UNUSED)
{
    return SINK_OK;
}
static enum sink_result say_data(struct response_sink *s UNUSED, struct slice data UNUSED)
{
    return SINK_OK;
}
static enum sink_result say_end(struct response_sink *s UNUSED)
{
    return SINK_OK;
}
static void say_abort(struct response_sink *s UNUSED)
{
}
static void say_whole(struct client *c UNUSED, const struct response_head *h UNUSED,
                      struct slice body UNUSED)
{
}
static const struct response_ops sink = {
    .head = say_head, .data = say_data, .end = say_end, .abort = say_abort};
static const struct client_ops ops = {.whole = say_whole};

static void work(struct request *rq UNUSED)
{
}
static void cancel(struct request *rq)
{
    for (size_t i = 0; i < REQUESTS; i++)
        if (t.rq[i] == rq)
            t.rq[i] = NULL;
    request_finish_as(rq, rq->refusal.id ? OUTCOME_REFUSED : OUTCOME_CANCELLED);
}
static bool still_allowed(struct request *rq, const struct request_right *now)
{
    assert_ptr_equal(now->policy, t.env.policy);
    for (size_t i = 0; i < REQUESTS; i++)
        t.judged[i] += t.rq[i] == rq;
    if (t.denied)
        request_refuse(rq, REFUSAL_MODEL_UNKNOWN, SLICE("m"));
    return !t.denied;
}
static enum err refusal_body(struct request *rq, struct buf *out, const char **type)
{
    (void)rq;
    *type = "text/plain";
    return buf_append(out, SLICE("no"));
}
static enum filter_result name_key(struct request *rq)
{
    rq->who.key = snapshot_key(rq->policy, rq->head->headers[0].value);
    return rq->who.key ? FILTER_PASS : FILTER_REFUSE;
}
static const struct filter named = {.name = "named", .on_request = name_key};
static const struct filter *const filters[] = {&named, NULL};
static const struct gate gate = {.filters = filters,
                                 .work = work,
                                 .cancel = cancel,
                                 .still_allowed = still_allowed,
                                 .refusal_body = refusal_body};

/* ---- the policy ---- */

static void apply(void (*change)(struct snapshot_build *b))
{
    struct snapshot_build *b;
    const struct snapshot *old = t.policy;
    assert_int_equal(snapshot_build_begin(old, t.registry, &b), ERR_OK);
    change(b);
    t.policy = snapshot_build_end(&b, SLICE("lineage"), ++t.version);
    memset(t.judged, 0, sizeof(t.judged));
    request_env_take_policy(&t.env, t.policy);
    snapshot_drop(old);
}

static void first(struct snapshot_build *b)
{
    kit_key(b, "k_0", 1, NULL);
    kit_key(b, "k_1", 1, NULL);
    kit_key(b, "k_2", 1, NULL);
    kit_model(b, "m_1", "large", 1);
}
static void another_key(struct snapshot_build *b)
{
    kit_key(b, "k_9", 1, NULL);
}
static void key_of_one(struct snapshot_build *b)
{
    kit_key(b, "k_1", 2, NULL);
}
static void model_of_two(struct snapshot_build *b)
{
    kit_model(b, "m_1", "large", 2);
}
static void many(struct snapshot_build *b)
{
    char id[16];
    for (int i = 100; i < 140; i++) {
        snprintf(id, sizeof(id), "k_%d", i);
        kit_key(b, id, 1, NULL);
    }
}
static void key_gone(struct snapshot_build *b)
{
    kit_delete(b, GATEHOUSE__OBJECT_KIND__KIND_KEY, "k_0");
}
static void block_two(struct snapshot_build *b)
{
    kit_block(b, "b_1", "key", "k_2");
}

static int set_up(void **state)
{
    static char ids[REQUESTS][8];
    static struct http_head heads[REQUESTS];
    (void)state;
    memset(&t, 0, sizeof(t));
    request_env_init(&t.env);
    if (loop_new(&t.loop) || !(t.registry = registry_new()))
        return -1;
    t.env.loop = t.loop;
    apply(first);
    for (size_t i = 0; i < REQUESTS; i++) {
        snprintf(ids[i], sizeof(ids[i]), "k_%zu", i);
        heads[i] = (struct http_head){.header_count = 1};
        heads[i].headers[0] = (struct http_header){SLICE("x-api-key"), slice_str(ids[i])};
        t.client[i] = (struct client){.sink = {.ops = &sink}, .ops = &ops};
        t.rq[i] = request_new(&t.env, &gate, &t.client[i], &heads[i], SLICE("peer"));
        request_start(t.rq[i]);
    }
    t.rq[2]->record.ai.model_row = SLICE("large");
    return t.env.request_count == REQUESTS ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < REQUESTS; i++)
        if (t.rq[i])
            request_finish_as(t.rq[i], OUTCOME_OK);
    loop_free(t.loop);
    request_env_fini(&t.env);
    snapshot_drop(t.policy);
    registry_free(t.registry);
    return 0;
}

static void expect_judged(unsigned a, unsigned b, unsigned c)
{
    if (t.judged[0] != a || t.judged[1] != b || t.judged[2] != c)
        fail_msg("judged %u %u %u, expected %u %u %u", t.judged[0], t.judged[1], t.judged[2], a, b,
                 c);
}

static void only_what_a_version_names_is_judged(void **state)
{
    (void)state;
    apply(another_key);
    expect_judged(0, 0, 0);
    apply(key_of_one);
    expect_judged(0, 1, 0);
    apply(model_of_two);
    expect_judged(0, 0, 1);
    apply(many); /* more than is looked for one by one */
    expect_judged(1, 1, 1);
    assert_int_equal(t.env.request_count, REQUESTS);
}

static void what_lost_its_right_is_cut_and_nothing_else(void **state)
{
    (void)state;
    apply(key_gone);
    assert_null(t.rq[0]);
    assert_int_equal(t.env.request_count, 2);
    apply(block_two);
    assert_null(t.rq[2]);
    assert_int_equal(t.env.request_count, 1);
    t.denied = true;
    apply(another_key);
    assert_int_equal(t.env.request_count, 1); /* it is not named */
    apply(key_of_one);
    assert_int_equal(t.env.request_count, 0);
}

#define CUT(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CUT(only_what_a_version_names_is_judged),
        CUT(what_lost_its_right_is_cut_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
