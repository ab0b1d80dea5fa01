/* publication — every worker gets the newest version, and no wait ends before all have it. */
#include "tests/unit/policy/policy_kit.h"

#include "common/policy/snapshot_private.h"
#include "dataplane/publication.h"

#define WORKERS 3

/* A worker whose mailbox can be full, and whose turns end when the test says so. */
struct fake_worker {
    bool full, stopped;
    uint64_t version; /* the last one received */
    unsigned tellings;
    void (*ended)(void *arg);
    void *arg;
};

struct fixture {
    struct loop *loop;
    struct registry *registry;
    struct publication *publication;
    struct fake_worker workers[WORKERS];
    struct timer timer;
    int scene;
    void (*script)(struct fixture *f, int scene);
    unsigned done;          /* waits that ended */
    uint64_t seen[WORKERS]; /* each worker's version as the last wait ended */
};

static enum err tell(void *worker, const struct snapshot *s)
{
    struct fake_worker *w = worker;
    if (w->stopped)
        return ERR_CLOSED;
    if (w->full)
        return ERR_EXHAUSTED;
    w->version = s->version;
    w->tellings++;
    return ERR_OK;
}

static enum err after_turn(void *worker, void (*fn)(void *arg), void *arg)
{
    struct fake_worker *w = worker;
    if (w->stopped)
        return ERR_CLOSED;
    if (w->full)
        return ERR_EXHAUSTED;
    assert_null(w->ended);
    w->ended = fn;
    w->arg = arg;
    return ERR_OK;
}

static void end_turn(struct fake_worker *w)
{
    void (*fn)(void *arg) = w->ended;
    w->ended = NULL;
    if (fn)
        fn(w->arg);
}

static void on_quiet(void *arg)
{
    struct fixture *f = arg;
    f->done++;
    for (size_t i = 0; i < WORKERS; i++)
        f->seen[i] = f->workers[i].version;
}

static void publish(struct fixture *f, uint64_t version)
{
    struct snapshot_build *b;
    assert_int_equal(snapshot_build_begin(NULL, f->registry, &b), ERR_OK);
    struct snapshot *s = snapshot_build_end(&b, SLICE("lineage"), version);
    publication_put(f->publication, s);
    snapshot_drop(s);
}

static void on_scene(struct timer *t)
{
    struct fixture *f = CONTAINER_OF(t, struct fixture, timer);
    f->script(f, f->scene++);
    timer_start(t, 20);
}

static void open_fixture(struct fixture *f)
{
    static const struct publication_ops ops = {tell, after_turn};
    *f = (struct fixture){.registry = registry_new()};
    assert_int_equal(loop_new(&f->loop), ERR_OK);
    assert_int_equal(publication_new(f->loop, &ops, WORKERS, &f->publication), ERR_OK);
    for (size_t i = 0; i < WORKERS; i++)
        publication_add(f->publication, &f->workers[i]);
    timer_init(&f->timer, f->loop, on_scene);
}

static void run(struct fixture *f, void (*script)(struct fixture *f, int scene))
{
    f->script = script;
    f->scene = 0;
    timer_start(&f->timer, 0);
    loop_run(f->loop);
    timer_cancel(&f->timer);
}

static void close_fixture(struct fixture *f)
{
    publication_free(f->publication);
    loop_free(f->loop);
    registry_free(f->registry);
}

static void one_is_full(struct fixture *f, int scene)
{
    struct fake_worker *w = f->workers;
    if (scene == 0) {
        w[1].full = true;
        publish(f, 1);
        publication_after_turns(f->publication, on_quiet, f);
    }
    for (size_t i = 0; i < WORKERS; i++)
        end_turn(&w[i]);
    if (scene == 3) {
        assert_int_equal(publication_untold(f->publication), 1);
        assert_int_equal(f->done, 0); /* two have it, one does not */
        publish(f, 2);
        w[1].full = false;
    }
    if (f->done || scene > 100)
        loop_stop(f->loop);
}

