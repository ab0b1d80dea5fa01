/*
 * channel — a data plane's requests and the replies to them, from its one-time token on.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/ledger/ceiling_share.h"
#include "common/wire/policy_digest.h"
#include "tests/kit/db/channel_kit.h"

/* ---- a plane and its words ---- */

/* Until the follower has seen every write there is. */
static struct image_head newest(void)
{
    struct image_head head;
    uint64_t want = (uint64_t)database_number(&base, "select version from policy_head");
    image_head(channel.image, &head);
    for (int i = 0; i < 3000 && head.version < want; i++) {
        usleep(1000);
        image_head(channel.image, &head);
    }
    assert_int_equal(head.version, want);
    return head;
}

static void expect_refused(Gatehouse__Reply *m, const char *word)
{
    assert_non_null(m->error);
    assert_string_equal(m->error, word);
    hush(m);
}

static Gatehouse__Reply *hello(const char *plane, uint32_t protocol, uint64_t version)
{
    Gatehouse__Request q = GATEHOUSE__REQUEST__INIT;
    Gatehouse__Hello body = GATEHOUSE__HELLO__INIT;
    struct image_head head;
    image_head(channel.image, &head);
    body.has_protocol = body.has_version = true;
    body.protocol = protocol;
    body.version = version;
    body.lineage = head.lineage;
    q.body_case = GATEHOUSE__REQUEST__BODY_HELLO;
    q.hello = &body;
    return say(plane, &q);
}

static void applied(const char *plane, uint64_t version)
{
    Gatehouse__Request q = GATEHOUSE__REQUEST__INIT;
    Gatehouse__Applied body = GATEHOUSE__APPLIED__INIT;
    struct image_head head;
    image_head(channel.image, &head);
    body.has_version = true;
    body.version = version;
    body.lineage = head.lineage;
    q.body_case = GATEHOUSE__REQUEST__BODY_APPLIED;
    q.applied = &body;
    hush(say(plane, &q));
}

/* ---- questions ---- */

static void a_known_plane_is_told_its_name_and_the_newest_version(void **state)
{
    (void)state;
    struct image_head head = newest();
    Gatehouse__Reply *m = hello("dp_a", 1, 0);
    assert_null(m->error);
    assert_string_equal(m->hello->dataplane_id, "dp_a");
    assert_string_equal(m->hello->dataplane_name, "name-of-dp_a");
    assert_string_equal(m->hello->pool, "default");
    assert_string_equal(m->hello->lineage, head.lineage);
    assert_int_equal(m->hello->version, head.version);
    hush(m);
}

static json_t *rollout_row(const char *name)
{
    JSON_AUTO json_t *t = rollout_json(channel.rollout, slice_str(base.boot.org_id));
    json_t *p;
    size_t i;
    json_array_foreach(json_object_get(t, "dataplanes"), i, p)
    {
        if (strcmp(json_string_value(json_object_get(p, "name")), name) == 0)
            return json_incref(p);
    }
    return NULL;
}

static void hello_agrees_on_the_newest_revision_that_both_know(void **state)
{
    (void)state;
    Gatehouse__Reply *m = hello("dp_a", 1, 0); /* as the planes of revision 1 do */
    assert_null(m->error);
    assert_int_equal(m->hello->protocol, 1);
    hush(m);

    char *features[] = {(char *)(uintptr_t)feature_name(0), (char *)"feature.of.the.future"};
    Gatehouse__Request q = GATEHOUSE__REQUEST__INIT;
    Gatehouse__Hello body = GATEHOUSE__HELLO__INIT;
    body.has_protocol = body.has_protocol_newest = true;
    body.protocol = 1;
    body.protocol_newest = 9;
    body.features = features;
    body.n_features = 2;
    q.body_case = GATEHOUSE__REQUEST__BODY_HELLO;
    q.hello = &body;
    m = say("dp_a", &q);
    assert_null(m->error);
    assert_int_equal(m->hello->protocol, CHANNEL_PROTOCOL_NEWEST);
    assert_int_equal(m->hello->n_features, FEATURES); /* of the table */
    hush(m);
    JSON_AUTO json_t *row = rollout_row("name-of-dp_a");
    assert_int_equal(json_array_size(json_object_get(row, "features")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(row, "features"), 0)),
                        feature_name(0));

    body.protocol = 3; /* a plane that no longer knows our revision */
    expect_refused(say("dp_a", &q), "protocol");
    hush(hello("dp_a", 1, 0));
}

