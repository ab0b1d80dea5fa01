/*
 * lost_replies — a request whose reply is lost is sent again, to a control plane that may not
 * remember it: the second time has the same effect, and says the same.
 *
 * A row is one kind of request. Before the second time something else may have happened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/wire/enrol.h"
#include "tests/kit/db/channel_kit.h"
#include "tests/kit/db/lease_model.h"

/* Everything that a request of a plane can change. When something was done last moves with each
 * request, and is left out: until when a lease holds, when a server was listed. */
static const char *const tables[] = {"budget_accounts", "leases",       "ingest_cursor",
                                     "spans",           "sessions",     "spend_hours",
                                     "tools",           "tool_listings"};

struct books_print {
    int64_t sum[ARRAY_LEN(tables)];
};

static struct books_print print_books(void)
{
    struct books_print p;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        char sql[400];
        snprintf(sql, sizeof(sql),
                 "with x as (select (to_jsonb(t) - array['expires_at', 'updated_at', 'due_at',"
                 " 'hold_until', 'tried_at', 'listed_at'])::text as line from %s t)"
                 " select ('x' || substr(md5(coalesce(string_agg(line, '|' order by line), '')), 1,"
                 " 15))::bit(60)::bigint from x",
                 tables[i]);
        p.sum[i] = database_number(&base, sql);
    }
    return p;
}

static void expect_same_books(const char *name, const struct books_print *a,
                              const struct books_print *b)
{
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        if (a->sum[i] != b->sum[i])
            fail_msg("%s: the second time changed %s", name, tables[i]);
}

/* ---- the requests ---- */

/* One of each kind; what it points to lives as long as the program. */
static Gatehouse__Request request;
static char lease_id[ID_MAX];

static Gatehouse__Request *of_kind(Gatehouse__Request__BodyCase kind)
{
    gatehouse__request__init(&request);
    request.body_case = kind;
    return &request;
}

static void ask_hello(void)
{
    static Gatehouse__Hello m = GATEHOUSE__HELLO__INIT;
    m.has_protocol = true;
    m.protocol = 1;
    of_kind(GATEHOUSE__REQUEST__BODY_HELLO)->hello = &m;
}

static void ask_snapshot(void)
{
    static Gatehouse__SnapshotRequest m = GATEHOUSE__SNAPSHOT_REQUEST__INIT;
    of_kind(GATEHOUSE__REQUEST__BODY_SNAPSHOT)->snapshot = &m;
}

static void ask_applied(void)
{
    static Gatehouse__Applied m = GATEHOUSE__APPLIED__INIT;
    of_kind(GATEHOUSE__REQUEST__BODY_APPLIED)->applied = &m;
}

static void ask_money(void)
{
    static Gatehouse__LeaseAsk one = GATEHOUSE__LEASE_ASK__INIT, *asks[] = {&one};
    static Gatehouse__LeaseRequest m = GATEHOUSE__LEASE_REQUEST__INIT;
    one.account = (char *)ACCOUNT;
    one.has_want_nano = true;
    one.want_nano = 300;
    m.asks = asks;
    m.n_asks = 1;
    of_kind(GATEHOUSE__REQUEST__BODY_LEASE)->lease = &m;
}

static void have_lease(void)
{
    ask_money();
    Gatehouse__Reply *m = say("dp_a", &request);
    assert_null(m->error);
    assert_int_equal(m->lease->n_grants, 1);
    assert_int_equal(m->lease->grants[0]->granted_nano, 300);
    snprintf(lease_id, sizeof(lease_id), "%s", m->lease->grants[0]->lease_id);
    hush(m);
}

static void ask_renewal(void)
{
    have_lease();
    ask_money();
    request.lease->asks[0]->renew_lease_id = lease_id;
    request.lease->asks[0]->has_give_back_nano = true;
    request.lease->asks[0]->give_back_nano = 100;
}

static void say_end(void)
{
    static Gatehouse__LeaseEnd one = GATEHOUSE__LEASE_END__INIT, *ends[] = {&one};
    static Gatehouse__LeaseEndRequest m = GATEHOUSE__LEASE_END_REQUEST__INIT;
    one.lease_id = lease_id;
    one.has_settled_nano = true;
    one.settled_nano = 40;
    m.ends = ends;
    m.n_ends = 1;
    of_kind(GATEHOUSE__REQUEST__BODY_LEASE_END)->lease_end = &m;
}

static void end_of_lease(void)
{
    have_lease();
    say_end();
}

/* What was settled has come in: the rest is free, and leased to others. */
static void end_of_paid_lease(void)
{
    have_lease();
    ship_one("dp_a", 1, 1, ACCOUNT, lease_id, 40);
    say_end();
}