static void a_worker_that_cannot_be_told_holds_up_the_acknowledgement_until_it_was(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    run(&f, one_is_full);
    assert_int_equal(f.done, 1);
    assert_int_equal(publication_untold(f.publication), 0);
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(f.seen[i], 2);
    assert_int_equal(f.workers[1].tellings, 1); /* the version it missed was replaced */
    close_fixture(&f);
}

static void one_is_slow(struct fixture *f, int scene)
{
    if (scene == 0) {
        publish(f, 1);
        publication_after_turns(f->publication, on_quiet, f);
    }
    end_turn(&f->workers[0]);
    end_turn(&f->workers[2]);
    if (scene == 3) {
        assert_int_equal(f->done, 0);
        publication_after_turns(f->publication, on_quiet, f); /* waits for a turn of its own */
        end_turn(&f->workers[1]);
    }
    if (scene == 6) {
        assert_int_equal(f->done, 1);
        end_turn(&f->workers[1]);
    }
    if (f->done == 2 || scene > 100)
        loop_stop(f->loop);
}

static void a_wait_ends_when_the_slowest_worker_has_ended_a_turn(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    run(&f, one_is_slow);
    assert_int_equal(f.done, 2);
    close_fixture(&f);
}

static void all_stop(struct fixture *f, int scene)
{
    if (scene == 0) {
        publish(f, 1);
        publication_after_turns(f->publication, on_quiet, f);
        f->workers[0].stopped = true; /* its messages are not handled any more */
    }
    if (scene == 2) {
        for (size_t i = 1; i < WORKERS; i++)
            end_turn(&f->workers[i]);
    }
    if (scene == 4) {
        assert_int_equal(f->done, 1);
        publication_clear(f->publication);
        publication_after_turns(f->publication, on_quiet, f);
    }
    if (f->done == 2 || scene > 100)
        loop_stop(f->loop);
}

static void a_worker_that_has_stopped_holds_up_nothing(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    run(&f, all_stop);
    assert_int_equal(f.done, 2);
    close_fixture(&f);
}

static void stop_at_once(struct fixture *f, int scene UNUSED)
{
    publication_after_turns(f->publication, on_quiet, f);
    if (f->workers[0].ended)
        loop_stop(f->loop);
}

/* A second SIGTERM: the main loop ends first, and its mailbox takes nothing any more; then the
 * workers end their turns. */
static void the_main_loop_may_end_while_a_wait_is_under_way(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    run(&f, stop_at_once);
    for (size_t i = 0; i < WORKERS; i++)
        end_turn(&f.workers[i]);
    publication_clear(f.publication);
    close_fixture(&f);
    assert_int_equal(f.done, 0);
}

static void nothing(void *arg)
{
    ++*(unsigned *)arg;
}

static unsigned letters;

static void main_mailbox_is_full(struct fixture *f, int scene)
{
    if (scene == 0)
        publication_after_turns(f->publication, on_quiet, f);
    if (scene == 2) {
        while (loop_post(f->loop, nothing, &letters) == ERR_OK)
            ;
        for (size_t i = 0; i < WORKERS; i++)
            end_turn(&f->workers[i]); /* the last one's letter does not fit the mailbox */
    }
    if (f->done || scene > 100)
        loop_stop(f->loop);
}

static void a_full_mailbox_of_the_main_loop_delays_a_wait_and_ends_nothing(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    letters = 0;
    run(&f, main_mailbox_is_full);
    assert_int_equal(f.done, 1);
    assert_true(letters > 1000);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_that_cannot_be_told_holds_up_the_acknowledgement_until_it_was),
        cmocka_unit_test(a_wait_ends_when_the_slowest_worker_has_ended_a_turn),
        cmocka_unit_test(a_worker_that_has_stopped_holds_up_nothing),
        cmocka_unit_test(the_main_loop_may_end_while_a_wait_is_under_way),
        cmocka_unit_test(a_full_mailbox_of_the_main_loop_delays_a_wait_and_ends_nothing),
    };
    return cmocka_run_group_tests_name("publication", tests, NULL, NULL);
}
