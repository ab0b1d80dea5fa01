/* secret, seal and id: what is kept from other processes, and what only the holder of the key can
 * open. */
#include "common/base/secret.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/id.h"
#include "common/base/seal.h"
#include "tests/kit/scratch.h"
#include "tests/unit/base/unit.h"

UNIT(a_secret_is_revealed_until_its_last_holder_drops_it)
{
    ptrdiff_t before = mem_alive();
    char text[] = "sk-very-secret";
    struct secret *s = secret_new(slice_str(text));
    memset(text, 'x', sizeof(text) - 1); /* it is a copy */
    struct secret *same = secret_hold(s);
    secret_drop(s);
    expect_text(secret_reveal(same), "sk-very-secret");
    secret_drop(same);
    secret_drop(NULL);
    assert_int_equal(mem_alive(), before);
}

UNIT(a_secret_of_any_length_is_kept)
{
    static char text[10000];
    for (size_t len = 0; len < sizeof(text); len += 1 + len / 2) {
        memset(text, 'k', len);
        struct secret *s = secret_new(slice_of(text, len));
        assert_true(slice_eq(secret_reveal(s), slice_of(text, len)));
        secret_drop(s);
    }
}

/* the flags of the mapping that holds ptr, from the kernel's own list */
static void read_flags(const void *ptr, char *out, size_t cap)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool inside = false;
    assert_non_null(maps);
    out[0] = '\0';
    while (fgets(line, sizeof(line), maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (unsigned long)ptr >= from && (unsigned long)ptr < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            snprintf(out, cap, "%s", line);
    }
    fclose(maps);
}

UNIT(a_secret_is_locked_and_left_out_of_dumps)
{
    char flags[512];
    struct secret *s = secret_new(SLICE("hidden"));
    read_flags(secret_reveal(s).ptr, flags, sizeof(flags));
    assert_non_null(strstr(flags, " dd")); /* not in core dumps */
    assert_non_null(strstr(flags, " lo")); /* locked */
    assert_null(strstr(flags, " wr"));
    secret_drop(s);
}

UNIT(wiping_leaves_zeros)
{
    char text[] = "secret";
    secret_wipe(text, 6);
    assert_memory_equal(text, "\0\0\0\0\0\0", 6);
    secret_wipe(NULL, 0);
}