static void end_of_epoch(void)
{
    static uint64_t finished[] = {7};
    static Gatehouse__LeaseEndRequest m = GATEHOUSE__LEASE_END_REQUEST__INIT;
    assert_int_equal(ask_as("dp_a", 7, 1, ACCOUNT, 200, NULL).granted, 200);
    m.finished_epochs = finished;
    m.n_finished_epochs = 1;
    of_kind(GATEHOUSE__REQUEST__BODY_LEASE_END)->lease_end = &m;
}

static void ship_usage(void)
{
    static Gatehouse__UsageBatch b = GATEHOUSE__USAGE_BATCH__INIT;
    static Gatehouse__JournalRecord r = GATEHOUSE__JOURNAL_RECORD__INIT, *records[] = {&r};
    static Gatehouse__Charge c = GATEHOUSE__CHARGE__INIT, *charges[] = {&c};
    static Gatehouse__Span s = GATEHOUSE__SPAN__INIT;
    have_lease();
    c.account = (char *)ACCOUNT;
    c.lease_id = lease_id;
    c.has_amount_nano = true;
    c.amount_nano = 40;
    s.id = (char *)"00000000000000a1";
    s.gate = (char *)"ai";
    s.kind = (char *)"call";
    s.status = (char *)"ok";
    s.session_id = (char *)"s_0000000000000000000001";
    s.key_id = (char *)"k_1";
    s.has_started_at_us = s.has_cost_known = s.cost_known = s.has_cost_nano = true;
    s.started_at_us = clock_wall_us();
    s.cost_nano = 40;
    r.span = &s;
    r.charges = charges;
    r.n_charges = 1;
    b.has_epoch = b.has_worker = b.has_first_sequence = true;
    b.epoch = 1;
    b.first_sequence = 1;
    b.records = records;
    b.n_records = 1;
    of_kind(GATEHOUSE__REQUEST__BODY_USAGE)->usage = &b;
}

static void report_tools(void)
{
    static uint8_t digest[DIGEST_LEN] = {1};
    static Gatehouse__DirectTool one = GATEHOUSE__DIRECT_TOOL__INIT, *list[] = {&one};
    static char *names[] = {(char *)"echo"};
    static Gatehouse__ToolReport m = GATEHOUSE__TOOL_REPORT__INIT;
    one.name = names[0];
    one.has_digest = true;
    one.digest = (ProtobufCBinaryData){.data = digest, .len = sizeof(digest)};
    one.definition = (char *)"{\"name\":\"echo\"}";
    m.server_id = (char *)"mcp_one";
    m.has_complete = m.complete = true;
    m.has_revision = m.has_ask = true;
    m.revision = m.ask = 1;
    m.tools = list;
    m.n_tools = 1;
    m.names = names;
    m.n_names = 1;
    of_kind(GATEHOUSE__REQUEST__BODY_TOOLS)->tools = &m;
}

static void report_failure(void)
{
    report_tools();
    static Gatehouse__ToolReport m;
    m = *request.tools;
    m.has_complete = m.complete = false;
    m.n_tools = m.n_names = 0;
    m.error = (char *)"refused";
    request.tools = &m;
}

static void ask_listings(void)
{
    static Gatehouse__ListingAsk m = GATEHOUSE__LISTING_ASK__INIT;
    m.has_room = true;
    m.room = 4;
    of_kind(GATEHOUSE__REQUEST__BODY_LISTING)->listing = &m;
}

static void ask_certificate(void)
{
    static Gatehouse__RenewRequest m = GATEHOUSE__RENEW_REQUEST__INIT;
    static char csr_text[8192];
    struct buf key, csr;
    buf_init(&key, sizeof(csr_text));
    buf_init(&csr, sizeof(csr_text) - 1);
    assert_int_equal(enrol_make_request(&key, &csr), ERR_OK);
    snprintf(csr_text, sizeof(csr_text), "%.*s", SLICE_ARG(buf_slice(&csr)));
    buf_fini(&key);
    buf_fini(&csr);
    m.csr_pem = csr_text;
    of_kind(GATEHOUSE__REQUEST__BODY_RENEW)->renew = &m;
}

/* ---- meanwhile ---- */

/* Another plane has what the end gave back: it must not be given back twice. */
static void others_take_the_rest(void)
{
    assert_true(ask("dp_b", 1, 1000, NULL).granted > 0);
}

/* What the plane was told by the reply that was lost, an owner has decided since. */
static void an_owner_decides(void)
{
    assert_int_equal(database_number(&base, "select count(*) from tools where state = 'approved'"),
                     1);
    database_say(&base, "update tools set spec = jsonb_set(spec, '{state}', '\"quarantined\"')");
}

/* ---- the rows ---- */

struct lost_row {
    const char *name;
    void (*prepare)(void);   /* sets the request */
    void (*meanwhile)(void); /* NULL: nothing */
    bool other_words;        /* the reply may differ: a certificate is a new one */
    bool not_anew;           /* under another number it is another request */
};

