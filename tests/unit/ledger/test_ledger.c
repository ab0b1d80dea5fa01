/* ledger — shares, recalls and what is handed back; the other rules are in tests/db. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/ledger/ledger.h"

#define ACCOUNT "team:t_1"
#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)

static struct ledger_sheet sheet;
static struct ledger_budget budget;
static int64_t now;
static uint64_t next;

static int set_up(void **state)
{
    (void)state;
    sheet = (struct ledger_sheet){.account_count = 0};
    budget = (struct ledger_budget){
        .account = ACCOUNT, .limit = 1000, .period = PERIOD_TOTAL, .reserve = true};
    now = 1000 * HOUR;
    next = 1;
    return ledger_sheet_add_account(&sheet, SLICE(ACCOUNT), 0) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    ledger_sheet_fini(&sheet);
    return 0;
}

static struct ledger_account *account(void)
{
    return ledger_sheet_account(&sheet, SLICE(ACCOUNT), 0);
}

static struct ledger_reply decide(const char *plane, uint64_t number, struct ledger_ask ask)
{
    const struct ledger_asker asker = {
        .dataplane = slice_str(plane), .org = SLICE("org"), .epoch = 1, .number = number};
    struct ledger_reply r;
    ask.account = SLICE(ACCOUNT);
    ask.by_share = true;
    assert_int_equal(ledger_decide(&sheet, &asker, &ask, &budget, now, HOUR, &r), ERR_OK);
    return r;
}

static struct ledger_reply ask(const char *plane, money need, money want, const char *renew)
{
    return decide(plane, next++,
                  (struct ledger_ask){.need = need,
                                      .want = want,
                                      .least = need > 0 ? 1 : 0,
                                      .renew = renew ? slice_str(renew) : SLICE("")});
}

static void what_is_leased_ahead_stays_within_an_equal_share(void **state)
{
    (void)state;
    struct ledger_reply a = ask("dp_a", 10, 5000, NULL);
    assert_int_equal(a.granted, 1000); /* it is the only one */
    struct ledger_reply b = ask("dp_b", 10, 5000, NULL);
    assert_int_equal(b.granted, 0);
    assert_int_equal(b.short_of, 10);
    decide("dp_a", next++, (struct ledger_ask){.give_back = 600, .renew = slice_str(a.lease)});
    assert_int_equal(account()->leased, 400);
    b = ask("dp_b", 10, 5000, NULL);
    assert_int_equal(b.granted, 500); /* half of what is not spent */
    a = ask("dp_a", 0, 5000, a.lease);
    assert_int_equal(a.granted, 100);
    assert_int_equal(account()->leased, 1000);
}

static void what_calls_need_is_granted_beyond_the_share(void **state)
{
    (void)state;
    ask("dp_a", 100, 100, NULL);
    assert_int_equal(ask("dp_b", 800, 5000, NULL).granted, 800);
}

static void the_planes_that_hold_something_are_told_and_no_others(void **state)
{
    (void)state;
    const struct ledger_asker asker = {.dataplane = SLICE("dp_b")};
    const char *planes[4];
    struct ledger_reply a = ask("dp_a", 900, 900, NULL);
    ask("dp_b", 100, 100, NULL);
    assert_int_equal(ledger_holders(account(), &asker, planes, 4), 1);
    assert_string_equal(planes[0], "dp_a");
    ledger_charge(ledger_sheet_lease(&sheet, slice_str(a.lease)), 900);
    assert_int_equal(ledger_holders(account(), &asker, planes, 4), 0);
    assert_int_equal(ask("dp_c", 10, 10, NULL).short_of, 10); /* dp_b may have it */
}

static void nothing_is_recalled_where_the_rest_is_spent(void **state)
{
    (void)state;
    struct ledger_reply a = ask("dp_a", 1000, 1000, NULL);
    ledger_charge(ledger_sheet_lease(&sheet, slice_str(a.lease)), 1000);
    struct ledger_reply b = ask("dp_b", 10, 10, NULL);
    assert_int_equal(b.granted, 0);
    assert_int_equal(b.short_of, 0);
    assert_int_equal(b.elsewhere, 0);
}

