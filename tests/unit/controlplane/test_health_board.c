/* health_board — what planes report is kept by plane, and what makes an endpoint unready is news.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "controlplane/channel/health_board.h"

#define NOW INT64_C(1000000000)
#define IN_MS(ms) (NOW + (ms)*INT64_C(1000))

static struct health_board *board;
static struct health_news news;

static int open_board(void **state)
{
    (void)state;
    board = health_board_new();
    return board ? 0 : -1;
}

static int close_board(void **state)
{
    (void)state;
    health_board_free(board);
    return 0;
}

static Gatehouse__EndpointReport endpoint(const char *credential, const char *word, int64_t until)
{
    Gatehouse__EndpointReport e = GATEHOUSE__ENDPOINT_REPORT__INIT;
    e.provider_id = (char *)(uintptr_t) "prov_1";
    e.credential_id = (char *)(uintptr_t)credential;
    e.state = (char *)(uintptr_t)word;
    e.why = (char *)(uintptr_t)(until ? "failures" : NULL);
    e.until_us = until;
    return e;
}

static enum err report(const char *plane, uint64_t epoch, Gatehouse__EndpointReport *rows, size_t n,
                       bool whole)
{
    Gatehouse__EndpointReport *list[8];
    Gatehouse__HealthReport m = GATEHOUSE__HEALTH_REPORT__INIT;
    for (size_t i = 0; i < n; i++)
        list[i] = &rows[i];
    m.n_endpoints = n;
    m.endpoints = list;
    m.has_whole = true;
    m.whole = whole;
    return health_board_report(board, slice_str(plane), epoch, &m, NOW, &news);
}

static void report_one(const char *plane, const char *credential, const char *word, int64_t until)
{
    Gatehouse__EndpointReport e = endpoint(credential, word, until);
    assert_int_equal(report(plane, 1, &e, 1, false), ERR_OK);
}

/* "plane/credential/state " of each row, in any order; one plane in these tests' order. */
static void add_text(void *arg, const struct health_row *row)
{
    char *text = arg;
    size_t len = strlen(text);
    snprintf(text + len, 512 - len, "%s/%s/%s ", row->plane_id, row->credential_id, row->state);
}

static const char *rows_of(const char *provider)
{
    static char text[512];
    text[0] = '\0';
    health_board_each(board, slice_str(provider), add_text, text);
    return text;
}

static void each_plane_has_rows_of_its_own_and_the_newest_word_counts(void **state)
{
    (void)state;
    report_one("dp_1", "cred_1", "closed", 0);
    report_one("dp_1", "cred_2", "open", IN_MS(5000));
    report_one("dp_1", "cred_2", "half_open", 0);
    assert_string_equal(rows_of("prov_1"), "dp_1/cred_1/closed dp_1/cred_2/half_open ");
    assert_string_equal(rows_of("prov_2"), "");
    report_one("dp_2", "cred_1", "open", 0);
    assert_non_null(strstr(rows_of("prov_1"), "dp_2/cred_1/open "));
    health_board_forget(board, SLICE("dp_1"));
    assert_string_equal(rows_of("prov_1"), "dp_2/cred_1/open ");
}

static void what_a_whole_report_leaves_out_is_no_more(void **state)
{
    (void)state;
    report_one("dp_1", "cred_1", "closed", 0);
    report_one("dp_1", "cred_2", "closed", 0);
    report_one("dp_1", "cred_3", "closed", 0);
    Gatehouse__EndpointReport rows[] = {endpoint("cred_2", "open", 0)};
    assert_int_equal(report("dp_1", 1, rows, 1, true), ERR_OK);
    assert_string_equal(rows_of("prov_1"), "dp_1/cred_2/open ");
    rows[0].gone = true;
    rows[0].state = NULL;
    assert_int_equal(report("dp_1", 1, rows, 1, false), ERR_OK);
    assert_string_equal(rows_of("prov_1"), "");
}

static void nothing_of_an_earlier_start_of_a_plane_holds(void **state)
{
    (void)state;
    report_one("dp_1", "cred_1", "open", 0);
    Gatehouse__EndpointReport rows[] = {endpoint("cred_2", "closed", 0)};
    assert_int_equal(report("dp_1", 2, rows, 1, false), ERR_OK);
    assert_string_equal(rows_of("prov_1"), "dp_1/cred_2/closed ");
    report_one("dp_1", "cred_1", "open", IN_MS(1000)); /* a late word of the first start */
    assert_string_equal(rows_of("prov_1"), "dp_1/cred_2/closed ");
    assert_int_equal(news.count, 0);
}

