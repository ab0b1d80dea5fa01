/* ceiling — by a clock of the test's own: no minute has more than the limit, and little less. */
#include "tests/unit/policy/policy_kit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/mem.h"
#include "common/scope/ceiling.h"

#define MS UINT64_C(1000)
#define S (1000 * MS)

static const struct slice gpt = SLICE("gpt"), mini = SLICE("mini");

static struct ceiling *with(uint32_t rpm, uint32_t tpm)
{
    struct ceiling *c = ceiling_new();
    assert_non_null(c);
    assert_int_equal(ceiling_configure(c, (struct ceiling_limits){rpm, tpm}), ERR_OK);
    return c;
}

static bool takes(struct ceiling *c, uint64_t tokens, uint64_t now_us)
{
    struct ceiling_permit p;
    uint64_t wait;
    bool ok = ceiling_take(c, gpt, tokens, false, now_us, &p, &wait) == ERR_OK;
    assert_int_equal(ok, wait == 0);
    return ok;
}

/* Times of what was let in, so that every minute of them can be counted. */
struct log {
    size_t count;
    uint64_t at[200000];
    uint64_t tokens[200000];
};
static struct log taken;

static void note(uint64_t at, uint64_t tokens)
{
    assert_true(taken.count < ARRAY_LEN(taken.at));
    taken.at[taken.count] = at;
    taken.tokens[taken.count++] = tokens;
}

/* The most in any 60 seconds, the end not included. */
static void most_in_a_minute(uint64_t *requests, uint64_t *tokens)
{
    uint64_t sum = 0;
    *requests = *tokens = 0;
    for (size_t i = 0, first = 0; i < taken.count; i++) {
        sum += taken.tokens[i];
        while (taken.at[i] - taken.at[first] >= 60 * S)
            sum -= taken.tokens[first++];
        if (i - first + 1 > *requests)
            *requests = i - first + 1;
        if (sum > *tokens)
            *tokens = sum;
    }
}

static uint32_t seed = 1;
static uint32_t dice(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* As callers that always wait for the time they are told. */
static void no_minute_has_more_than_the_limit_and_little_less(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 2, 3, 7, 60, 600, 5000};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct ceiling *c = with(limits[i], 0);
        uint64_t now = 17 * S, end = now + 600 * S, most, tokens;
        taken.count = 0;
        while (now < end) {
            struct ceiling_permit p;
            uint64_t wait;
            if (ceiling_take(c, gpt, 0, true, now, &p, &wait) == ERR_OK)
                note(now, 0);
            else
                now += wait;
        }
        most_in_a_minute(&most, &tokens);
        assert_in_range(most, 1, limits[i]);
        /* ten minutes; half a second of each is the slot's */
        assert_true(taken.count >= limits[i] * UINT64_C(97) / 10);
        ceiling_drop(c);
    }
}

static void a_crowd_that_comes_and_goes_never_has_more_either(void **state)
{
    (void)state;
    struct ceiling *c = with(120, 30000);
    uint64_t now = S, most, tokens;
    taken.count = 0;
    for (int i = 0; i < 60000; i++) {
        uint64_t n = dice(900);
        if (takes(c, n, now))
            note(now, n);
        now += dice(4) ? dice(200) * MS : dice(100) ? 0 : dice(100) * S;
    }
    most_in_a_minute(&most, &tokens);
    assert_in_range(most, 100, 120);
    assert_in_range(tokens, 25000, 30000);
    ceiling_drop(c);
}

static void what_follows_a_burst_is_spaced(void **state)
{
    (void)state;
    struct ceiling *c = with(600, 0);
    uint64_t now = S;
    int burst = 0;
    while (takes(c, 0, now))
        burst++;
    assert_int_equal(burst, 60);
    for (int i = 0; i < 500; i++) {
        struct ceiling_permit p;
        uint64_t wait;
        assert_int_equal(ceiling_take(c, gpt, 0, true, now, &p, &wait), ERR_EXHAUSTED);
        assert_in_range(wait, 1, 100 * MS);
        now += wait;
        assert_int_equal(ceiling_take(c, gpt, 0, true, now, &p, &wait), ERR_OK);
    }
    ceiling_drop(c);
}

