/* epoch — no two starts of a plane have the same, whatever its disk remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/policy/epoch.h"
#include "tests/kit/scratch.h"

static char dir[SCRATCH_MAX];

static uint64_t next(void)
{
    uint64_t epoch = 0;
    assert_int_equal(epoch_next(dir, &epoch), ERR_OK);
    assert_true(epoch > 0 && epoch <= INT64_MAX);
    return epoch;
}

static void remember(const char *text)
{
    char path[SCRATCH_MAX + 8];
    snprintf(path, sizeof(path), "%s/epoch", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void forget(void)
{
    char path[SCRATCH_MAX + 8];
    snprintf(path, sizeof(path), "%s/epoch", dir);
    assert_int_equal(remove(path), 0);
}

static void every_start_is_above_the_last_one(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (int i = 0; i < 50; i++) {
        uint64_t now = next();
        assert_true(now > last);
        last = now;
    }
}

static void a_disk_that_forgot_does_not_bring_an_epoch_back(void **state)
{
    (void)state;
    uint64_t seen[50];
    for (int i = 0; i < 50; i++) {
        seen[i] = next();
        for (int k = 0; k < i; k++)
            assert_true(seen[k] != seen[i]);
        forget();
    }
}

static void what_was_counted_from_one_goes_on_above(void **state)
{
    (void)state;
    remember("41");
    assert_true(next() > 41);
}

static void a_clock_turned_back_does_not_turn_the_epoch_back(void **state)
{
    (void)state;
    remember("9000000000000000000"); /* of a clock in the next century */
    assert_true(next() == UINT64_C(9000000000000000001));
    assert_true(next() == UINT64_C(9000000000000000002));
}

static void what_is_no_epoch_is_not_counted_on_from(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "seven", "9223372036854775807", "18446744073709551615"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        remember(texts[i]);
        next();
    }
}

static int make_dir(void **state)
{
    (void)state;
    return scratch_folder(dir) ? 0 : -1;
}

#define IN_DIR(name) cmocka_unit_test_setup(name, make_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(every_start_is_above_the_last_one),
        IN_DIR(a_disk_that_forgot_does_not_bring_an_epoch_back),
        IN_DIR(what_was_counted_from_one_goes_on_above),
        IN_DIR(a_clock_turned_back_does_not_turn_the_epoch_back),
        IN_DIR(what_is_no_epoch_is_not_counted_on_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
