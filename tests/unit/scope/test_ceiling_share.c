/* ceiling_share — planes with ceilings of their own: together no minute has more than the limit. */
#include "tests/unit/policy/policy_kit.h"

#include <stdio.h>

#include "common/ledger/ceiling_share.h"
#include "common/scope/ceiling.h"

#define MS UINT64_C(1000)
#define S (1000 * MS)
#define PLANES 5

static uint32_t seed;
static uint32_t dice(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* ---- the rule ---- */

static struct ceiling_holder asks(uint32_t limit, uint32_t taken,
                                  const struct ceiling_holder *others, size_t count, int64_t now)
{
    struct ceiling_holder own = {0};
    struct ceiling_demand d = {.taken = taken};
    ceiling_share_grant(limit, &d, others, count, now, &own);
    return own;
}

static void one_plane_has_all_of_it_also_when_it_is_not_heard(void **state)
{
    (void)state;
    struct ceiling_holder h = asks(600, 0, NULL, 0, 1000);
    assert_int_equal(h.share, 600);
    assert_int_equal(h.floor, 600);
}

static void a_plane_that_comes_gets_what_the_others_leave_and_then_its_part(void **state)
{
    (void)state;
    int64_t now = 100 * (int64_t)S;
    struct ceiling_holder a = asks(600, 500, NULL, 0, now), b;
    b = asks(600, 0, &a, 1, now + 1);
    assert_int_equal(b.share, 0); /* the first may use all of it still */
    a = asks(600, 500, &b, 1, now + (int64_t)S);
    assert_in_range(a.share, 300, 599);
    b = asks(600, 0, &a, 1, now + 2 * (int64_t)S);
    assert_int_equal(b.share, 600 - 500 < 600 - a.share ? 600 - (a.share > 500 ? a.share : 500)
                                                        : 600 - a.share);
    assert_int_equal(b.floor, 300);
}

static void those_that_ask_for_more_get_more(void **state)
{
    (void)state;
    int64_t now = 100 * (int64_t)S;
    struct ceiling_holder p[3] = {0};
    static const uint32_t taken[] = {0, 50, 5000};
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < 3; i++) {
            struct ceiling_holder others[] = {p[(i + 1) % 3], p[(i + 2) % 3]};
            uint32_t most = p[i].share; /* it cannot have taken more */
            p[i] = asks(900, taken[i] < most ? taken[i] : most, others, 2, now);
            now += (int64_t)S / 3;
        }
    }
    assert_in_range(p[0].share, 150, 200);
    assert_in_range(p[1].share, 150, 260);
    assert_in_range(p[2].share, 450, 600);
    assert_true(p[0].share + p[1].share + p[2].share <= 900);
}

/* ---- whole planes ---- */

struct plane {
    struct ceiling *ceiling;
    struct ceiling_holder row; /* the control plane's */
    uint32_t load;             /* calls a second that it would send */
    bool away;
    uint64_t ask_at;
};

static struct plane planes[PLANES];

static void ask(size_t i, uint32_t limit, uint64_t now)
{
    struct plane *p = &planes[i];
    struct ceiling_holder others[PLANES];
    struct ceiling_state s;
    size_t n = 0;
    for (size_t k = 0; k < PLANES; k++)
        if (k != i)
            others[n++] = planes[k].row;
    ceiling_look(p->ceiling, now, &s);
    struct ceiling_demand d = {
        .taken = (uint32_t)s.requests, .waiting = s.waiting + p->load, .in_force = s.share.rpm};
    ceiling_share_grant(limit, &d, others, n, (int64_t)now, &p->row);
    const struct ceiling_share share = {
        .now = {p->row.share, 0},
        .floor = {p->row.share < p->row.floor ? p->row.share : p->row.floor, 0},
        .until_us = now + CEILING_SHARE_MS * MS};
    ceiling_lease(p->ceiling, &share);
}

static uint64_t taken_at[400000];
static size_t taken_count;

static uint64_t most_in_a_minute(void)
{
    uint64_t most = 0;
    for (size_t i = 0, first = 0; i < taken_count; i++) {
        while (taken_at[i] - taken_at[first] >= 60 * S)
            first++;
        if (i - first + 1 > most)
            most = i - first + 1;
    }
    return most;
}

static void start(uint32_t limit)
{
    taken_count = 0;
    for (size_t i = 0; i < PLANES; i++) {
        planes[i] = (struct plane){.ceiling = ceiling_new()};
        assert_non_null(planes[i].ceiling);
        assert_int_equal(ceiling_configure(planes[i].ceiling, (struct ceiling_limits){limit, 0}),
                         ERR_OK);
        /* none is told anything yet: nothing is sent before */
        ceiling_lease(planes[i].ceiling, &(struct ceiling_share){0});
    }
}

static void stop(void)
{
    for (size_t i = 0; i < PLANES; i++)
        ceiling_drop(planes[i].ceiling);
}

static void turn(uint32_t limit, uint64_t now)
{
    for (size_t i = 0; i < PLANES; i++) {
        struct plane *p = &planes[i];
        if (!p->away && now >= p->ask_at) {
            ask(i, limit, now);
            p->ask_at = now + S;
        }
        for (uint32_t n = 0; n < p->load / 10; n++) {
            struct ceiling_permit permit;
            uint64_t wait;
            if (ceiling_take(p->ceiling, SLICE("m"), 0, true, now, &permit, &wait))
                break;
            assert_true(taken_count < ARRAY_LEN(taken_at));
            taken_at[taken_count++] = now;
        }
    }
}

static void planes_together_never_take_more_than_the_limit(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 6; run++) {
        uint32_t limit = run * 150;
        uint64_t now = 1000 * S;
        seed = run;
        start(limit);
        for (; now < 4000 * S; now += 100 * MS) {
            if (!dice(80)) {
                struct plane *p = &planes[dice(PLANES)];
                p->load = dice(2) ? 0 : dice(400);
                p->away = !dice(3);
            }
            turn(limit, now);
        }
        uint64_t most = most_in_a_minute();
        assert_in_range(most, limit / 2, limit);
        stop();
    }
}

static void one_busy_plane_among_idle_ones_gets_most_of_it(void **state)
{
    (void)state;
    uint64_t now = 1000 * S;
    start(600);
    planes[2].load = 400;
    for (; now < 1300 * S; now += 100 * MS)
        turn(600, now);
    /* the idle ones keep half of an even share each */
    size_t last = 0;
    for (size_t i = 0; i < taken_count; i++)
        last += taken_at[i] >= 1239 * S;
    assert_in_range(last, 330, 600);
    stop();
}

static void busy_planes_use_all_of_it(void **state)
{
    (void)state;
    uint64_t now = 1000 * S;
    start(600);
    for (size_t i = 0; i < PLANES; i++)
        planes[i].load = 200;
    for (; now < 1400 * S; now += 100 * MS)
        turn(600, now);
    size_t last = 0;
    for (size_t i = 0; i < taken_count; i++)
        last += taken_at[i] >= 1280 * S;
    assert_in_range(last, 1050, 1200); /* two minutes */
    assert_in_range(most_in_a_minute(), 540, 600);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_plane_has_all_of_it_also_when_it_is_not_heard),
        cmocka_unit_test(a_plane_that_comes_gets_what_the_others_leave_and_then_its_part),
        cmocka_unit_test(those_that_ask_for_more_get_more),
        cmocka_unit_test(planes_together_never_take_more_than_the_limit),
        cmocka_unit_test(one_busy_plane_among_idle_ones_gets_most_of_it),
        cmocka_unit_test(busy_planes_use_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