/* After the first minute no caller waits longer than for its place. */
static void a_full_minute_is_not_followed_by_an_empty_one(void **state)
{
    (void)state;
    struct ceiling *c = with(600, 0);
    uint64_t now = S, longest = 0;
    while (now < 400 * S) {
        struct ceiling_permit p;
        uint64_t wait;
        if (ceiling_take(c, gpt, 0, true, now, &p, &wait) == ERR_OK)
            continue;
        if (now > 130 * S && wait > longest)
            longest = wait;
        now += wait;
    }
    assert_in_range(longest, 1, 1500 * MS);
    ceiling_drop(c);
}

static void tokens_are_settled_by_what_was_used(void **state)
{
    (void)state;
    struct ceiling *c = with(0, 1000);
    struct ceiling_permit p;
    struct ceiling_state s;
    uint64_t wait, now = S;
    assert_int_equal(ceiling_take(c, gpt, 900, false, now, &p, &wait), ERR_OK);
    assert_false(takes(c, 200, now));
    ceiling_settle(c, &p, 100, now + S);
    ceiling_look(c, now + S, &s);
    assert_int_equal(s.tokens, 100);
    assert_true(takes(c, 200, now + 5 * S));
    assert_int_equal(ceiling_take(c, gpt, 10, false, now + 6 * S, &p, &wait), ERR_OK);
    ceiling_settle(c, &p, 500, now + 7 * S); /* more than estimated */
    ceiling_look(c, now + 7 * S, &s);
    assert_int_equal(s.tokens, 800);
    assert_false(takes(c, 201, now + 58 * S));
    ceiling_drop(c);
}

static void what_was_not_sent_does_not_count(void **state)
{
    (void)state;
    struct ceiling *c = with(1, 100);
    struct ceiling_permit p;
    uint64_t wait;
    assert_int_equal(ceiling_take(c, gpt, 100, false, S, &p, &wait), ERR_OK);
    assert_false(takes(c, 0, S));
    ceiling_return(c, &p, S);
    assert_true(takes(c, 100, S));
    assert_false(takes(c, 0, 60 * S));
    assert_true(takes(c, 100, 62 * S));
    ceiling_drop(c);
}

static void a_request_larger_than_a_minute_is_let_in_alone(void **state)
{
    (void)state;
    struct ceiling *c = with(0, 100);
    assert_true(takes(c, 500, S));
    assert_false(takes(c, 1, 30 * S));
    assert_false(takes(c, 500, 60 * S));
    assert_true(takes(c, 500, 400 * S));
    ceiling_drop(c);
}

static void those_that_wait_come_before_others(void **state)
{
    (void)state;
    struct ceiling *c = with(60, 0);
    struct ceiling_permit p;
    uint64_t wait;
    ceiling_add_waiting(c, 1);
    assert_false(takes(c, 0, S));
    assert_true(ceiling_wait(c, gpt, 0, S) > 0);
    assert_int_equal(ceiling_take(c, gpt, 0, true, S, &p, &wait), ERR_OK);
    ceiling_add_waiting(c, -1);
    assert_true(takes(c, 0, S));
    ceiling_drop(c);
}

static void a_429_cools_until_its_time(void **state)
{
    (void)state;
    struct ceiling *c = with(0, 0);
    assert_true(takes(c, 0, S));
    ceiling_cool(c, 20 * S, S);
    ceiling_cool(c, 5 * S, S); /* the longest counts */
    assert_int_equal(ceiling_wait(c, gpt, 0, S), 20 * S);
    assert_false(takes(c, 0, 21 * S - 1));
    assert_true(takes(c, 0, 21 * S));
    ceiling_drop(c);
}

/* ---- what a provider says ---- */

static struct ceiling_left left(uint64_t limit, uint64_t remaining, uint64_t reset_us, bool gradual)
{
    return (struct ceiling_left){.is_said = true,
                                 .is_gradual = gradual,
                                 .limit = limit,
                                 .remaining = remaining,
                                 .reset_us = reset_us};
}

static const struct ceiling_left unsaid = {0};

static struct ceiling_permit taken_at(struct ceiling *c, uint64_t tokens, uint64_t now_us)
{
    struct ceiling_permit p = {0};
    uint64_t wait;
    assert_int_equal(ceiling_take(c, gpt, tokens, true, now_us, &p, &wait), ERR_OK);
    return p;
}

