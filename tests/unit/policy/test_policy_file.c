/* policy_file — a base and its deltas come back as they were applied, or not at all. */
#include "tests/unit/policy/policy_kit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/policy/policy_file.h"
#include "common/policy/snapshot_private.h"

static char dir[SCRATCH_MAX];
static struct seal *seal;

static int set_up(void **state)
{
    (void)state;
    char master[SEAL_MASTER_LEN] = "0123456789abcdef0123456789abcde";
    seal = seal_new(slice_of(master, sizeof(master)));
    return scratch_folder(dir) && seal ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[SCRATCH_MAX + 16];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    seal_free(seal);
    return system(command);
}

static struct snapshot *base(struct registry *r, int keys)
{
    struct snapshot_build *b;
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    for (int i = 0; i < keys; i++) {
        char id[32];
        snprintf(id, sizeof(id), "k_%d", i);
        kit_key(b, id, 1, NULL);
    }
    return snapshot_build_end(&b, SLICE("line-1"), 10);
}

static void append_delta(struct policy_file *f, uint64_t from, const char *key)
{
    uint8_t digest[DIGEST_LEN], packed[512];
    Gatehouse__Key k = GATEHOUSE__KEY__INIT;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT, *changes[] = {&o};
    Gatehouse__Push p = GATEHOUSE__PUSH__INIT;
    kit_digest(key, digest);
    k.digest = (ProtobufCBinaryData){DIGEST_LEN, digest};
    k.has_digest = true;
    o.has_kind = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_KEY;
    o.id = (char *)(uintptr_t)key;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_KEY;
    o.key = &k;
    p.lineage = "line-1";
    p.has_from = p.has_to = true;
    p.from = from;
    p.to = from + 1;
    p.n_changes = 1;
    p.changes = changes;
    size_t len = gatehouse__push__pack(&p, packed);
    assert_int_equal(policy_file_append(f, slice_of(packed, len)), ERR_OK);
}

static struct policy_file *open_file(void)
{
    struct policy_file *f;
    assert_int_equal(policy_file_open(dir, seal, NULL, &f), ERR_OK);
    return f;
}

/* Writes a base of n keys and two deltas. */
static void write_file(struct registry *r, int n)
{
    struct policy_file *f = open_file();
    struct snapshot *s = base(r, n);
    assert_int_equal(policy_file_rewrite(f, s), ERR_OK);
    append_delta(f, 10, "k_late");
    append_delta(f, 11, "k_later");
    snapshot_drop(s);
    policy_file_close(f);
}

static void a_policy_comes_back_with_its_deltas(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    write_file(r, 5000); /* several chunks */
    struct policy_file *f = open_file();
    struct snapshot *s;
    assert_int_equal(policy_file_load(f, r, &s), ERR_OK);
    assert_int_equal(s->version, 12);
    assert_true(slice_eq(snapshot_lineage(s), SLICE("line-1")));
    assert_non_null(snapshot_key(s, SLICE("k_4999")));
    assert_non_null(snapshot_key(s, SLICE("k_later")));
    append_delta(f, 12, "k_last"); /* and it goes on from there */
    snapshot_drop(s);
    policy_file_close(f);
    f = open_file();
    assert_int_equal(policy_file_load(f, r, &s), ERR_OK);
    assert_int_equal(s->version, 13);
    snapshot_drop(s);
    policy_file_close(f);
    registry_free(r);
}

static void a_torn_last_delta_is_cut_off(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    write_file(r, 3);
    char path[SCRATCH_MAX + 32];
    snprintf(path, sizeof(path), "%s/policy.sealed", dir);
    FILE *in = fopen(path, "r");
    fseek(in, 0, SEEK_END);
    assert_int_equal(truncate(path, ftell(in) - 5), 0);
    fclose(in);
    struct policy_file *f = open_file();
    struct snapshot *s;
    assert_int_equal(policy_file_load(f, r, &s), ERR_OK);
    assert_int_equal(s->version, 11);
    append_delta(f, 11, "k_again");
    snapshot_drop(s);
    policy_file_close(f);
    f = open_file();
    assert_int_equal(policy_file_load(f, r, &s), ERR_OK);
    assert_int_equal(s->version, 12);
    snapshot_drop(s);
    policy_file_close(f);
    registry_free(r);
}

