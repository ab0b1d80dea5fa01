/* shipper — what is journalled arrives in order, once, and is only then forgotten. */
#include "tests/unit/policy/policy_kit.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/policy/shipper.h"
#include "common/wire/usage_batch.h"
#include "tests/kit/journal_calls.h"

static char dir[SCRATCH_MAX];

static int make_dir(void **state)
{
    (void)state;
    return scratch_folder(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[SCRATCH_MAX + 16];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

/* A control plane that keeps what it is sent, and may lose replies. */
struct office {
    struct loop *loop;
    struct shipper *shipper;
    struct timer watch;
    uint64_t committed[8]; /* by worker */
    uint64_t epochs[8];
    unsigned batches, lose; /* lose: replies that do not arrive */
    size_t first, largest;  /* bytes of records in one of them */
    unsigned takes;         /* of a batch at most so many; 0: all */
    uint64_t finished;
    bool wait_for_finished;
    bool out_of_order;
    size_t journal_bytes;
    uint64_t calls, folded; /* that came in, and those of them that came in sums */
    int64_t charged;
    atomic_bool written; /* a writer of its own thread has ended */
    bool has_writer;
    pthread_t writer;
};

struct ack {
    void (*done)(void *arg, enum err e, const void *reply);
    void *arg;
    uint64_t epoch, committed;
    uint32_t worker;
    bool lost, usage;
};

static void deliver(void *arg)
{
    struct ack *a = arg;
    Gatehouse__Reply r = GATEHOUSE__REPLY__INIT;
    Gatehouse__UsageAck u = GATEHOUSE__USAGE_ACK__INIT;
    u.has_epoch = u.has_worker = u.has_committed = true;
    u.epoch = a->epoch;
    u.worker = a->worker;
    u.committed = a->committed;
    if (a->usage) {
        r.body_case = GATEHOUSE__REPLY__BODY_USAGE;
        r.usage = &u;
    }
    a->done(a->arg, a->lost ? ERR_TIMEOUT : ERR_OK, a->lost ? NULL : &r);
    mem_free(a);
}

/* What travels is read back as the control plane would: through the wire format. */
static void take_batch(struct office *o, const Gatehouse__UsageBatch *b)
{
    uint64_t *at = &o->committed[b->worker];
    o->epochs[b->worker] = b->epoch;
    o->batches++;
    for (size_t i = 0; i < b->n_records && (o->takes == 0 || i < o->takes); i++) {
        uint64_t sequence = b->first_sequence + i;
        const Gatehouse__JournalRecord *r = b->records[i];
        unsigned call;
        assert_int_equal(r->call_id.len, JOURNAL_CALL_ID);
        memcpy(&call, r->call_id.data, sizeof(call));
        if (o->journal_bytes == 0) /* then all have records of their own */
            assert_int_equal(call, sequence);
        if (sequence > *at + 1)
            o->out_of_order = true;
        if (sequence != *at + 1)
            continue;
        *at = sequence;
        o->calls += r->span->has_calls ? r->span->calls : 1;
        o->folded += r->span->has_calls ? r->span->calls : 0;
        o->charged += r->n_charges ? r->charges[0]->amount_nano : 0;
    }
}

static enum err office_request(void *arg, void *message,
                               void (*done)(void *done_arg, enum err e, const void *reply),
                               void *done_arg)
{
    struct office *o = arg;
    size_t len = gatehouse__request__get_packed_size(message);
    uint8_t *wire = mem_alloc(len);
    struct ack *a = mem_zalloc(sizeof(*a));
    gatehouse__request__pack(message, wire);
    Gatehouse__Request *m = gatehouse__request__unpack(NULL, len, wire);
    assert_non_null(m);
    a->done = done;
    a->arg = done_arg;
    if (m->body_case == GATEHOUSE__REQUEST__BODY_USAGE) {
        Gatehouse__UsageBatch *batch;
        assert_int_equal(usage_batch_open(m->usage, &batch), ERR_OK);
        size_t bytes = m->usage->packed_from;
        o->first = o->first ? o->first : bytes;
        o->largest = bytes > o->largest ? bytes : o->largest;
        take_batch(o, batch);
        usage_batch_free(batch);
        a->usage = true;
        a->epoch = m->usage->epoch;
        a->worker = m->usage->worker;
        a->committed = o->committed[m->usage->worker];
        a->lost = o->lose > 0;
        o->lose -= o->lose > 0;
    } else {
        assert_int_equal(m->lease_end->n_finished_epochs, 1);
        o->finished = m->lease_end->finished_epochs[0];
    }
    gatehouse__request__free_unpacked(m, NULL);
    mem_free(wire);
    enum err e = loop_post(o->loop, deliver, a);
    if (e != ERR_OK)
        mem_free(a);
    return e;
}

static bool always(void *arg UNUSED)
{
    return true;
}

static void on_watch(struct timer *t)
{
    struct office *o = CONTAINER_OF(t, struct office, watch);
    if (o->has_writer && atomic_load(&o->written)) {
        pthread_join(o->writer, NULL);
        o->has_writer = false;
        shipper_inherit(o->shipper);
    }
    if (!o->has_writer && shipper_is_empty(o->shipper) &&
        (!o->wait_for_finished || o->finished != 0))
        loop_stop(o->loop);
    else
        timer_start(t, 5);
}

static void open_office(struct office *o, uint64_t epoch, unsigned workers)
{
    struct control_link links = {.request = office_request, .is_connected = always, .arg = o};
    struct shipper_config c = {.dir = dir,
                               .epoch = epoch,
                               .workers = workers,
                               .journal_bytes =
                                   o->journal_bytes ? o->journal_bytes : 4 * 1024 * 1024};
    assert_int_equal(loop_new(&o->loop), ERR_OK);
    assert_int_equal(shipper_new(o->loop, &c, &links, &o->shipper), ERR_OK);
    timer_init(&o->watch, o->loop, on_watch);
}

static void close_office(struct office *o)
{
    shipper_free(o->shipper);
    loop_free(o->loop);
}

static void write_calls(struct journal *j, unsigned from, unsigned n, bool close)
{
    for (unsigned i = from; i < from + n; i++) {
        Gatehouse__JournalRecord m = GATEHOUSE__JOURNAL_RECORD__INIT;
        Gatehouse__Span span = GATEHOUSE__SPAN__INIT;
        struct journal_entry entry;
        uint8_t id[JOURNAL_CALL_ID] = {0};
        memcpy(id, &i, sizeof(i));
        m.has_call_id = true;
        m.call_id = (ProtobufCBinaryData){sizeof(id), id};
        m.span = &span;
        span.name = "chat";
        assert_int_equal(kit_open_call(j, &m, &entry), ERR_OK);
        if (close)
            assert_int_equal(kit_close_call(j, &m, &entry), ERR_OK);
    }
}

static size_t files_left(void)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    for (const struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void every_record_arrives_in_order_although_replies_are_lost(void **state)
{
    (void)state;
    struct office o = {.lose = 2};
    open_office(&o, 1, 2);
    write_calls(shipper_journal(o.shipper, 0), 1, 3000, true);
    write_calls(shipper_journal(o.shipper, 1), 1, 10, true);
    timer_start(&o.watch, 5);
    loop_run(o.loop);
    assert_false(o.out_of_order);
    assert_int_equal(o.committed[0], 3000);
    assert_int_equal(o.committed[1], 10);
    assert_true(o.batches >= 5); /* two and one, and two again whose replies were lost */
    close_office(&o);
    assert_int_equal(files_left(), 0);
}

static void what_was_not_taken_of_a_batch_is_sent_again(void **state)
{
    (void)state;
    struct office o = {.takes = 1000};
    open_office(&o, 1, 1);
    write_calls(shipper_journal(o.shipper, 0), 1, 3000, true);
    timer_start(&o.watch, 5);
    loop_run(o.loop);
    assert_false(o.out_of_order);
    assert_int_equal(o.committed[0], 3000);
    assert_int_equal(o.batches, 3);
    close_office(&o);
    assert_int_equal(files_left(), 0);
}

#define LONG_NAME 1000
#define BATCH_FULL (256 * 1024) /* as shipper.c has it */

static void write_long_calls(struct journal *j, unsigned n)
{
    char name[LONG_NAME + 1] = {0};
    memset(name, 'n', LONG_NAME);
    for (unsigned i = 1; i <= n; i++) {
        Gatehouse__JournalRecord m = GATEHOUSE__JOURNAL_RECORD__INIT;
        Gatehouse__Span span = GATEHOUSE__SPAN__INIT;
        struct journal_entry entry;
        uint8_t id[JOURNAL_CALL_ID] = {0};
        memcpy(id, &i, sizeof(i));
        m.has_call_id = true;
        m.call_id = (ProtobufCBinaryData){sizeof(id), id};
        m.span = &span;
        span.name = "chat";
        assert_int_equal(kit_open_call(j, &m, &entry), ERR_OK);
        span.name = name;
        assert_int_equal(kit_close_call(j, &m, &entry), ERR_OK);
    }
}

static void a_batch_is_small_while_the_control_plane_keeps_up(void **state)
{
    (void)state;
    struct office o = {0};
    open_office(&o, 1, 1);
    write_long_calls(shipper_journal(o.shipper, 0), 700);
    timer_start(&o.watch, 5);
    loop_run(o.loop);
    assert_int_equal(o.committed[0], 700);
    assert_in_range(o.largest, BATCH_FULL, BATCH_FULL + 2 * LONG_NAME);
    assert_int_equal(o.batches, 3);
    close_office(&o);
}

static void a_batch_is_large_where_half_of_the_ring_waits(void **state)
{
    (void)state;
    struct office o = {0};
    open_office(&o, 1, 1);
    write_long_calls(shipper_journal(o.shipper, 0), 2500);
    timer_start(&o.watch, 5);
    loop_run(o.loop);
    assert_int_equal(o.committed[0], 2500);
    assert_in_range(o.first, USAGE_BATCH_MAX - 2 * LONG_NAME, USAGE_BATCH_MAX);
    assert_true(o.batches >= 6); /* what is left is less than half, and goes in small ones */
    close_office(&o);
}

/* Writes a call every few milliseconds, until there are enough. */
struct trickle {
    struct office office;
    struct timer next;
    unsigned written;
};

#define TRICKLED 100

static void on_next(struct timer *t)
{
    struct trickle *k = CONTAINER_OF(t, struct trickle, next);
    write_calls(shipper_journal(k->office.shipper, 0), ++k->written, 1, true);
    if (k->written < TRICKLED)
        timer_start(t, 5);
    else
        timer_start(&k->office.watch, 5);
}

static void records_that_come_one_by_one_travel_together(void **state)
{
    (void)state;
    struct trickle k = {.written = 0};
    open_office(&k.office, 1, 1);
    timer_init(&k.next, k.office.loop, on_next);
    uint64_t began = clock_mono_us();
    timer_start(&k.next, 5);
    loop_run(k.office.loop);
    uint64_t took_ms = (clock_mono_us() - began) / 1000;
    assert_int_equal(k.office.committed[0], TRICKLED);
    assert_true(k.office.batches <= took_ms / 150 + 1);
    assert_true(k.office.batches < TRICKLED / 10);
    close_office(&k.office);
}

static void an_earlier_starts_journal_is_shipped_under_its_own_epoch_and_reported(void **state)
{
    (void)state;
    struct office killed = {0}, o = {.wait_for_finished = true};
    open_office(&killed, 1, 1);
    write_calls(shipper_journal(killed.shipper, 0), 1, 5, true);
    write_calls(shipper_journal(killed.shipper, 0), 6, 1, false); /* under way when it is killed */
    close_office(&killed);
    assert_int_equal(files_left(), 1);

    struct shipper_counts c;
    open_office(&o, 2, 1);
    shipper_counts(o.shipper, &c);
    assert_int_equal(c.lost, 1);
    timer_start(&o.watch, 5);
    loop_run(o.loop);
    assert_int_equal(o.committed[0], 6);
    assert_int_equal(o.epochs[0], 1);
    assert_int_equal(o.finished, 1);
    close_office(&o);
    assert_int_equal(files_left(), 0);
}

static enum err open_beside(const char *name, mode_t kind)
{
    char path[SCRATCH_MAX + 64];
    struct loop *loop;
    struct shipper *s = NULL;
    struct office o = {0};
    struct control_link links = {.request = office_request, .is_connected = always, .arg = &o};
    struct shipper_config c = {.dir = dir, .epoch = 9, .workers = 1, .journal_bytes = 1 << 20};
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(kind == S_IFDIR ? mkdir(path, 0700) : mknod(path, S_IFREG | 0600, 0), 0);
    assert_int_equal(loop_new(&loop), ERR_OK);
    enum err e = shipper_new(loop, &c, &links, &s);
    if (e == ERR_OK)
        shipper_free(s);
    loop_free(loop);
    snprintf(path, sizeof(path), "%s/%s.unreadable", dir, name);
    assert_int_equal(access(path, F_OK) == 0, e == ERR_OK); /* set aside, or left as it is */
    if (e != ERR_OK)
        snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(remove(path), 0);
    return e;
}

static void only_what_is_no_journal_is_set_aside(void **state)
{
    (void)state;
    assert_int_equal(open_beside("journal-0000000000000001-0", S_IFREG), ERR_OK); /* begun */
    assert_int_equal(open_beside("journal-0000000000000002-0", S_IFDIR), ERR_IO); /* not opened */
    assert_int_equal(files_left(), 0);
}

/* ---- what was folded ---- */

#define SMALL (64 * 1024) /* some hundred calls */

static void charged_call(struct journal *j, unsigned n, bool close)
{
    char path[200];
    Gatehouse__JournalRecord m = GATEHOUSE__JOURNAL_RECORD__INIT;
    Gatehouse__Span span = GATEHOUSE__SPAN__INIT;
    Gatehouse__Charge charge = GATEHOUSE__CHARGE__INIT, *charges[] = {&charge};
    struct journal_entry entry;
    uint8_t id[JOURNAL_CALL_ID] = {0};
    memset(path, 'p', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    memcpy(id, &n, sizeof(n));
    m.has_call_id = true;
    m.call_id = (ProtobufCBinaryData){sizeof(id), id};
    m.span = &span;
    m.n_charges = 1;
    m.charges = charges;
    span.path = path;
    span.model = (char *)(uintptr_t)(n % 2 ? "odd" : "even");
    charge.account = (char *)(uintptr_t) "key:k_1";
    charge.lease_id = (char *)(uintptr_t) "l_1";
    charge.has_amount_nano = true;
    charge.amount_nano = 100;
    MUST(kit_open_call(j, &m, &entry) == ERR_OK);
    charge.amount_nano = 1 + n % 9;
    MUST(!close || kit_close_call(j, &m, &entry) == ERR_OK);
}

static int64_t charge_of_the_first(unsigned n)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += 1 + i % 9;
    return sum;
}

static void sums_follow_once_the_writer_has_stopped(void **state)
{
    (void)state;
    struct office o = {.journal_bytes = SMALL, .lose = 1};
    struct shipper_counts c;
    open_office(&o, 1, 1);
    for (unsigned n = 0; n < 5000; n++)
        charged_call(shipper_journal(o.shipper, 0), n, true);
    shipper_counts(o.shipper, &c);
    assert_true(c.folded > 4000);
    assert_int_equal(c.dropped, 0);
    assert_false(shipper_is_empty(o.shipper));
    shipper_inherit(o.shipper);
    timer_start(&o.watch, 5);
    loop_run(o.loop);
    shipper_counts(o.shipper, &c);
    assert_int_equal(c.waiting, 0);
    assert_int_equal(o.calls, 5000);
    assert_int_equal(o.folded, c.folded);
    assert_int_equal(o.charged, charge_of_the_first(5000));
    close_office(&o);
    assert_int_equal(files_left(), 0);
}

static void a_killed_plane_s_sums_are_shipped_before_its_epoch_is_finished(void **state)
{
    (void)state;
    struct office killed = {.journal_bytes = SMALL};
    struct office o = {.journal_bytes = SMALL, .wait_for_finished = true};
    open_office(&killed, 1, 1);
    for (unsigned n = 0; n < 3000; n++)
        charged_call(shipper_journal(killed.shipper, 0), n, true);
    charged_call(shipper_journal(killed.shipper, 0), 3000, false);
    close_office(&killed);
    assert_int_equal(files_left(), 1);

    open_office(&o, 2, 1);
    timer_start(&o.watch, 5);
    loop_run(o.loop);
    assert_false(o.out_of_order);
    assert_int_equal(o.calls, 3001);
    assert_true(o.folded > 2000);
    assert_int_equal(o.charged, charge_of_the_first(3000) + 100);
    assert_int_equal(o.finished, 1);
    close_office(&o);
    assert_int_equal(files_left(), 0);
}

#define WRITTEN 20000

static void *write_all(void *arg)
{
    struct office *o = arg;
    struct journal *j = shipper_journal(o->shipper, 0);
    for (unsigned n = 0; n < WRITTEN; n++) {
        charged_call(j, n, true);
        if (n % 50 == 0)
            journal_tend(j);
    }
    atomic_store(&o->written, true);
    return NULL;
}

static void a_writer_that_is_faster_than_the_control_plane_loses_nothing(void **state)
{
    (void)state;
    struct office o = {.journal_bytes = SMALL, .has_writer = true};
    open_office(&o, 1, 1);
    assert_int_equal(pthread_create(&o.writer, NULL, write_all, &o), 0);
    timer_start(&o.watch, 5);
    loop_run(o.loop);
    assert_false(o.out_of_order);
    assert_int_equal(o.calls, WRITTEN);
    assert_true(o.folded > 0);
    assert_int_equal(o.charged, charge_of_the_first(WRITTEN));
    close_office(&o);
    assert_int_equal(files_left(), 0);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_DIR(every_record_arrives_in_order_although_replies_are_lost),
        IN_DIR(what_was_not_taken_of_a_batch_is_sent_again),
        IN_DIR(a_batch_is_small_while_the_control_plane_keeps_up),
        IN_DIR(a_batch_is_large_where_half_of_the_ring_waits),
        IN_DIR(records_that_come_one_by_one_travel_together),
        IN_DIR(an_earlier_starts_journal_is_shipped_under_its_own_epoch_and_reported),
        IN_DIR(only_what_is_no_journal_is_set_aside),
        IN_DIR(sums_follow_once_the_writer_has_stopped),
        IN_DIR(a_killed_plane_s_sums_are_shipped_before_its_epoch_is_finished),
        IN_DIR(a_writer_that_is_faster_than_the_control_plane_loses_nothing),
    };
    return cmocka_run_group_tests_name("shipper", tests, NULL, NULL);
}