static void what_a_provider_says_is_left_binds_before_its_429(void **state)
{
    (void)state;
    struct ceiling *c = with(0, 0);
    struct ceiling_permit p = taken_at(c, 0, S);
    struct ceiling_left two = left(60, 2, 30 * S, false);
    ceiling_tell(c, &p, gpt, &two, &unsaid, S);
    assert_true(takes(c, 0, S));
    assert_true(takes(c, 0, S));
    assert_int_equal(ceiling_wait(c, gpt, 0, S), 30 * S);
    assert_int_equal(ceiling_wait(c, mini, 0, S), 0); /* another model has limits of its own */
    assert_false(takes(c, 0, 31 * S - 1));
    assert_true(takes(c, 0, 31 * S));
    ceiling_drop(c);
}

static void a_bucket_refills_one_by_one(void **state)
{
    (void)state;
    struct ceiling *c = with(0, 0);
    struct ceiling_permit p = taken_at(c, 0, S);
    struct ceiling_left none = left(60, 0, 60 * S, true); /* one a second */
    ceiling_tell(c, &p, gpt, &none, &unsaid, S);
    assert_int_equal(ceiling_wait(c, gpt, 0, S), S);
    assert_true(takes(c, 0, 2 * S));
    assert_false(takes(c, 0, 2 * S));
    assert_int_equal(ceiling_wait(c, gpt, 0, 2 * S), S);
    assert_true(takes(c, 0, 5 * S)); /* three have come since */
    assert_true(takes(c, 0, 5 * S));
    assert_true(takes(c, 0, 5 * S));
    assert_false(takes(c, 0, 5 * S));
    ceiling_drop(c);
}

static void requests_that_its_response_did_not_count_are_taken_off(void **state)
{
    (void)state;
    struct ceiling *c = with(0, 0);
    struct ceiling_permit first = taken_at(c, 10, S), second = taken_at(c, 20, S);
    struct ceiling_permit third = taken_at(c, 30, S);
    struct ceiling_left requests = left(100, 3, 60 * S, false);
    struct ceiling_left tokens = left(1000, 60, 60 * S, false);
    struct ceiling_state s;
    ceiling_tell(c, &first, gpt, &requests, &tokens, 2 * S);
    ceiling_look(c, 2 * S, &s);
    assert_true(s.is_told);
    assert_int_equal(s.remaining_requests, 1);
    assert_int_equal(s.remaining_tokens, 10);
    /* a younger request's response comes; then an older one's, which is not believed */
    requests = left(100, 9, 60 * S, false);
    ceiling_tell(c, &third, gpt, &requests, &unsaid, 3 * S);
    requests = left(100, 50, 60 * S, false);
    ceiling_tell(c, &second, gpt, &requests, &unsaid, 4 * S);
    ceiling_look(c, 4 * S, &s);
    assert_int_equal(s.remaining_requests, 9);
    ceiling_drop(c);
}

static void more_models_than_are_remembered_forget_the_oldest(void **state)
{
    (void)state;
    struct ceiling *c = with(0, 0);
    char name[] = "model-a";
    for (int i = 0; i < 20; i++) {
        struct ceiling_permit p = taken_at(c, 0, S);
        struct ceiling_left none = left(60, 0, 600 * S, false);
        name[6] = (char)('a' + i);
        ceiling_tell(c, &p, slice_str(name), &none, &unsaid, S);
    }
    assert_true(ceiling_wait(c, slice_str(name), 0, S) > 0);
    name[6] = 'a';
    assert_int_equal(ceiling_wait(c, slice_str(name), 0, S), 0);
    ceiling_drop(c);
}

/* ---- shares ---- */