static void strangers_garbage_and_other_protocols_are_refused_by_name(void **state)
{
    (void)state;
    Gatehouse__Request empty = GATEHOUSE__REQUEST__INIT;
    expect_refused(hello("dp_stranger", 1, 0), "unknown_plane");
    expect_refused(hello("dp_a", 3, 0), "protocol");
    expect_refused(say("dp_a", &empty), "invalid");
    expect_refused(say_bytes("dp_a", SLICE("\xff\xff\xff\xff garbage")), "unreadable");
    /* fields without a value inside each body: no NULL is ever followed */
    for (unsigned field = 10; field <= 18; field++) {
        char bytes[3] = {(char)(field << 3 | 2), 0, 0};
        size_t len = 2;
        if (field >= 16) {
            bytes[0] = (char)((field << 3 & 0x7f) | 2 | 0x80);
            bytes[1] = (char)(field >> 4);
            len = 3;
        }
        hush(say_bytes("dp_a", slice_of(bytes, len)));
    }
}

/* `batches` in one request, which protobuf would join, of so many empty records each. */
static Gatehouse__Reply *say_records(size_t batches, size_t records)
{
    static uint8_t bytes[64 * 1024];
    size_t at = 0;
    for (size_t i = 0; i < batches; i++) {
        bytes[at++] = GATEHOUSE__REQUEST__BODY_USAGE << 3 | 2;
        bytes[at++] = (uint8_t)(2 * records & 0x7f) | 0x80;
        bytes[at++] = (uint8_t)(2 * records >> 7);
        for (size_t n = 0; n < records; n++, at += 2)
            memcpy(bytes + at, "\x22\x00", 2);
    }
    return say_bytes("dp_a", slice_of(bytes, at));
}

static void a_message_that_would_unpack_into_too_much_is_not_unpacked(void **state)
{
    (void)state;
    expect_refused(say_records(1, 2048), "invalid"); /* read, and no batch: it has no numbers */
    expect_refused(say_records(1, 2049), "unreadable");
    expect_refused(say_records(2, 1025), "unreadable");
}

static void a_snapshot_comes_whole(void **state)
{
    (void)state;
    Gatehouse__Request q = GATEHOUSE__REQUEST__INIT;
    Gatehouse__SnapshotRequest body = GATEHOUSE__SNAPSHOT_REQUEST__INIT;
    q.body_case = GATEHOUSE__REQUEST__BODY_SNAPSHOT;
    q.snapshot = &body;
    Gatehouse__Reply *m = say("dp_a", &q);
    assert_null(m->error);
    assert_non_null(m->snapshot);
    assert_int_equal(m->snapshot->chunks, 1);
    struct image_head head;
    struct digest sum = {{0}}, row;
    for (size_t i = 0; i < m->snapshot->n_objects; i++) {
        const Gatehouse__PolicyObject *o = m->snapshot->objects[i];
        policy_digest_row((int)o->kind, slice_str(o->id), o->revision, &row);
        digest_add(&sum, &row);
    }
    image_head(channel.image, &head);
    assert_memory_equal(&sum, &head.digest, sizeof(sum)); /* each object once, none else */
    assert_int_equal(m->snapshot->objects[0]->kind, GATEHOUSE__OBJECT_KIND__KIND_SETTINGS);
    hush(m);
}

static void a_removed_plane_is_unknown_at_once(void **state)
{
    (void)state;
    put_plane("dp_gone");
    await_known("dp_gone", true);
    hush(hello("dp_gone", 1, 0));
    remove_plane("dp_gone");
    await_known("dp_gone", false);
    expect_refused(hello("dp_gone", 1, 0), "unknown_plane");
}

/* ---- what owners keep at providers ---- */