static void it_is_news_that_an_endpoint_has_to_wait_or_need_not_any_more(void **state)
{
    (void)state;
    report_one("dp_1", "cred_1", "closed", 0);
    assert_int_equal(news.count, 0);
    report_one("dp_1", "cred_1", "open", IN_MS(5000));
    assert_int_equal(news.count, 1);
    assert_string_equal(news.hints[0]->dataplane_id, "dp_1");
    assert_string_equal(news.hints[0]->provider_id, "prov_1");
    assert_string_equal(news.hints[0]->credential_id, "cred_1");
    assert_string_equal(news.hints[0]->why, "failures");
    assert_in_range(news.hints[0]->for_ms, 5000, 5001);
    report_one("dp_1", "cred_1", "open", IN_MS(5000));
    assert_int_equal(news.count, 0); /* nothing that was not said */
    report_one("dp_1", "cred_1", "open", IN_MS(9000));
    assert_int_equal(news.count, 1);
    Gatehouse__EndpointReport again[] = {endpoint("cred_1", "open", IN_MS(9000))};
    assert_int_equal(report("dp_1", 1, again, 1, true), ERR_OK);
    assert_int_equal(news.count, 0); /* also where all is said anew */
    report_one("dp_1", "cred_1", "closed", 0);
    assert_int_equal(news.count, 1);
    assert_int_equal(news.hints[0]->for_ms, 0);
    report_one("dp_1", "cred_1", "open", IN_MS(-1)); /* it has passed */
    assert_int_equal(news.count, 0);
    report_one("dp_1", "cred_1", "open", IN_MS(INT64_C(90000000)));
    assert_int_equal(news.hints[0]->for_ms, 3600000); /* planes find out by themselves then */
}

static void a_report_that_no_plane_sends_is_refused_as_a_whole(void **state)
{
    (void)state;
    static char longer[80];
    memset(longer, 'a', sizeof(longer) - 1);
    report_one("dp_1", "cred_1", "closed", 0);
    for (int i = 0; i < 6; i++) {
        Gatehouse__EndpointReport rows[] = {endpoint("cred_1", "open", 0),
                                            endpoint("cred_2", "closed", 0)};
        if (i == 0)
            rows[1].state = (char *)(uintptr_t) "ajar";
        else if (i == 1)
            rows[1].state = NULL;
        else if (i == 2)
            rows[1].why = (char *)(uintptr_t) "mood";
        else if (i == 3)
            rows[1].provider_id = NULL;
        else if (i == 4)
            rows[1].credential_id = longer;
        else
            rows[1].region = longer;
        if (report("dp_1", 1, rows, 2, false) != ERR_INVALID)
            fail_msg("row %d", i);
    }
    assert_string_equal(rows_of("prov_1"), "dp_1/cred_1/closed ");
}

static void a_plane_that_reports_too_many_endpoints_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LIMIT_HEALTH_ENDPOINTS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "cred_%u", i);
        report_one("dp_1", id, "closed", 0);
    }
    Gatehouse__EndpointReport rows[] = {endpoint("cred_more", "closed", 0)};
    assert_int_equal(report("dp_1", 1, rows, 1, false), ERR_EXHAUSTED);
    assert_int_equal(report("dp_2", 1, rows, 1, false), ERR_OK);
    assert_int_equal(report("dp_1", 1, rows, 1, true), ERR_OK); /* it has one now */
    assert_int_equal(report("dp_1", 1, rows, 1, false), ERR_OK);
}

static void without_memory_the_board_stays_readable(void **state)
{
    (void)state;
    for (size_t n = 1; n < 20; n++) {
        Gatehouse__EndpointReport rows[] = {endpoint("cred_1", "closed", 0),
                                            endpoint("cred_2", "closed", 0)};
        char plane[16];
        snprintf(plane, sizeof(plane), "dp_%zu", n);
        mem_fail_after(n);
        enum err e = report(plane, 1, rows, 2, true);
        mem_fail_after(0);
        assert_true(e == ERR_OK || e == ERR_NOMEM);
        rows_of("prov_1");
    }
}

#define BOARD(name) cmocka_unit_test_setup_teardown(name, open_board, close_board)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOARD(each_plane_has_rows_of_its_own_and_the_newest_word_counts),
        BOARD(what_a_whole_report_leaves_out_is_no_more),
        BOARD(nothing_of_an_earlier_start_of_a_plane_holds),
        BOARD(it_is_news_that_an_endpoint_has_to_wait_or_need_not_any_more),
        BOARD(a_report_that_no_plane_sends_is_refused_as_a_whole),
        BOARD(a_plane_that_reports_too_many_endpoints_is_refused),
        BOARD(without_memory_the_board_stays_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