static void a_share_binds_until_its_time_and_its_floor_afterwards(void **state)
{
    (void)state;
    struct ceiling *c = with(100, 0);
    struct ceiling_share share = {.now = {60, 0}, .floor = {10, 0}, .until_us = 100 * S};
    struct ceiling_state s;
    uint64_t now = S;
    ceiling_lease(c, &share);
    ceiling_look(c, now, &s);
    assert_int_equal(s.share.rpm, 60);
    int n = 0;
    for (; now < 60 * S; now += 100 * MS)
        n += takes(c, 0, now);
    assert_in_range(n, 55, 60);
    /* the control plane was not heard again */
    ceiling_look(c, 101 * S, &s);
    assert_int_equal(s.share.rpm, 10);
    n = 0;
    for (now = 200 * S; now < 259 * S; now += 100 * MS)
        n += takes(c, 0, now);
    assert_int_equal(n, 10);
    /* never more than the policy */
    share = (struct ceiling_share){.now = {1000, 0}, .floor = {0, 0}, .until_us = 300 * S};
    ceiling_lease(c, &share);
    ceiling_look(c, 260 * S, &s);
    assert_int_equal(s.share.rpm, 100);
    ceiling_look(c, 301 * S, &s);
    assert_int_equal(s.share.rpm, 0);
    assert_false(takes(c, 0, 400 * S));
    ceiling_drop(c);
}

static void another_limit_counts_what_was_taken(void **state)
{
    (void)state;
    struct ceiling *c = with(100, 0);
    uint64_t now = S;
    for (; now < 31 * S; now += 600 * MS)
        assert_true(takes(c, 0, now));
    assert_int_equal(ceiling_configure(c, (struct ceiling_limits){40, 0}), ERR_OK);
    assert_false(takes(c, 0, now));
    assert_int_equal(ceiling_configure(c, (struct ceiling_limits){0, 0}), ERR_OK);
    assert_true(takes(c, 0, now));
    ceiling_drop(c);
}

/* ---- threads ---- */

struct crowd {
    struct ceiling *ceiling;
    atomic_uint passed;
};

static void *rush(void *arg)
{
    struct crowd *x = arg;
    for (int i = 0; i < 2000; i++) {
        struct ceiling_permit p;
        uint64_t wait;
        if (ceiling_take(x->ceiling, gpt, 1, true, 10 * S + (uint64_t)i * 10 * MS, &p, &wait))
            continue;
        atomic_fetch_add(&x->passed, 1);
        ceiling_settle(x->ceiling, &p, 1, 10 * S);
    }
    return NULL;
}

static void workers_together_have_no_more_than_one(void **state)
{
    (void)state;
    struct crowd x = {.ceiling = with(500, 400)};
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, rush, &x), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_in_range(x.passed, 150, 400);
    ceiling_drop(x.ceiling);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    ptrdiff_t before = mem_alive();
    for (size_t n = 1; n < 6; n++) {
        mem_fail_after(n);
        struct ceiling *c = ceiling_new();
        if (c && !ceiling_configure(c, (struct ceiling_limits){5, 5})) {
            struct ceiling_permit p;
            uint64_t wait;
            struct ceiling_left l = left(5, 5, S, false);
            assert_int_equal(ceiling_take(c, gpt, 1, false, S, &p, &wait), ERR_OK);
            ceiling_tell(c, &p, gpt, &l, &l, S);
        }
        mem_fail_after(0);
        ceiling_drop(c);
    }
    assert_int_equal(mem_alive(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_minute_has_more_than_the_limit_and_little_less),
        cmocka_unit_test(a_crowd_that_comes_and_goes_never_has_more_either),
        cmocka_unit_test(what_follows_a_burst_is_spaced),
        cmocka_unit_test(a_full_minute_is_not_followed_by_an_empty_one),
        cmocka_unit_test(tokens_are_settled_by_what_was_used),
        cmocka_unit_test(what_was_not_sent_does_not_count),
        cmocka_unit_test(a_request_larger_than_a_minute_is_let_in_alone),
        cmocka_unit_test(those_that_wait_come_before_others),
        cmocka_unit_test(a_429_cools_until_its_time),
        cmocka_unit_test(what_a_provider_says_is_left_binds_before_its_429),
        cmocka_unit_test(a_bucket_refills_one_by_one),
        cmocka_unit_test(requests_that_its_response_did_not_count_are_taken_off),
        cmocka_unit_test(more_models_than_are_remembered_forget_the_oldest),
        cmocka_unit_test(a_share_binds_until_its_time_and_its_floor_afterwards),
        cmocka_unit_test(another_limit_counts_what_was_taken),
        cmocka_unit_test(workers_together_have_no_more_than_one),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