/* The ids as they come, "c b"; a '+' where there are more. */
static const char *lists(const char *owner, const char *kind, const char *after, bool ascending,
                         unsigned limit)
{
    static char said[256];
    Gatehouse__Request q = GATEHOUSE__REQUEST__INIT;
    Gatehouse__KeptAsk body = GATEHOUSE__KEPT_ASK__INIT;
    body.owner = (char *)owner;
    body.kind = (char *)kind;
    body.after_id = (char *)after;
    body.after_account = after ? (char *)"acc" : NULL;
    body.has_ascending = body.has_limit = true;
    body.ascending = ascending;
    body.limit = limit;
    q.body_case = GATEHOUSE__REQUEST__BODY_KEPT;
    q.kept = &body;
    Gatehouse__Reply *m = say("dp_a", &q);
    said[0] = '\0';
    if (m->error || m->kept->unknown)
        snprintf(said, sizeof(said), "%s", m->error ? m->error : "unknown");
    for (size_t i = 0; !m->error && i < m->kept->n_objects; i++) {
        assert_string_equal(m->kept->objects[i]->account, "acc");
        snprintf(said + strlen(said), 32, "%s%s", i ? " " : "", m->kept->objects[i]->id);
    }
    if (!m->error && m->kept->more)
        snprintf(said + strlen(said), 4, "+");
    hush(m);
    return said;
}

static void what_an_owner_keeps_is_listed_page_by_page(void **state)
{
    char sql[512];
    (void)state;
    snprintf(sql, sizeof(sql),
             "insert into kept_objects (org_id, owner_id, kind, account, id, made_at, gone_at)"
             " select case n when 5 then 'org_other' else '%s' end, case n when 3 then 'k_2' else"
             " 'k_1' end, case n when 4 then 'batch' else 'file' end, 'acc', chr(96 + n),"
             " now() + n * interval '1 second', case n when 6 then now() end"
             " from generate_series(1, 9) n",
             base.boot.org_id);
    database_say(&base, sql);
    assert_string_equal(lists("k_1", "file", NULL, false, 10), "i h g b a");
    assert_string_equal(lists("k_1", "file", NULL, true, 2), "a b+");
    assert_string_equal(lists("k_1", "file", "b", true, 2), "g h+");
    assert_string_equal(lists("k_1", "file", "h", true, 2), "i");
    assert_string_equal(lists("k_1", "file", "f", false, 10), "b a"); /* from what is gone */
    assert_string_equal(lists("k_1", "batch", NULL, false, 10), "d");
    assert_string_equal(lists("k_2", "file", NULL, false, 10), "c");
    assert_string_equal(lists("k_2", "file", "a", false, 10), "unknown");
    assert_string_equal(lists("k_3", "file", NULL, false, 10), "");
    assert_string_equal(lists("k_1", "thing", NULL, false, 10), "invalid");
}

/* ---- rollout ---- */

static bool everybody_is_here(void *arg, struct slice id)
{
    (void)arg;
    return slice_eq(id, SLICE("dp_a")) || slice_eq(id, SLICE("dp_b"));
}

static void *apply_later(void *arg)
{
    usleep(50000);
    applied("dp_b", *(uint64_t *)arg);
    return NULL;
}

static void waiting_ends_when_the_last_connected_plane_applies(void **state)
{
    (void)state;
    struct buf behind;
    pthread_t thread;
    put_plane("dp_b");
    put_plane("dp_asleep");
    await_known("dp_asleep", true);
    struct image_head head = newest();
    rollout_ask_presence(channel.rollout, everybody_is_here, NULL);
    buf_init(&behind, 1024);

    applied("dp_a", head.version);
    applied("dp_b", head.version - 1);
    uint64_t began = clock_mono_us();
    assert_int_equal(rollout_wait(channel.rollout, head.version, 150, &behind), ERR_TIMEOUT);
    assert_true(clock_mono_us() - began >= 150000);
    assert_true(slice_eq(buf_slice(&behind), SLICE("name-of-dp_b")));

    buf_clear(&behind);
    assert_int_equal(pthread_create(&thread, NULL, apply_later, &head.version), 0);
    assert_int_equal(rollout_wait(channel.rollout, head.version, 5000, &behind), ERR_OK);
    pthread_join(thread, NULL);
    assert_int_equal(behind.len, 0);

    JSON_AUTO json_t *t = rollout_json(channel.rollout, slice_str(base.boot.org_id));
    json_t *planes = json_object_get(t, "dataplanes"), *p;
    size_t i;
    assert_int_equal(json_integer_value(json_object_get(t, "version")), head.version);
    json_array_foreach(planes, i, p)
    {
        bool awake = strcmp(json_string_value(json_object_get(p, "name")), "name-of-dp_asleep");
        assert_int_equal(json_is_true(json_object_get(p, "connected")), awake);
        if (awake)
            assert_int_equal(json_integer_value(json_object_get(p, "lag")), 0);
    }
    assert_int_equal(json_array_size(planes), 3);
    rollout_ask_presence(channel.rollout, NULL, NULL);
    buf_fini(&behind);
}

