/* lease_server — the money rules, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/kit/db/base.h"
#include "tests/kit/db/lease_model.h"

static void a_grant_is_cut_to_what_is_left(void **state)
{
    (void)state;
    assert_int_equal(ask("dp_1", 1, 700, NULL).granted, 700);
    assert_int_equal(ask("dp_2", 1, 700, NULL).granted, 300);
    struct grant none = ask("dp_3", 1, 1, NULL);
    assert_int_equal(none.granted, 0);
    assert_string_equal(none.lease, "");
    assert_int_equal(none.spent, 1000);
    assert_int_equal(none.limit, 1000);
    expect_books(0, 1000, 0);
}

static void a_grant_below_the_requested_least_is_not_made(void **state)
{
    (void)state;
    struct grant none = ask_least("dp_1", 1, 1600, 1600, NULL);
    assert_int_equal(none.granted, 0);
    assert_string_equal(none.lease, "");
    struct grant some = ask_least("dp_1", 1, 1600, 300, NULL); /* for the smaller ones of them */
    assert_int_equal(some.granted, 1000);
    end_lease("dp_1", 1, some.lease, 0);
    some = ask("dp_1", 1, 600, NULL);
    assert_int_equal(ask_least("dp_1", 1, 900, 401, some.lease).granted, 0);
    assert_int_equal(ask("dp_2", 1, 400, NULL).granted, 400);
}

static void an_account_without_a_budget_is_unknown(void **state)
{
    (void)state;
    assert_true(ask_as("dp_1", 1, 1, "team:nobody", 5, NULL).unknown);
    assert_true(ask_as("dp_1", 1, 2, "nonsense", 5, NULL).unknown);
}

static void a_grant_tells_what_is_spent_from_what_is_only_set_aside(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 600, NULL);
    assert_int_equal(g.spent, 600);
    assert_int_equal(g.set_aside, 600);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 100);
    g = ask("dp_2", 1, 50, NULL);
    assert_int_equal(g.spent, 650);
    assert_int_equal(g.set_aside, 550);
    now += 20 * SECOND;
    expire_leases();
    g = ask("dp_3", 1, 7, NULL);
    assert_int_equal(g.spent, 657);
    assert_int_equal(g.set_aside, 557); /* what is in suspense as well */
}

static void charges_move_from_leased_to_spent(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 500, NULL);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 120);
    expect_books(120, 380, 0);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 120);
    expect_books(120, 380, 0);
}

static void a_charge_above_its_lease_is_spent(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 100, NULL);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 150);
    expect_books(150, 0, 0);
    assert_int_equal(ask("dp_1", 1, 50, g.lease).granted, 50);
    expect_books(150, 50, 0);
    ship_one("dp_1", 1, 2, ACCOUNT, g.lease, 20);
    expect_books(170, 30, 0);
}

static void the_rest_of_a_lease_is_free_only_when_its_records_are_in(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 1000, NULL);
    end_lease("dp_1", 1, g.lease, 300); /* spent 300, of which nothing has come in */
    expect_books(0, 1000, 0);
    assert_int_equal(ask("dp_2", 1, 10, NULL).granted, 0);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 100);
    expect_books(100, 900, 0);
    ship_one("dp_1", 1, 2, ACCOUNT, g.lease, 200);
    expect_books(300, 0, 0);
    assert_int_equal(ask("dp_2", 1, 1000, NULL).granted, 700);
}

static void an_expired_lease_stays_in_suspense(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 600, NULL);
    now += 11 * SECOND;
    assert_int_equal(expire_leases(), 1);
    expect_books(0, 0, 600);
    assert_int_equal(ask("dp_2", 1, 1000, NULL).granted, 400);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 50);
    expect_books(50, 400, 550);
    end_lease("dp_1", 1, g.lease, 50);
    expect_books(50, 400, 0);
}

static void an_overdue_lease_is_noticed_at_the_next_grant(void **state)
{
    (void)state;
    ask("dp_1", 1, 600, NULL);
    now += 11 * SECOND;
    assert_int_equal(ask("dp_2", 1, 1000, NULL).granted, 400);
    expect_books(0, 400, 600);
}