/* The disk takes no more: files may not grow beyond a kilobyte. */
static void fill_disk(bool full)
{
    struct rlimit l = {full ? 1024 : RLIM_INFINITY, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void what_cannot_be_kept_is_not_left_behind_older(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *s;
    for (int whole = 0; whole < 2; whole++) {
        write_file(r, 50); /* larger than a kilobyte */
        struct policy_file *f = open_file();
        assert_int_equal(policy_file_load(f, r, &s), ERR_OK);
        fill_disk(true);
        enum err e = whole ? policy_file_rewrite(f, s) : policy_file_append(f, SLICE("push"));
        fill_disk(false);
        assert_int_equal(e, ERR_IO);
        snapshot_drop(s);
        policy_file_close(f);
        f = open_file();
        assert_int_equal(policy_file_load(f, r, &s), ERR_NOT_FOUND);
        policy_file_close(f);
    }
    registry_free(r);
}

static void a_changed_byte_anywhere_is_never_taken_for_a_policy(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    char path[SCRATCH_MAX + 32];
    snprintf(path, sizeof(path), "%s/policy.sealed", dir);
    write_file(r, 3);
    FILE *in = fopen(path, "r");
    fseek(in, 0, SEEK_END);
    long len = ftell(in);
    fclose(in);
    for (long at = 0; at < len; at += 7) {
        FILE *io = fopen(path, "r+");
        fseek(io, at, SEEK_SET);
        int c = fgetc(io);
        fseek(io, at, SEEK_SET);
        fputc(c ^ 0x20, io);
        fclose(io);
        struct policy_file *f = open_file();
        struct snapshot *s = NULL;
        /* a damaged length may look like a torn end: then only what stands before it counts */
        if (policy_file_load(f, r, &s) == ERR_OK)
            assert_true(s->version < 12);
        snapshot_drop(s);
        policy_file_close(f);
        write_file(r, 3);
    }
    registry_free(r);
}

static void another_key_opens_nothing_and_no_file_is_no_policy(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *s;
    struct policy_file *f = open_file();
    assert_int_equal(policy_file_load(f, r, &s), ERR_NOT_FOUND);
    policy_file_close(f);
    write_file(r, 3);
    char master[SEAL_MASTER_LEN] = "another master key, of 32 bytes";
    struct seal *other = seal_new(slice_of(master, sizeof(master)));
    assert_int_equal(policy_file_open(dir, other, NULL, &f), ERR_OK);
    assert_int_equal(policy_file_load(f, r, &s), ERR_NOT_FOUND);
    policy_file_close(f);
    seal_free(other);
    registry_free(r);
}

/* ---- the mark, which lies beside the key ---- */

static const char *mark_path(void)
{
    static char path[SCRATCH_MAX + 32];
    snprintf(path, sizeof(path), "%s/outside.mark", dir);
    return path;
}

static struct policy_file *open_marked(void)
{
    struct policy_file *f;
    assert_int_equal(policy_file_open(dir, seal, mark_path(), &f), ERR_OK);
    return f;
}

static void copy_file(const char *from, const char *to)
{
    char command[3 * SCRATCH_MAX];
    snprintf(command, sizeof(command), "cp '%s/%s' '%s/%s'", dir, from, dir, to);
    assert_int_equal(system(command), 0);
}

/* Version 12 was applied; a copy of version 10 lies beside it. */
static void apply_two(struct registry *r)
{
    struct policy_file *f = open_marked();
    struct snapshot *s = base(r, 3), *newest;
    assert_int_equal(policy_file_rewrite(f, s), ERR_OK);
    policy_file_mark(f, s, 1000);
    copy_file("policy.sealed", "older");
    append_delta(f, 10, "k_late");
    append_delta(f, 11, "k_later");
    policy_file_close(f);
    f = open_file();
    assert_int_equal(policy_file_load(f, r, &newest), ERR_OK);
    policy_file_close(f);
    f = open_marked();
    policy_file_mark(f, newest, 5000);
    policy_file_close(f);
    snapshot_drop(s);
    snapshot_drop(newest);
}

static enum err load_marked(struct registry *r, int64_t *confirmed_at_us)
{
    struct snapshot *s;
    struct policy_file *f = open_marked();
    enum err e = policy_file_load(f, r, &s);
    *confirmed_at_us = policy_file_confirmed_at_us(f);
    if (e == ERR_OK)
        snapshot_drop(s);
    policy_file_close(f);
    return e;
}

static void an_older_copy_that_was_put_back_is_not_loaded(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    int64_t confirmed;
    apply_two(r);
    assert_int_equal(load_marked(r, &confirmed), ERR_OK);
    assert_int_equal(confirmed, 5000);
    copy_file("older", "policy.sealed");
    assert_int_equal(load_marked(r, &confirmed), ERR_NOT_FOUND);
    registry_free(r);
}

static void a_mark_that_cannot_be_opened_lets_no_policy_in_and_a_missing_one_does(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    int64_t confirmed;
    apply_two(r);
    FILE *out = fopen(mark_path(), "r+");
    fseek(out, 40, SEEK_SET);
    fputc('x', out);
    fclose(out);
    assert_int_equal(load_marked(r, &confirmed), ERR_NOT_FOUND);
    assert_int_equal(unlink(mark_path()), 0);
    assert_int_equal(load_marked(r, &confirmed), ERR_OK); /* an older build kept none */
    assert_int_equal(confirmed, 0);
    registry_free(r);
}

static void a_policy_of_another_lineage_than_the_mark_is_not_loaded(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot_build *b;
    int64_t confirmed;
    apply_two(r);
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    struct snapshot *s = snapshot_build_end(&b, SLICE("line-2"), 3);
    struct policy_file *f = open_marked();
    policy_file_mark(f, s, 9000);
    policy_file_close(f);
    snapshot_drop(s);
    assert_int_equal(load_marked(r, &confirmed), ERR_NOT_FOUND);
    registry_free(r);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_DIR(a_policy_comes_back_with_its_deltas),
        IN_DIR(a_torn_last_delta_is_cut_off),
        IN_DIR(what_cannot_be_kept_is_not_left_behind_older),
        IN_DIR(a_changed_byte_anywhere_is_never_taken_for_a_policy),
        IN_DIR(another_key_opens_nothing_and_no_file_is_no_policy),
        IN_DIR(an_older_copy_that_was_put_back_is_not_loaded),
        IN_DIR(a_mark_that_cannot_be_opened_lets_no_policy_in_and_a_missing_one_does),
        IN_DIR(a_policy_of_another_lineage_than_the_mark_is_not_loaded),
    };
    return cmocka_run_group_tests_name("policy_file", tests, NULL, NULL);
}