UNIT(a_protected_process_writes_no_core)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit core = {1, 1};
        secret_protect_process();
        getrlimit(RLIMIT_CORE, &core);
        _exit(core.rlim_cur == 0 && core.rlim_max == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static struct seal *make_seal(char fill)
{
    char master[SEAL_MASTER_LEN];
    memset(master, fill, sizeof(master));
    struct seal *s = seal_new(slice_of(master, sizeof(master)));
    assert_non_null(s);
    return s;
}

static const struct slice purpose = {"mcp-session", 11};
static const struct slice scope = {"org_1", 5};
static const struct slice aad = {"route", 5};

UNIT(what_is_sealed_is_opened_again)
{
    struct seal *s = make_seal('m');
    static char plain[5000];
    static uint8_t sealed[sizeof(plain) + SEAL_OVERHEAD], opened[sizeof(plain)];
    memset(plain, 'p', sizeof(plain));
    for (size_t len = 0; len <= sizeof(plain); len += 1 + len) {
        size_t sealed_len = 0, opened_len = 0;
        assert_int_equal(
            seal_close(s, purpose, scope, aad, slice_of(plain, len), sealed, &sealed_len), ERR_OK);
        assert_int_equal(sealed_len, len + SEAL_OVERHEAD);
        assert_int_equal(
            seal_open(s, purpose, scope, aad, slice_of(sealed, sealed_len), opened, &opened_len),
            ERR_OK);
        assert_int_equal(opened_len, len);
        assert_memory_equal(opened, plain, len);
    }
    seal_free(s);
    seal_free(NULL);
}

UNIT(two_seals_of_one_text_differ)
{
    struct seal *s = make_seal('m');
    uint8_t a[SEAL_OVERHEAD + 4], b[SEAL_OVERHEAD + 4];
    size_t len;
    assert_int_equal(seal_close(s, purpose, scope, aad, SLICE("same"), a, &len), ERR_OK);
    assert_int_equal(seal_close(s, purpose, scope, aad, SLICE("same"), b, &len), ERR_OK);
    assert_memory_not_equal(a + 5, b + 5, 12);
    assert_memory_not_equal(a + 17, b + 17, 4);
    seal_free(s);
}

UNIT(one_changed_bit_anywhere_is_not_ours)
{
    struct seal *s = make_seal('m');
    uint8_t sealed[SEAL_OVERHEAD + 4], opened[4];
    size_t len, out;
    assert_int_equal(seal_close(s, purpose, scope, aad, SLICE("text"), sealed, &len), ERR_OK);
    for (size_t bit = 0; bit < len * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(seal_open(s, purpose, scope, aad, slice_of(sealed, len), opened, &out),
                         ERR_INVALID);
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(seal_open(s, purpose, scope, aad, slice_of(sealed, cut), opened, &out),
                         ERR_INVALID);
    assert_int_equal(seal_open(s, purpose, scope, aad, slice_of(sealed, len), opened, &out),
                     ERR_OK);
    seal_free(s);
}

UNIT(purpose_scope_data_and_master_are_all_part_of_the_seal)
{
    struct seal *s = make_seal('m'), *other = make_seal('n');
    uint8_t sealed[SEAL_OVERHEAD + 4], opened[4] = "old";
    size_t len, out;
    assert_int_equal(seal_close(s, purpose, scope, aad, SLICE("text"), sealed, &len), ERR_OK);
    struct slice in = slice_of(sealed, len);
    assert_int_equal(seal_open(s, SLICE("other"), scope, aad, in, opened, &out), ERR_INVALID);
    assert_int_equal(seal_open(s, purpose, SLICE("org_2"), aad, in, opened, &out), ERR_INVALID);
    assert_int_equal(seal_open(s, purpose, scope, SLICE("x"), in, opened, &out), ERR_INVALID);
    assert_int_equal(seal_open(s, purpose, scope, SLICE_NONE, in, opened, &out), ERR_INVALID);
    /* a byte moved from one part to the next */
    assert_int_equal(seal_open(s, SLICE("mcp-sessiono"), SLICE("rg_1"), aad, in, opened, &out),
                     ERR_INVALID);
    assert_int_equal(seal_open(other, purpose, scope, aad, in, opened, &out), ERR_INVALID);
    assert_memory_equal(opened, "\0\0\0\0", 4); /* nothing of the text is left */
    seal_free(s);
    seal_free(other);
}

UNIT(a_master_key_has_one_length)
{
    assert_null(seal_new(SLICE("short")));
    assert_null(seal_new(SLICE("123456789012345678901234567890123")));
    assert_null(seal_new(SLICE_NONE));
}

static enum err seal_once(void)
{
    static const char master[SEAL_MASTER_LEN] = "0123456789abcdef0123456789abcde";
    struct seal *s = seal_new(slice_of(master, sizeof(master)));
    if (!s)
        return ERR_NOMEM;
    seal_free(s);
    return ERR_OK;
}

UNIT(every_allocation_may_fail)
{
    EACH_ALLOCATION_FAILS(seal_once());
}

static char folder[SCRATCH_MAX], path[128];

static int make_folder(void **state UNUSED)
{
    if (!scratch_folder(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/master.key", folder);
    return 0;
}

static int remove_folder(void **state UNUSED)
{
    unlink(path);
    return rmdir(folder); /* fails when a temporary file was left behind */
}

static void write_file(struct slice text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.ptr, 1, text.len, f), text.len);
    fclose(f);
}

/* whether the two open each other's seals */
static bool same_key(const struct seal *a, const struct seal *b)
{
    uint8_t sealed[SEAL_OVERHEAD], out[1];
    size_t len, out_len;
    assert_int_equal(seal_close(a, purpose, scope, aad, SLICE_NONE, sealed, &len), ERR_OK);
    return seal_open(b, purpose, scope, aad, slice_of(sealed, len), out, &out_len) == ERR_OK;
}

UNIT(a_missing_key_file_is_made_for_the_owner_only_and_read_again)
{
    struct seal *made = NULL, *again = NULL;
    struct stat st;
    assert_int_equal(seal_load(path, false, &made), ERR_NOT_FOUND);
    assert_int_equal(seal_load(path, true, &made), ERR_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(seal_load(path, true, &again), ERR_OK);
    assert_true(same_key(made, again));
    seal_free(made);
    seal_free(again);
}

UNIT(raw_bytes_and_hex_digits_are_the_same_key)
{
    struct seal *raw = NULL, *hex = NULL, *line = NULL;
    write_file(SLICE("0123456789abcdef0123456789abcdef"));
    assert_int_equal(seal_load(path, true, &raw), ERR_OK);
    char text[2 * SEAL_MASTER_LEN + 2];
    digest_hex(SLICE("0123456789abcdef0123456789abcdef"), text);
    write_file(slice_str(text));
    assert_int_equal(seal_load(path, true, &hex), ERR_OK);
    strcat(text, "\n");
    write_file(slice_str(text));
    assert_int_equal(seal_load(path, true, &line), ERR_OK);
    assert_true(same_key(raw, hex));
    assert_true(same_key(raw, line));
    seal_free(raw);
    seal_free(hex);
    seal_free(line);
}

UNIT(a_broken_key_file_is_refused_and_not_replaced)
{
    static const char *const rows[] = {
        "", "short", "012345678901234567890123456789012",
        "zz23456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\n"};
    struct seal *s = NULL;
    struct stat st;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        write_file(slice_str(rows[i]));
        assert_int_equal(seal_load(path, true, &s), ERR_INVALID);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, strlen(rows[i]));
    }
    assert_int_equal(seal_load("/nonexistent/folder/key", true, &s), ERR_NOT_FOUND);
    assert_null(s);
}

static void *load_on_a_thread(void *ret)
{
    if (seal_load(path, true, ret))
        *(struct seal **)ret = NULL;
    return NULL;
}

UNIT(many_that_start_together_end_with_one_key)
{
    for (int round = 0; round < 20; round++) {
        pthread_t threads[4];
        struct seal *seals[4];
        unlink(path);
        for (int i = 0; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, load_on_a_thread, &seals[i]), 0);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < 4; i++) {
            assert_non_null(seals[i]);
            assert_true(same_key(seals[0], seals[i]));
        }
        for (int i = 0; i < 4; i++)
            seal_free(seals[i]);
    }
}