static void a_late_renewal_takes_the_lease_out_of_suspense(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 600, NULL);
    now += 60 * SECOND;
    expire_leases();
    struct grant again = ask("dp_1", 1, 0, g.lease);
    assert_string_equal(again.lease, g.lease);
    assert_int_equal(again.granted, 0);
    expect_books(0, 600, 0);
    now += 9 * SECOND;
    assert_int_equal(expire_leases(), 0);
}

static void only_its_own_plane_renews_ends_or_charges_a_lease(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 600, NULL);
    assert_string_not_equal(ask("dp_2", 1, 100, g.lease).lease, g.lease);
    expect_books(0, 700, 0);
    end_lease("dp_2", 1, g.lease, 0);
    expect_books(0, 700, 0);
    ship_one("dp_2", 1, 1, ACCOUNT, g.lease, 30);
    expect_books(30, 700, 0); /* spent, but not from dp_1's share */
}

static void a_plane_of_another_organisation_has_no_part_in_a_budget(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 600, NULL);
    planes_org = "org_other";
    assert_true(ask("dp_2", 1, 100, NULL).unknown);
    assert_true(ask("dp_2", 1, 100, g.lease).unknown);
    end_lease("dp_2", 1, g.lease, 0);
    finish_epoch("dp_2", 2, 1);
    ship_one("dp_2", 1, 1, ACCOUNT, g.lease, 30);
    ship_one("dp_2", 1, 2, ACCOUNT, "", 40);
    planes_org = NULL;
    expect_books(0, 600, 0);
}

static void a_repeated_request_gets_the_same_reply(void **state)
{
    (void)state;
    struct grant first = ask_as("dp_1", 1, 7, ACCOUNT, 400, NULL);
    struct grant again = ask_as("dp_1", 1, 7, ACCOUNT, 400, NULL);
    assert_string_equal(first.lease, again.lease);
    assert_int_equal(again.granted, 400);
    expect_books(0, 400, 0);
    assert_int_equal(ask_as("dp_1", 1, 8, ACCOUNT, 100, first.lease).granted, 100);
    assert_int_equal(ask_as("dp_1", 1, 8, ACCOUNT, 100, first.lease).granted, 100);
    expect_books(0, 500, 0);
}

static void a_request_s_number_brings_no_other_account_s_lease_nor_another_day_s(void **state)
{
    (void)state;
    struct grant first = ask_as("dp_1", 1, 7, ACCOUNT, 400, NULL);
    struct grant other = ask_as("dp_1", 1, 7, "team:team_other", 400, NULL);
    assert_string_not_equal(other.lease, first.lease);
    assert_int_equal(other.granted, 300); /* all of its own */
    expect_books(0, 400, 0);
    assert_int_equal(number("select leased_nano from budget_accounts where account ="
                            " 'team:team_other'"),
                     300);
    set_limit(1000, "day");
    struct grant today = ask_as("dp_1", 1, 8, ACCOUNT, 100, NULL);
    now += INT64_C(86400) * SECOND;
    struct grant tomorrow = ask_as("dp_1", 1, 8, ACCOUNT, 1000, NULL);
    assert_string_not_equal(today.lease, tomorrow.lease);
    assert_int_equal(tomorrow.granted, 1000);
}

static void a_finished_epoch_frees_what_its_plane_never_spent(void **state)
{
    (void)state;
    struct grant old = ask("dp_1", 1, 600, NULL);
    struct grant other = ask("dp_2", 1, 100, NULL);
    now += 20 * SECOND;
    expire_leases();
    struct grant current = ask("dp_1", 2, 100, NULL);
    ship_one("dp_1", 1, 1, ACCOUNT, old.lease, 40);
    expect_books(40, 100, 660);
    finish_epoch("dp_1", 2, 2); /* the epoch of the request cannot be finished */
    expect_books(40, 100, 660);
    finish_epoch("dp_1", 2, 1);
    expect_books(40, 100, 100);
    assert_true(strlen(other.lease) > 0 && strlen(current.lease) > 0);
}

