/* pressure — limits and figures of a made-up /proc and /sys, then this process's own. */
#include "dataplane/pressure.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "tests/kit/scratch.h"

#define MIB (1024 * 1024ull)
#define MACHINE (1024 * MIB)

static char root[SCRATCH_MAX];

static void make_folders(char *path)
{
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
}

static void put(const char *file, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s%s", root, file);
    make_folders(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int new_root(void **state)
{
    (void)state;
    return scratch_folder(root) ? 0 : -1;
}

static void without_a_group_it_is_the_machine_or_what_was_asked(void **state)
{
    (void)state;
    assert_int_equal(pressure_limit(root, MACHINE, 0), MACHINE);
    assert_int_equal(pressure_limit(root, MACHINE, 64 * MIB), 64 * MIB);
    assert_int_equal(pressure_limit(root, MACHINE, 2 * MACHINE), MACHINE);
}

static void the_least_of_a_group_and_those_above_it_counts(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/system.slice/gatehouse.service\n");
    put("/sys/fs/cgroup/system.slice/gatehouse.service/memory.max", "max\n");
    assert_int_equal(pressure_limit(root, MACHINE, 0), MACHINE);
    put("/sys/fs/cgroup/system.slice/memory.max", "268435456\n");
    assert_int_equal(pressure_limit(root, MACHINE, 0), 256 * MIB);
    put("/sys/fs/cgroup/system.slice/gatehouse.service/memory.max", "134217728\n");
    assert_int_equal(pressure_limit(root, MACHINE, 0), 128 * MIB);
    assert_int_equal(pressure_limit(root, MACHINE, 64 * MIB), 64 * MIB);
}

static void a_container_sees_its_limit_at_the_top(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/docker/0123456789abcdef\n");
    put("/sys/fs/cgroup/memory.max", "100000000\n");
    assert_int_equal(pressure_limit(root, MACHINE, 0), 100000000);
}

static void the_older_kind_of_group_is_read_too(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "12:cpu,cpuacct:/\n4:memory:/user.slice\n1:name=systemd:/\n0::/\n");
    put("/sys/fs/cgroup/memory/user.slice/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(pressure_limit(root, MACHINE, 0), MACHINE);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
    assert_int_equal(pressure_limit(root, MACHINE, 0), 512 * MIB);
}

static enum err measure(const char *text, uint64_t *ret)
{
    char path[512];
    put("/statm", text);
    snprintf(path, sizeof(path), "%s/statm", root);
    int fd = open(path, O_RDONLY);
    enum err e = pressure_measure(fd, ret);
    close(fd);
    return e;
}

static void mapped_files_do_not_count(void **state)
{
    uint64_t used = 0, page = (uint64_t)sysconf(_SC_PAGESIZE);
    (void)state;
    assert_int_equal(measure("90000 5000 4200 10 0 600 0\n", &used), ERR_OK);
    assert_int_equal(used, 800 * page);
    assert_int_equal(measure("nonsense\n", &used), ERR_INVALID);
    assert_int_equal(pressure_measure(-1, &used), ERR_IO);
}

static void it_is_high_from_one_mark_on_and_calm_below_another(void **state)
{
    struct pressure p = {.limit = 1000 * MIB};
    (void)state;
    assert_false(pressure_take(&p, (LIMIT_MEMORY_SHED * 10 - 1) * MIB));
    assert_false(p.is_high);
    assert_true(pressure_take(&p, LIMIT_MEMORY_SHED * 10 * MIB));
    assert_true(p.is_high);
    assert_false(pressure_take(&p, 2000 * MIB));
    assert_false(pressure_take(&p, LIMIT_MEMORY_CALM * 10 * MIB));
    assert_true(p.is_high);
    assert_true(pressure_take(&p, (LIMIT_MEMORY_CALM * 10 - 1) * MIB));
    assert_false(p.is_high);
}

/* ---- this process ---- */

static void on_wake(struct timer *t)
{
    (void)t;
}

static void turn_until(struct loop *l, const struct pressure *p, bool high)
{
    uint64_t end = clock_mono_us() + 10 * 1000000ull;
    struct timer wake;
    timer_init(&wake, l, on_wake);
    while (p->is_high != high && clock_mono_us() < end) {
        timer_start(&wake, 20);
        uv_run(loop_uv(l), UV_RUN_ONCE);
    }
    timer_cancel(&wake);
    assert_int_equal(p->is_high, high);
}

static void memory_that_is_taken_shows_and_its_return_too(void **state)
{
    const size_t ballast_size = 256 * MIB;
    struct loop *l;
    struct pressure p;
    uint64_t before;
    int statm = open("/proc/self/statm", O_RDONLY);
    (void)state;
    assert_int_equal(loop_new(&l), ERR_OK);
    assert_int_equal(pressure_measure(statm, &before), ERR_OK);
    close(statm);
    pressure_open(&p, l, before + 128 * MIB);
    turn_until(l, &p, false);
    char *ballast =
        mmap(NULL, ballast_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(ballast != MAP_FAILED);
    memset(ballast, 1, ballast_size);
    turn_until(l, &p, true);
    assert_int_equal(munmap(ballast, ballast_size), 0);
    turn_until(l, &p, false);
    pressure_close(&p);
    loop_free(l);
}

#define WITH_ROOT(test) cmocka_unit_test_setup(test, new_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(without_a_group_it_is_the_machine_or_what_was_asked),
        WITH_ROOT(the_least_of_a_group_and_those_above_it_counts),
        WITH_ROOT(a_container_sees_its_limit_at_the_top),
        WITH_ROOT(the_older_kind_of_group_is_read_too),
        WITH_ROOT(mapped_files_do_not_count),
        cmocka_unit_test(it_is_high_from_one_mark_on_and_calm_below_another),
        cmocka_unit_test(memory_that_is_taken_shows_and_its_return_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