/* ---- ceilings ---- */

/* What the plane is granted of 600 requests a minute, of which it took so many. */
static uint32_t grant_of(const char *plane, uint32_t taken, uint32_t in_force, uint32_t *floor)
{
    Gatehouse__Request q = GATEHOUSE__REQUEST__INIT;
    Gatehouse__CeilingRequest body = GATEHOUSE__CEILING_REQUEST__INIT;
    Gatehouse__CeilingAsk a = GATEHOUSE__CEILING_ASK__INIT, *asks[] = {&a};
    a.credential_id = "c_shared";
    a.has_rpm = a.has_requests = a.has_rpm_in_force = true;
    a.rpm = 600;
    a.requests = taken;
    a.rpm_in_force = in_force;
    body.asks = asks;
    body.n_asks = 1;
    q.body_case = GATEHOUSE__REQUEST__BODY_CEILING;
    q.ceiling = &body;
    Gatehouse__Reply *m = say(plane, &q);
    assert_null(m->error);
    assert_int_equal(m->ceiling->n_grants, 1);
    const Gatehouse__CeilingGrant *g = m->ceiling->grants[0];
    assert_string_equal(g->credential_id, "c_shared");
    assert_int_equal(g->tpm, 0); /* it has no such limit */
    assert_int_equal(g->valid_ms, CEILING_SHARE_MS);
    uint32_t share = g->rpm;
    *floor = g->rpm_floor;
    hush(m);
    return share;
}

static void planes_share_a_credentials_ceiling(void **state)
{
    (void)state;
    uint32_t floor, a, b;
    put_plane("dp_a");
    put_plane("dp_b");
    await_known("dp_b", true);
    a = grant_of("dp_a", 0, 0, &floor);
    assert_int_equal(a, 600); /* it is alone, and would also go on with all of it */
    assert_int_equal(floor, 600);
    b = grant_of("dp_b", 0, 0, &floor);
    assert_int_equal(b, 0); /* the other may use all of it */
    assert_int_equal(floor, 300);
    a = grant_of("dp_a", 100, a, &floor);
    assert_in_range(a, 300, 599);
    assert_int_equal(grant_of("dp_b", 0, 0, &floor),
                     0); /* the smaller share may not have arrived */
    a = grant_of("dp_a", 100, a, &floor);
    b = grant_of("dp_b", 0, 0, &floor);
    assert_in_range(b, 1, 300);
    assert_true(a + b <= 600);
    assert_int_equal(database_number(&base, "select count(*) from ceiling_shares"), 2);
}

static void a_request_for_shares_that_no_plane_sends_is_refused(void **state)
{
    (void)state;
    Gatehouse__Request q = GATEHOUSE__REQUEST__INIT;
    Gatehouse__CeilingRequest body = GATEHOUSE__CEILING_REQUEST__INIT;
    Gatehouse__CeilingAsk a = GATEHOUSE__CEILING_ASK__INIT, *asks[] = {&a};
    q.body_case = GATEHOUSE__REQUEST__BODY_CEILING;
    q.ceiling = &body;
    expect_refused(say("dp_a", &q), "invalid");
    body.asks = asks;
    body.n_asks = 1;
    expect_refused(say("dp_a", &q), "invalid");
    a.credential_id = "c_123456789012345678901234567890123456789";
    expect_refused(say("dp_a", &q), "invalid");
}