static money write_off(const char *dataplane)
{
    TX_AUTO struct tx tx = {0};
    money lost = 0;
    assert_int_equal(tx_begin(base.db, TX_EVERY_ORG, &tx), ERR_OK);
    assert_int_equal(lease_server_write_off(&tx, slice_str(dataplane), &lost), ERR_OK);
    assert_int_equal(tx_commit(&tx), ERR_OK);
    return lost;
}

static void
a_written_off_plane_counts_as_spent_and_its_late_records_do_not_count_twice(void **state)
{
    (void)state;
    struct grant g = ask("dp_1", 1, 600, NULL);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 100);
    now += 20 * SECOND;
    expire_leases();
    assert_int_equal(write_off("dp_1"), 500);
    expect_books(600, 0, 0);
    ship_one("dp_1", 1, 2, ACCOUNT, g.lease, 450);
    expect_books(600, 0, 0);
    ship_one("dp_1", 1, 3, ACCOUNT, g.lease, 80);
    expect_books(630, 0, 0);
}

static void a_changed_limit_holds_at_once(void **state)
{
    (void)state;
    ask("dp_1", 1, 600, NULL);
    set_limit(500, "total");
    assert_int_equal(ask("dp_2", 1, 100, NULL).granted, 0);
    set_limit(2000, "total");
    assert_int_equal(ask("dp_2", 1, 5000, NULL).granted, 1400);
}

static void a_new_period_starts_with_nothing_spent(void **state)
{
    (void)state;
    set_limit(1000, "day");
    struct grant g = ask("dp_1", 1, 1000, NULL);
    assert_true(g.period_end > now && g.period_end <= now + 86400 * SECOND);
    ship_one("dp_1", 1, 1, ACCOUNT, g.lease, 700);
    now = g.period_end + SECOND;
    struct grant next = ask("dp_1", 1, 1000, g.lease);
    assert_string_not_equal(next.lease, g.lease);
    assert_int_equal(next.granted, 1000);
    ship_one("dp_1", 1, 2, ACCOUNT, g.lease, 100); /* still the old day's money */
    assert_int_equal(number("select spent_nano from budget_accounts order by period_start"), 800);
    assert_int_equal(
        number("select spent_nano from budget_accounts order by period_start desc limit 1"), 0);
}

static void a_charge_without_any_lease_is_spent(void **state)
{
    (void)state;
    ship_one("dp_1", 1, 1, ACCOUNT, "l_unknown", 30);
    ship_one("dp_1", 1, 2, ACCOUNT, NULL, 12);
    ship_one("dp_1", 1, 3, "team:deleted", "", 5);
    expect_books(42, 0, 0);
    assert_int_equal(
        number("select spent_nano from budget_accounts where account = 'team:deleted'"), 5);
}

#define RULE(name) cmocka_unit_test_setup(name, fresh_books)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_grant_is_cut_to_what_is_left),
        RULE(a_grant_below_the_requested_least_is_not_made),
        RULE(an_account_without_a_budget_is_unknown),
        RULE(a_grant_tells_what_is_spent_from_what_is_only_set_aside),
        RULE(charges_move_from_leased_to_spent),
        RULE(a_charge_above_its_lease_is_spent),
        RULE(the_rest_of_a_lease_is_free_only_when_its_records_are_in),
        RULE(an_expired_lease_stays_in_suspense),
        RULE(an_overdue_lease_is_noticed_at_the_next_grant),
        RULE(a_late_renewal_takes_the_lease_out_of_suspense),
        RULE(only_its_own_plane_renews_ends_or_charges_a_lease),
        RULE(a_plane_of_another_organisation_has_no_part_in_a_budget),
        RULE(a_repeated_request_gets_the_same_reply),
        RULE(a_request_s_number_brings_no_other_account_s_lease_nor_another_day_s),
        RULE(a_finished_epoch_frees_what_its_plane_never_spent),
        RULE(a_written_off_plane_counts_as_spent_and_its_late_records_do_not_count_twice),
        RULE(a_changed_limit_holds_at_once),
        RULE(a_new_period_starts_with_nothing_spent),
        RULE(a_charge_without_any_lease_is_spent),
    };
    return cmocka_run_group_tests(tests, open_rich_base, base_close);
}