static void what_is_handed_back_twice_is_freed_once(void **state)
{
    (void)state;
    struct ledger_reply a = ask("dp_a", 800, 800, NULL);
    const struct ledger_ask back = {.give_back = 300, .renew = slice_str(a.lease)};
    decide("dp_a", 50, back);
    decide("dp_a", 50, back); /* the reply was lost */
    assert_int_equal(account()->leased, 500);
    decide("dp_a", 51, (struct ledger_ask){.give_back = 9000, .renew = slice_str(a.lease)});
    assert_int_equal(account()->leased, 0); /* never more than it holds */
    assert_int_equal(ledger_free(account()), 1000);
}

static void a_second_end_with_a_smaller_sum_frees_nothing(void **state)
{
    (void)state;
    struct ledger_reply a = ask("dp_a", 800, 800, NULL);
    struct ledger_lease *l = ledger_sheet_lease(&sheet, slice_str(a.lease));
    ledger_end(l, 300);
    ledger_end(l, 0);
    assert_int_equal(account()->leased, 800);
    ledger_charge(l, 300);
    assert_int_equal(account()->leased, 0);
    assert_int_equal(ledger_free(account()), 700);
}

static void another_plane_hands_nothing_back(void **state)
{
    (void)state;
    struct ledger_reply a = ask("dp_a", 800, 800, NULL);
    decide("dp_b", next++, (struct ledger_ask){.give_back = 300, .renew = slice_str(a.lease)});
    assert_int_equal(account()->leased, 800);
}

static void a_lease_in_suspense_is_revived_by_its_plane_and_counts_meanwhile(void **state)
{
    (void)state;
    struct ledger_reply a = ask("dp_a", 600, 600, NULL);
    now += 2 * HOUR;
    struct ledger_reply b = ask("dp_b", 500, 500, NULL);
    assert_int_equal(b.granted, 400);
    assert_int_equal(b.suspense, 600);
    a = ask("dp_a", 0, 0, a.lease);
    assert_int_equal(account()->suspense, 0);
    assert_int_equal(account()->leased, 1000);
    assert_int_equal(a.elsewhere, 400);
}

static void nothing_lasts_longer_than_its_period(void **state)
{
    (void)state;
    budget.period = PERIOD_HOUR;
    now = 1000 * HOUR + HOUR - 5 * SECOND;
    assert_non_null(ledger_sheet_add_account(&sheet, SLICE(ACCOUNT), 1000 * HOUR));
    struct ledger_reply a = ask("dp_a", 10, 10, NULL);
    assert_int_equal(a.valid_us, 5 * SECOND);
    assert_int_equal(a.reserve_us, 5 * SECOND);
    budget.reserve = false;
    a = ask("dp_b", 10, 10, NULL);
    assert_int_equal(a.reserve_us, 0);
}

static void an_older_plane_is_told_nothing_new_and_granted_what_it_wants(void **state)
{
    (void)state;
    const struct ledger_asker asker = {
        .dataplane = SLICE("dp_old"), .org = SLICE("org"), .epoch = 1, .number = 1};
    const struct ledger_ask old = {.account = SLICE(ACCOUNT), .want = 700, .renew = SLICE("")};
    struct ledger_reply r;
    assert_int_equal(ledger_decide(&sheet, &asker, &old, &budget, now, HOUR, &r), ERR_OK);
    assert_int_equal(r.granted, 700);
    assert_int_equal(r.reserve_us, 0);
    assert_int_equal(r.valid_us, LEDGER_VALID_US);
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(what_is_leased_ahead_stays_within_an_equal_share),
        RULE(what_calls_need_is_granted_beyond_the_share),
        RULE(the_planes_that_hold_something_are_told_and_no_others),
        RULE(nothing_is_recalled_where_the_rest_is_spent),
        RULE(what_is_handed_back_twice_is_freed_once),
        RULE(a_second_end_with_a_smaller_sum_frees_nothing),
        RULE(another_plane_hands_nothing_back),
        RULE(a_lease_in_suspense_is_revived_by_its_plane_and_counts_meanwhile),
        RULE(nothing_lasts_longer_than_its_period),
        RULE(an_older_plane_is_told_nothing_new_and_granted_what_it_wants),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