/* ---- enrolment ---- */

static void make_token(const char *id, int64_t now, char token[static ENROL_TOKEN_MAX])
{
    TX_AUTO struct tx tx = {0};
    int64_t expires = 0;
    assert_int_equal(tx_begin(base.db, slice_str(base.boot.org_id), &tx), ERR_OK);
    assert_int_equal(enrolment_create(channel.enrolment, &tx, slice_str(id), now, token, &expires),
                     ERR_OK);
    assert_int_equal(tx_commit(&tx), ERR_OK);
    assert_int_equal(expires, now + ENROLMENT_TOKEN_US);
}

static enum err use(const char *token, struct slice csr, int64_t now, struct enrolled *ret)
{
    return enrolment_use(channel.enrolment, base.db, slice_str(token), csr, now, ret);
}

static void a_token_works_once_within_ten_minutes_and_for_a_plane_that_is_there(void **state)
{
    (void)state;
    int64_t now = clock_wall_us();
    char token[ENROL_TOKEN_MAX], second[ENROL_TOKEN_MAX];
    struct enrolled e;
    struct buf key, csr;
    buf_init(&key, 8192);
    buf_init(&csr, 8192);
    assert_int_equal(enrol_make_request(&key, &csr), ERR_OK);
    put_plane("dp_new");

    make_token("dp_new", now, token);
    assert_int_equal(use(token, SLICE("not a request"), now, &e), ERR_INVALID);
    enrolled_fini(&e);
    assert_int_equal(use(token, buf_slice(&csr), now, &e),
                     ERR_OK); /* a bad CSR did not use it up */
    assert_string_equal(e.id, "dp_new");
    assert_string_equal(e.name, "name-of-dp_new");
    assert_true(slice_starts(buf_slice(&e.certificate), SLICE("-----BEGIN CERTIFICATE-----")));
    enrolled_fini(&e);
    assert_int_equal(use(token, buf_slice(&csr), now, &e), ERR_DENIED);
    enrolled_fini(&e);

    make_token("dp_new", now, token);
    make_token("dp_new", now, second);
    assert_int_equal(use(token, buf_slice(&csr), now, &e), ERR_DENIED); /* a newer token is valid */
    enrolled_fini(&e);
    assert_int_equal(use(second, buf_slice(&csr), now + ENROLMENT_TOKEN_US + 1, &e), ERR_DENIED);
    enrolled_fini(&e);
    remove_plane("dp_new");
    assert_int_equal(use(second, buf_slice(&csr), now, &e), ERR_DENIED);
    enrolled_fini(&e);
    assert_int_equal(use("ghe-nonsense", buf_slice(&csr), now, &e), ERR_DENIED);
    enrolled_fini(&e);
    buf_fini(&key);
    buf_fini(&csr);
}

static void a_certificate_is_renewed_over_the_channel(void **state)
{
    (void)state;
    Gatehouse__Request q = GATEHOUSE__REQUEST__INIT;
    Gatehouse__RenewRequest body = GATEHOUSE__RENEW_REQUEST__INIT;
    struct buf key, csr;
    int64_t ends = 0;
    buf_init(&key, 8192);
    buf_init(&csr, 8192);
    assert_int_equal(enrol_make_request(&key, &csr), ERR_OK);
    assert_int_equal(buf_append(&csr, slice_of("", 1)), ERR_OK);
    body.csr_pem = (char *)buf_slice(&csr).ptr;
    q.body_case = GATEHOUSE__REQUEST__BODY_RENEW;
    q.renew = &body;
    Gatehouse__Reply *m = say("dp_a", &q);
    assert_null(m->error);
    assert_int_equal(enrol_not_after(slice_str(m->renew->certificate_pem), &ends), ERR_OK);
    assert_true(ends > clock_wall_us() + INT64_C(29) * 86400 * 1000000);
    assert_true(slice_eq(slice_str(m->renew->ca_pem), enrolment_ca(channel.enrolment)));
    hush(m);
    buf_fini(&key);
    buf_fini(&csr);
}