static const struct lost_row rows[] = {
    {.name = "hello", .prepare = ask_hello},
    {.name = "snapshot", .prepare = ask_snapshot},
    {.name = "applied", .prepare = ask_applied},
    {.name = "lease", .prepare = ask_money, .not_anew = true},
    {.name = "lease, others took the rest",
     .prepare = ask_money,
     .meanwhile = others_take_the_rest,
     .other_words = true, /* what is spent by all has grown */
     .not_anew = true},
    {.name = "renewal that hands back", .prepare = ask_renewal, .not_anew = true},
    {.name = "end of a lease", .prepare = end_of_lease},
    {.name = "end of a lease that is paid", .prepare = end_of_paid_lease},
    {.name = "end of a lease, others took the rest",
     .prepare = end_of_paid_lease,
     .meanwhile = others_take_the_rest},
    {.name = "end of an epoch", .prepare = end_of_epoch},
    {.name = "end of an epoch, others took the rest",
     .prepare = end_of_epoch,
     .meanwhile = others_take_the_rest},
    {.name = "usage", .prepare = ship_usage},
    {.name = "usage, others took the rest",
     .prepare = ship_usage,
     .meanwhile = others_take_the_rest},
    {.name = "tools", .prepare = report_tools},
    {.name = "tools, an owner decided", .prepare = report_tools, .meanwhile = an_owner_decides},
    {.name = "a listing that failed", .prepare = report_failure},
    {.name = "listings", .prepare = ask_listings},
    {.name = "certificate", .prepare = ask_certificate, .other_words = true},
};

static struct slice pack(const Gatehouse__Reply *m, struct buf *out)
{
    static uint8_t bytes[256 * 1024];
    Gatehouse__Reply numberless = *m;
    numberless.has_number = false;
    assert_true(gatehouse__reply__get_packed_size(&numberless) <= sizeof(bytes));
    size_t len = gatehouse__reply__pack(&numberless, bytes);
    assert_int_equal(buf_append(out, slice_of((const char *)bytes, len)), ERR_OK);
    return buf_slice(out);
}

static void expect_again(const struct lost_row *row, Gatehouse__Reply *again,
                         const struct books_print *was, struct slice said)
{
    struct buf out;
    struct books_print now_is = print_books();
    buf_init(&out, 256 * 1024);
    if (again->error)
        fail_msg("%s: the second time is refused: %s", row->name, again->error);
    expect_same_books(row->name, was, &now_is);
    if (!row->other_words && !slice_eq(pack(again, &out), said))
        fail_msg("%s: the second time says something else", row->name);
    buf_fini(&out);
    hush(again);
}

static void begin_row(void)
{
    fresh_books(NULL);
    now = clock_wall_us(); /* as the channel has it */
    database_say(&base, "truncate spans, sessions, spend_hours, ingest_cursor");
    database_say(&base, "delete from tools");
    database_say(&base, "delete from tool_listings");
}

static void the_second_time_has_the_same_effect_and_says_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf said;
        buf_init(&said, 256 * 1024);
        begin_row();
        rows[i].prepare();
        Gatehouse__Reply *first = say("dp_a", &request);
        if (first->error)
            fail_msg("%s: %s", rows[i].name, first->error);
        pack(first, &said);
        hush(first);
        if (rows[i].meanwhile)
            rows[i].meanwhile();
        struct books_print was = print_books();
        expect_again(&rows[i], say_again("dp_a", &request), &was, buf_slice(&said));
        if (!rows[i].not_anew)
            expect_again(&rows[i], say("dp_a", &request), &was, buf_slice(&said));
        buf_fini(&said);
    }
}

/* The plane settles more between the two: the end that it means is the last. */
static void a_repeated_end_with_less_takes_nothing_back(void **state)
{
    (void)state;
    begin_row();
    end_of_lease();
    hush(say("dp_a", &request));
    request.lease_end->ends[0]->settled_nano = 10;
    hush(say("dp_a", &request));
    ship_one("dp_a", 1, 1, ACCOUNT, lease_id, 10);
    expect_books(10, 290, 0); /* 40 were settled, and 30 of them have not come in */
    ship_one("dp_a", 1, 2, ACCOUNT, lease_id, 30);
    expect_books(40, 0, 0);
}

/* ---- */

static bool is_here(void *arg, struct slice id)
{
    (void)arg;
    (void)id;
    return true;
}

static int open_base(void **state)
{
    char sql[256];
    open_rich_base(state);
    channel_kit_open();
    rollout_ask_presence(channel.rollout, is_here, NULL);
    snprintf(sql, sizeof(sql),
             "insert into mcp_servers (id, org_id, name, spec) values ('mcp_one', '%s', 'one',"
             " '{\"transport\":\"streamable-http\"}')",
             base.boot.org_id);
    database_say(&base, sql);
    return 0;
}

static int close_base(void **state)
{
    channel_kit_close();
    return base_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_time_has_the_same_effect_and_says_the_same),
        cmocka_unit_test(a_repeated_end_with_less_takes_nothing_back),
    };
    return cmocka_run_group_tests(tests, open_base, close_base);
}
