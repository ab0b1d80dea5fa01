/* thread_pool: what is taken is done once, also at the end; what is one too many is not taken. */
#include "tests/unit/base/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "controlplane/api/thread_pool.h"

#define JOBS 2000
#define PUSHERS 4

static atomic_uint runs[JOBS];
static atomic_bool gate_is_open;
static atomic_uint waiting;

static void count(void *arg)
{
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static void wait_at_the_gate(void *arg)
{
    (void)arg;
    atomic_fetch_add(&waiting, 1);
    while (!atomic_load(&gate_is_open))
        usleep(1000);
}

static void expect_each_once(size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(atomic_exchange(&runs[i], 0), 1);
}

struct pusher {
    struct thread_pool *pool;
    size_t first;
};

static void *push_all(void *arg)
{
    struct pusher *p = arg;
    for (size_t i = p->first; i < JOBS; i += PUSHERS)
        while (thread_pool_push(p->pool, count, &runs[i]) != ERR_OK)
            usleep(100);
    return NULL;
}

static void what_many_threads_push_runs_once_each(void **state)
{
    (void)state;
    struct thread_pool *p = NULL;
    struct pusher pushers[PUSHERS];
    pthread_t threads[PUSHERS];
    assert_int_equal(thread_pool_start("test", 3, 16, &p), ERR_OK);
    for (size_t i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct pusher){p, i};
        assert_int_equal(pthread_create(&threads[i], NULL, push_all, &pushers[i]), 0);
    }
    for (size_t i = 0; i < PUSHERS; i++)
        pthread_join(threads[i], NULL);
    thread_pool_stop(&p);
    assert_null(p);
    expect_each_once(JOBS);
}

static void a_full_queue_refuses_and_its_jobs_still_run(void **state)
{
    (void)state;
    enum { QUEUE = 8, THREADS = 2 };
    struct thread_pool *p = NULL;
    atomic_store(&gate_is_open, false);
    assert_int_equal(thread_pool_start("test", THREADS, QUEUE, &p), ERR_OK);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(thread_pool_push(p, wait_at_the_gate, NULL), ERR_OK);
    for (int i = 0; i < 5000 && atomic_load(&waiting) < THREADS; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&waiting), THREADS); /* both threads are taken */
    for (size_t i = 0; i < QUEUE; i++)
        assert_int_equal(thread_pool_push(p, count, &runs[i]), ERR_OK);
    assert_int_equal(thread_pool_push(p, count, &runs[QUEUE]), ERR_EXHAUSTED);
    atomic_store(&gate_is_open, true);
    thread_pool_stop(&p);
    expect_each_once(QUEUE);
    assert_int_equal(atomic_load(&runs[QUEUE]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_many_threads_push_runs_once_each),
        cmocka_unit_test(a_full_queue_refuses_and_its_jobs_still_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