UNIT(ids_have_a_prefix_and_22_characters_and_never_come_twice)
{
    static char ids[1000][ID_MAX];
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct slice id = id_new(i % 2 ? "k" : "sevenx", ids[i]);
        assert_int_equal(id.len, (i % 2 ? 1 : 6) + 1 + 22);
        assert_int_equal(strlen(ids[i]), id.len);
        assert_true(slice_starts(id, i % 2 ? SLICE("k_") : SLICE("sevenx_")));
        assert_int_equal(strspn(ids[i] + (i % 2 ? 2 : 7),
                                "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
                         22);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(ids[k], ids[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_revealed_until_its_last_holder_drops_it),
        cmocka_unit_test(a_secret_of_any_length_is_kept),
        cmocka_unit_test(a_secret_is_locked_and_left_out_of_dumps),
        cmocka_unit_test(wiping_leaves_zeros),
        cmocka_unit_test(a_protected_process_writes_no_core),
        cmocka_unit_test(what_is_sealed_is_opened_again),
        cmocka_unit_test(two_seals_of_one_text_differ),
        cmocka_unit_test(one_changed_bit_anywhere_is_not_ours),
        cmocka_unit_test(purpose_scope_data_and_master_are_all_part_of_the_seal),
        cmocka_unit_test(a_master_key_has_one_length),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test_setup_teardown(
            a_missing_key_file_is_made_for_the_owner_only_and_read_again, make_folder,
            remove_folder),
        cmocka_unit_test_setup_teardown(raw_bytes_and_hex_digits_are_the_same_key, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_broken_key_file_is_refused_and_not_replaced, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(many_that_start_together_end_with_one_key, make_folder,
                                        remove_folder),
        cmocka_unit_test(ids_have_a_prefix_and_22_characters_and_never_come_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