static void another_control_plane_is_the_same_authority(void **state)
{
    (void)state;
    struct enrolment *other = NULL;
    assert_int_equal(enrolment_open(base.db, base.seal, &other), ERR_OK);
    assert_true(slice_eq(enrolment_ca(other), enrolment_ca(channel.enrolment)));
    enrolment_close(&other);
    assert_int_equal(
        database_number(&base,
                        "select count(*) from installation where name = 'ca_key' and sealed"),
        1);
    assert_int_equal(database_number(&base, "select count(*) from installation where name ="
                                            " 'ca_key' and position('PRIVATE' in"
                                            " encode(value, 'escape')) > 0"),
                     0);
}

/* ---- health ---- */

static void count_row(void *arg, const struct health_row *row)
{
    assert_string_equal(row->plane_id, "dp_a");
    ++*(unsigned *)arg;
}

static void what_a_plane_reports_of_endpoints_is_kept_under_its_name(void **state)
{
    (void)state;
    unsigned rows = 0;
    Gatehouse__Request q = GATEHOUSE__REQUEST__INIT;
    Gatehouse__HealthReport body = GATEHOUSE__HEALTH_REPORT__INIT;
    Gatehouse__EndpointReport e = GATEHOUSE__ENDPOINT_REPORT__INIT, *list[] = {&e};
    e.provider_id = (char *)(uintptr_t) "prov_h";
    e.state = (char *)(uintptr_t) "open";
    body.n_endpoints = 1;
    body.endpoints = list;
    q.body_case = GATEHOUSE__REQUEST__BODY_HEALTH;
    q.health = &body;
    Gatehouse__Reply *m = say("dp_a", &q);
    assert_null(m->error);
    hush(m);
    health_board_each(channel.health, SLICE("prov_h"), count_row, &rows);
    assert_int_equal(rows, 1);
    e.state = (char *)(uintptr_t) "ajar";
    expect_refused(say("dp_a", &q), "invalid");
}

/* Two bytes each on the wire, two hundred in memory. */
static void more_endpoints_than_a_plane_may_have_are_not_unpacked(void **state)
{
    (void)state;
    static uint8_t bytes[64 * 1024];
    size_t len = 0, inner = 2 * (LIMIT_HEALTH_ENDPOINTS + 1);
    bytes[len++] = 0xa2; /* field 20, length-delimited */
    bytes[len++] = 0x01;
    bytes[len++] = (uint8_t)(inner & 0x7f) | 0x80;
    bytes[len++] = (uint8_t)(inner >> 7);
    for (size_t i = 0; i <= LIMIT_HEALTH_ENDPOINTS; i++) {
        bytes[len++] = 0x0a;
        bytes[len++] = 0;
    }
    expect_refused(say_bytes("dp_a", slice_of(bytes, len)), "unreadable");
}

/* ---- */

static int open_base(void **state)
{
    base_open(state);
    channel_kit_open();
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
        cmocka_unit_test(a_known_plane_is_told_its_name_and_the_newest_version),
        cmocka_unit_test(hello_agrees_on_the_newest_revision_that_both_know),
        cmocka_unit_test(strangers_garbage_and_other_protocols_are_refused_by_name),
        cmocka_unit_test(a_message_that_would_unpack_into_too_much_is_not_unpacked),
        cmocka_unit_test(a_snapshot_comes_whole),
        cmocka_unit_test(a_removed_plane_is_unknown_at_once),
        cmocka_unit_test(what_an_owner_keeps_is_listed_page_by_page),
        cmocka_unit_test(waiting_ends_when_the_last_connected_plane_applies),
        cmocka_unit_test(planes_share_a_credentials_ceiling),
        cmocka_unit_test(a_request_for_shares_that_no_plane_sends_is_refused),
        cmocka_unit_test(a_token_works_once_within_ten_minutes_and_for_a_plane_that_is_there),
        cmocka_unit_test(a_certificate_is_renewed_over_the_channel),
        cmocka_unit_test(another_control_plane_is_the_same_authority),
        cmocka_unit_test(what_a_plane_reports_of_endpoints_is_kept_under_its_name),
        cmocka_unit_test(more_endpoints_than_a_plane_may_have_are_not_unpacked),
    };
    return cmocka_run_group_tests(tests, open_base, close_base);
}
