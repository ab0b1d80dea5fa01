/* A secret is in this process's memory as long as its object is in a policy, and no longer. */
#include "tests/unit/policy/policy_kit.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/wire/proto_secret.h"

#define NEEDLE 32
#define AROUND 64 /* in front of it: an allocator writes into the beginning of what is free */
#define MASK 0x5a /* the needle itself stands nowhere in this test's own memory */
#define REGION_MAX (1u << 28) /* the sanitizers' shadow is larger */
#define PIECE (1u << 20)

static uint8_t masked[NEEDLE];

static size_t count_in(const uint8_t *at, size_t len)
{
    size_t found = 0;
    for (size_t i = 0; i + NEEDLE <= len; i++) {
        size_t n = 0;
        while (n < NEEDLE && (uint8_t)(at[i + n] ^ MASK) == masked[n])
            n++;
        found += n == NEEDLE;
    }
    return found;
}

/* In all that can be read of this process; a needle across two pieces is missed, which the live one
 * is not, as secrets begin their page. */
static size_t needles(void)
{
    static uint8_t piece[PIECE];
    char line[512];
    size_t found = 0;
    int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_true(mem >= 0 && maps);
    while (fgets(line, sizeof(line), maps)) {
        unsigned long from, to;
        char rights[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || rights[0] != 'r' ||
            to - from > REGION_MAX)
            continue;
        for (unsigned long at = from; at < to; at += PIECE) {
            size_t len = to - at < PIECE ? to - at : PIECE;
            bool own = (uintptr_t)piece + PIECE > at && (uintptr_t)piece < at + len;
            ssize_t n = own ? 0 : pread(mem, piece, len, (off_t)at);
            if (n > 0)
                found += count_in(piece, (size_t)n);
        }
    }
    secret_wipe(piece, sizeof(piece));
    fclose(maps);
    close(mem);
    return found;
}

/* As the channel brings it; the test's own copies are wiped. */
static struct slice pack_provider(uint8_t *out, bool deleted)
{
    uint8_t secret[AROUND + NEEDLE] = {0};
    Gatehouse__Provider provider = GATEHOUSE__PROVIDER__INIT;
    Gatehouse__Credential credential = GATEHOUSE__CREDENTIAL__INIT, *credentials[] = {&credential};
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT, *changes[] = {&o};
    Gatehouse__Push p = GATEHOUSE__PUSH__INIT;
    for (size_t i = 0; i < NEEDLE; i++)
        secret[AROUND + i] = masked[i] ^ MASK;
    credential.id = "c_1";
    credential.has_secret = true;
    credential.secret = (ProtobufCBinaryData){sizeof(secret), secret};
    provider.org_id = "org";
    provider.name = "p";
    provider.base_url = "http://127.0.0.1:1/v1";
    provider.n_credentials = 1;
    provider.credentials = credentials;
    o.has_kind = o.has_revision = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_PROVIDER;
    o.id = "p_1";
    o.has_deleted = o.deleted = deleted;
    if (!deleted) {
        o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER;
        o.provider = &provider;
    }
    p.n_changes = 1;
    p.changes = changes;
    size_t len = gatehouse__push__pack(&p, out);
    secret_wipe(secret, sizeof(secret));
    return slice_of(out, len);
}

static struct snapshot *take(const struct snapshot *from, struct registry *r, bool deleted)
{
    uint8_t packed[512];
    struct snapshot_build *b;
    struct slice raw = pack_provider(packed, deleted);
    Gatehouse__Push *p = gatehouse__push__unpack(&proto_secret, raw.len, (const uint8_t *)raw.ptr);
    secret_wipe(packed, sizeof(packed));
    assert_non_null(p);
    assert_int_equal(snapshot_build_begin(from, r, &b), ERR_OK);
    assert_int_equal(snapshot_build_apply(b, p->changes[0]), ERR_OK);
    gatehouse__push__free_unpacked(p, &proto_secret);
    return snapshot_build_end(&b, SLICE("lineage"), 1);
}

static void the_secrets_of_a_deleted_object_leave_the_memory_with_it(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    digest_random(masked, sizeof(masked));
    struct snapshot *one = take(NULL, r, false);
    assert_non_null(snapshot_provider(one, SLICE("p_1")));
    assert_in_range(needles(), 1, 3); /* the credential, and the packed form for the disk */
    struct snapshot *two = take(one, r, true);
    snapshot_drop(one);
    assert_null(snapshot_provider(two, SLICE("p_1")));
    assert_int_equal(needles(), 0);
    snapshot_drop(two);
    registry_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_secrets_of_a_deleted_object_leave_the_memory_with_it),
    };
    return cmocka_run_group_tests_name("secret_memory", tests, NULL, NULL);
}
