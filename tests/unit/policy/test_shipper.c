/* shipper — what is journalled arrives in order, once, and is only then forgotten. */
#include "tests/unit/policy/policy_kit.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/policy/shipper.h"
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

/* A control plane that keeps what it is sent, and may lose answers. */
struct office {
    struct loop *loop;
    struct shipper *shipper;
    struct timer watch;
    uint64_t committed[8]; /* by worker */
    uint64_t epochs[8];
    unsigned batches, lose; /* lose: answers that do not come back */
    uint64_t finished;
    bool wait_for_finished;
    bool out_of_order;
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
    for (size_t i = 0; i < b->n_records; i++) {
        uint64_t sequence = b->first_sequence + i;
        unsigned call;
        assert_int_equal(b->records[i]->call_id.len, JOURNAL_CALL_ID);
        memcpy(&call, b->records[i]->call_id.data, sizeof(call));
        assert_int_equal(call, sequence);
        if (sequence > *at + 1)
            o->out_of_order = true;
        if (sequence == *at + 1)
            *at = sequence;
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
        take_batch(o, m->usage);
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
    if (shipper_is_empty(o->shipper) && (!o->wait_for_finished || o->finished != 0))
        loop_stop(o->loop);
    else
        timer_start(t, 5);
}

static void open_office(struct office *o, uint64_t epoch, unsigned workers)
{
    struct desk_links links = {.request = office_request, .is_connected = always, .arg = o};
    struct shipper_config c = {
        .dir = dir, .epoch = epoch, .workers = workers, .journal_bytes = 4 * 1024 * 1024};
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

static void every_record_arrives_in_order_although_answers_are_lost(void **state)
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
    assert_true(o.batches > 7);
    close_office(&o);
    assert_int_equal(files_left(), 0);
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

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_DIR(every_record_arrives_in_order_although_answers_are_lost),
        IN_DIR(an_earlier_starts_journal_is_shipped_under_its_own_epoch_and_reported),
    };
    return cmocka_run_group_tests_name("shipper", tests, NULL, NULL);
}
