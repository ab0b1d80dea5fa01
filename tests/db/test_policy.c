/*
 * policy — rows become packed objects; the image that deltas keep up to date is the one a fresh
 * start would build; snapshots are one version whatever is written meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/wire/policy_digest.h"
#include "controlplane/policy/compile.h"
#include "controlplane/policy/follow.h"
#include "controlplane/store/store_secret.h"
#include "controlplane/store/store_write.h"
#include "proto/channel.pb-c.h"
#include "tests/kit/db/base.h"

static struct image *image;
static struct view_key view; /* of the pool "default", and planes of revision 1 */

/* ---- writing ---- */

/* One write of the policy: the statement (as the owner), its version and its line in the log. */
static void change(const char *sql, int kind, const char *id, bool deleted)
{
    struct write w;
    database_say(&base, sql);
    assert_int_equal(write_begin(base.db, slice_str(base.boot.org_id), &w), ERR_OK);
    assert_int_equal(write_change(&w, kind, slice_str(id), deleted), ERR_OK);
    assert_int_equal(write_commit(&w), ERR_OK);
}

static void put_key(unsigned n, unsigned revision)
{
    char sql[1024], id[32];
    snprintf(id, sizeof(id), "k_%u", n);
    snprintf(sql, sizeof(sql),
             "insert into keys (id, org_id, name, revision, spec) values ('%s', '%s', 'key %u', %u,"
             " jsonb_build_object('digest', encode(sha256('%u'), 'hex'), 'digest_kind', 'hmac',"
             " 'public_part', 'abc', 'models', jsonb_build_array('gpt-4o-mini'),"
             " 'budget', jsonb_build_object('limit_usd', '5.000000000', 'period', 'day'),"
             " 'limits', jsonb_build_object('rpm', 60), 'revoked', false, 'blocked', false))"
             " on conflict (id) do update set revision = excluded.revision, deleted_at = null",
             id, base.boot.org_id, n, revision, n);
    change(sql, GATEHOUSE__OBJECT_KIND__KIND_KEY, id, false);
}

static void drop_key(unsigned n)
{
    char sql[256], id[32];
    snprintf(id, sizeof(id), "k_%u", n);
    snprintf(sql, sizeof(sql),
             "update keys set deleted_at = now(), revision = revision + 1 where id = '%s'", id);
    change(sql, GATEHOUSE__OBJECT_KIND__KIND_KEY, id, true);
}

static void put_provider(const char *secret)
{
    char sql[1024];
    TX_AUTO struct tx tx = {0};
    assert_int_equal(tx_begin(base.db, slice_str(base.boot.org_id), &tx), ERR_OK);
    assert_int_equal(store_secret_put(&tx, base.seal, slice_str(base.boot.org_id), SLICE("prov_1"),
                                      SLICE("cred_1"), slice_str(secret)),
                     ERR_OK);
    assert_int_equal(tx_commit(&tx), ERR_OK);
    snprintf(sql, sizeof(sql),
             "insert into providers (id, org_id, name, spec) values ('prov_1', '%s', 'demo',"
             " '{\"dialect\":\"openai\",\"base_url\":\"http://127.0.0.1:9000/v1\","
             "\"allow_cidrs\":[\"127.0.0.0/8\"],\"credentials\":[{\"id\":\"cred_1\","
             "\"name\":\"main\",\"weight\":1}]}') on conflict (id) do update set"
             " revision = providers.revision + 1",
             base.boot.org_id);
    change(sql, GATEHOUSE__OBJECT_KIND__KIND_PROVIDER, "prov_1", false);
}

/* ---- reading ---- */

static enum err compile_with(const struct seal *seal, struct image *im, bool whole)
{
    struct db_conn *c = NULL;
    struct image_delta d = {0};
    struct image_head head;
    assert_int_equal(db_conn_open(base.run_url, &c), ERR_OK);
    struct tx tx = {.conn = c};
    assert_int_equal(tx_query(&tx, "begin isolation level repeatable read", DB_NO_PARAMS, NULL),
                     ERR_OK);
    assert_int_equal(
        tx_query(&tx, "select set_config('gatehouse.org_id', '*', true)", DB_NO_PARAMS, NULL),
        ERR_OK);
    image_head(im, &head);
    enum err e = whole ? compile_whole(&tx, seal, &d)
                       : compile_since(&tx, seal, head.lineage, head.version, &d);
    if (e == ERR_OK)
        e = image_apply(im, &d);
    image_delta_fini(&d);
    db_conn_close(&c);
    return e;
}

static void load(void)
{
    assert_int_equal(compile_with(base.seal, image, true), ERR_OK);
}

static void catch_up(void)
{
    assert_int_equal(compile_with(base.seal, image, false), ERR_OK);
}

static Gatehouse__SnapshotReply *fetch(uint64_t version, uint32_t chunk)
{
    struct buf out;
    buf_init(&out, LIMIT_BUS_MESSAGE);
    assert_int_equal(image_chunk(image, &view, version, chunk, (int64_t)clock_mono_us(), &out),
                     ERR_OK);
    assert_true(out.len <= 2 * LIMIT_BUS_CHUNK);
    struct slice bytes = buf_slice(&out);
    Gatehouse__SnapshotReply *m =
        gatehouse__snapshot_reply__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
    assert_non_null(m);
    buf_fini(&out);
    return m;
}

static void free_reply(Gatehouse__SnapshotReply *m)
{
    gatehouse__snapshot_reply__free_unpacked(m, NULL);
}

static void add_rows(const Gatehouse__SnapshotReply *m, struct digest *sum)
{
    for (size_t i = 0; i < m->n_objects; i++) {
        struct digest row;
        policy_digest_row((int)m->objects[i]->kind, slice_str(m->objects[i]->id),
                          m->objects[i]->revision, &row);
        digest_add(sum, &row);
    }
}

/* Whether the image equals the one of a fresh start. */
static void expect_same_as_fresh(void)
{
    struct image *fresh = image_new();
    struct image_head have, want;
    assert_int_equal(compile_with(base.seal, fresh, true), ERR_OK);
    image_head(image, &have);
    image_head(fresh, &want);
    assert_int_equal(have.version, want.version);
    assert_string_equal(have.lineage, want.lineage);
    assert_memory_equal(&have.digest, &want.digest, sizeof(want.digest));
    image_free(fresh);
}

static const Gatehouse__PolicyObject *find(const Gatehouse__SnapshotReply *m, const char *id)
{
    for (size_t i = 0; i < m->n_objects; i++)
        if (strcmp(m->objects[i]->id, id) == 0)
            return m->objects[i];
    return NULL;
}

static void read_pool(const char *name, char ret[static ID_MAX])
{
    TX_AUTO struct tx tx = {0};
    DB_AUTO struct db_result *r = NULL;
    assert_int_equal(tx_begin(base.db, slice_str(base.boot.org_id), &tx), ERR_OK);
    assert_int_equal(tx_query(&tx, "select id from pools where name = $1",
                              DB_PARAMS(DB_TEXT(slice_str(name))), &r),
                     ERR_OK);
    assert_int_equal(db_rows(r), 1);
    db_copy(r, 0, 0, ret, ID_MAX);
}

static int fresh(void **state)
{
    (void)state;
    database_say(&base,
                 "delete from keys; delete from secrets; delete from models; delete from providers;"
                 " delete from teams where name <> 'default'");
    snprintf(view.org, sizeof(view.org), "%s", base.boot.org_id);
    view.features = FEATURES_NONE;
    read_pool("default", view.pool);
    image = image_new();
    load();
    return 0;
}

static int done(void **state)
{
    (void)state;
    image_free(image);
    return 0;
}

/* ---- */

static void rows_become_objects_with_their_secrets_opened(void **state)
{
    (void)state;
    put_key(1, 1);
    put_provider("sk-very-secret");
    catch_up();
    Gatehouse__SnapshotReply *m = fetch(0, 0);
    assert_int_equal(m->chunks, 1);

    const Gatehouse__PolicyObject *settings = find(m, "settings");
    assert_non_null(settings);
    assert_int_equal(settings->settings->key_hmac.len, 32);
    assert_int_equal(settings->settings->session_seal.len, 32);
    assert_memory_equal(settings->settings->key_hmac.data, secret_reveal(base.boot.key_hmac).ptr,
                        32);

    const Gatehouse__PolicyObject *provider = find(m, "prov_1");
    assert_non_null(provider);
    assert_string_equal(provider->provider->base_url, "http://127.0.0.1:9000/v1");
    assert_int_equal(provider->provider->n_credentials, 1);
    const ProtobufCBinaryData *secret = &provider->provider->credentials[0]->secret;
    assert_int_equal(secret->len, strlen("sk-very-secret"));
    assert_memory_equal(secret->data, "sk-very-secret", secret->len);

    const Gatehouse__PolicyObject *key = find(m, "k_1");
    assert_non_null(key);
    assert_int_equal(key->key->digest.len, 32);
    assert_int_equal(key->key->budget->limit_nano, INT64_C(5000000000));
    assert_string_equal(key->key->budget->account, "key:k_1");
    assert_int_equal(key->key->limits->rpm, 60);
    assert_true(key->key->models->set);
    assert_null(key->key->tasks); /* absent is not empty */
    free_reply(m);
}

static bool holds_bytes(struct slice all, const char *text)
{
    return memmem(all.ptr, all.len, text, strlen(text)) != NULL;
}

/* Whether the text occurs in what the view's planes are sent, as a snapshot or a delta. */
static bool reaches_view(const struct view_key *key, const char *text)
{
    struct buf out;
    struct image_head head;
    struct image_objects changes;
    uint64_t from = 0;
    buf_init(&out, LIMIT_BUS_MESSAGE);
    assert_int_equal(image_take_delta(image, key, &head, &from, &changes), ERR_OK);
    assert_int_equal(image_objects_write(&changes, &out), ERR_OK);
    image_objects_fini(&changes);
    assert_int_equal(image_chunk(image, key, 0, 0, (int64_t)clock_mono_us(), &out), ERR_OK);
    bool found = holds_bytes(buf_slice(&out), text);
    buf_fini(&out);
    return found;
}

static void a_secret_reaches_the_pools_that_are_named_and_no_other(void **state)
{
    (void)state;
    struct view_key east = view, west = view;
    char sql[512];
    snprintf(sql, sizeof(sql),
             "insert into pools (id, org_id, name) select 'pool_' || n, '%s', n"
             " from unnest(array['east', 'west']) n on conflict do nothing",
             base.boot.org_id);
    database_say(&base, sql);
    read_pool("east", east.pool);
    read_pool("west", west.pool);
    put_provider("sk-for-everybody");
    catch_up();
    assert_true(reaches_view(&east, "sk-for-everybody"));
    assert_true(reaches_view(&west, "sk-for-everybody"));

    put_provider("sk-only-east");
    change("update providers set spec = spec || '{\"pools\":[\"pool_east\"]}',"
           " revision = revision + 1",
           GATEHOUSE__OBJECT_KIND__KIND_PROVIDER, "prov_1", false);
    catch_up();
    assert_true(reaches_view(&east, "sk-only-east"));
    assert_false(reaches_view(&west, "sk-only-east"));
    assert_false(reaches_view(&view, "sk-only-east"));

    put_provider("sk-switched-off");
    change("update providers set spec = (spec - 'pools') || '{\"enabled\":false}',"
           " revision = revision + 1",
           GATEHOUSE__OBJECT_KIND__KIND_PROVIDER, "prov_1", false);
    catch_up();
    assert_false(reaches_view(&east, "sk-switched-off"));
    assert_false(reaches_view(&view, "sk-switched-off"));
}

static void a_weighted_model_travels_with_its_weights(void **state)
{
    (void)state;
    char sql[1024];
    put_provider("sk-1");
    snprintf(sql, sizeof(sql),
             "insert into models (id, org_id, name, spec) values ('model_1', '%s', 'shared',"
             " '{\"strategy\":\"weighted\",\"targets\":["
             "{\"provider\":\"prov_1\",\"model\":\"a\",\"weight\":3},"
             "{\"provider\":\"prov_1\",\"model\":\"b\"},"
             "{\"provider\":\"prov_1\",\"model\":\"c\",\"weight\":0}]}')",
             base.boot.org_id);
    change(sql, GATEHOUSE__OBJECT_KIND__KIND_MODEL, "model_1", false);
    catch_up();
    Gatehouse__SnapshotReply *m = fetch(0, 0);
    const Gatehouse__PolicyObject *o = find(m, "model_1");
    assert_non_null(o);
    assert_string_equal(o->model->strategy, "weighted");
    assert_int_equal(o->model->n_targets, 3);
    assert_int_equal(o->model->targets[0]->weight, 3);
    assert_false(o->model->targets[1]->has_weight); /* absent is not nothing */
    assert_true(o->model->targets[2]->has_weight);
    assert_int_equal(o->model->targets[2]->weight, 0);
    free_reply(m);
}

static bool is_given(const struct view_key *key, const char *id)
{
    struct view_key usual = view;
    view = *key;
    Gatehouse__SnapshotReply *m = fetch(0, 0);
    bool found = find(m, id) != NULL;
    free_reply(m);
    view = usual;
    return found;
}

static void a_restriction_that_a_plane_does_not_know_withholds_what_it_restricts(void **state)
{
    (void)state;
    struct view_key newer = view;
    char sql[1024];
    newer.features = FEATURES_ROWS;
    put_provider("sk-1");
    snprintf(sql, sizeof(sql),
             "insert into teams (id, org_id, name, spec) values ('team_eu', '%s', 'eu', '{}')",
             base.boot.org_id);
    change(sql, GATEHOUSE__OBJECT_KIND__KIND_TEAM, "team_eu", false);
    put_key(1, 1);
    change("update keys set spec = spec || '{\"team\":\"team_eu\"}', revision = 2 where id = 'k_1'",
           GATEHOUSE__OBJECT_KIND__KIND_KEY, "k_1", false);
    snprintf(sql, sizeof(sql),
             "insert into models (id, org_id, name, spec) values"
             " ('model_a', '%s', 'a', '{\"targets\":[{\"provider\":\"prov_1\",\"model\":\"x\"}]}'),"
             " ('model_b', '%s', 'b', '{\"targets\":[{\"model\":\"model_a\"}]}')",
             base.boot.org_id, base.boot.org_id);
    change(sql, GATEHOUSE__OBJECT_KIND__KIND_MODEL, "model_a", false);
    change("select 1", GATEHOUSE__OBJECT_KIND__KIND_MODEL, "model_b", false);
    catch_up();
    assert_true(is_given(&view, "k_1"));
    assert_true(is_given(&view, "model_a"));
    assert_false(is_given(&view, "model_b")); /* a model as a target */
    assert_true(is_given(&newer, "model_b"));

    change("update teams set spec = '{\"regions\":[\"eu\"]}', revision = revision + 1"
           " where id = 'team_eu'",
           GATEHOUSE__OBJECT_KIND__KIND_TEAM, "team_eu", false);
    /* nothing is left behind model_b where model_a is not given */
    change("update models set spec = spec || '{\"strategy\":\"lowest_cost\"}',"
           " revision = revision + 1 where id = 'model_a'",
           GATEHOUSE__OBJECT_KIND__KIND_MODEL, "model_a", false);
    newer.features &= ~FEATURE_BIT(FEATURE_ROUTING_STRATEGIES);
    catch_up();
    assert_false(is_given(&view, "team_eu"));
    assert_false(is_given(&view, "k_1"));
    assert_true(is_given(&newer, "k_1"));
    assert_false(is_given(&newer, "model_a"));
    assert_false(is_given(&newer, "model_b"));
    expect_same_as_fresh();
}

static void an_object_whose_secret_does_not_open_is_withheld(void **state)
{
    (void)state;
    uint8_t other[SEAL_MASTER_LEN] = {1};
    struct seal *wrong = seal_new(slice_of(other, sizeof(other)));
    put_provider("sk-1");
    catch_up();
    Gatehouse__SnapshotReply *m = fetch(0, 0);
    assert_non_null(find(m, "prov_1"));
    free_reply(m);

    database_say(&base, "update secrets set sealed = sealed || '\\x00'");
    put_key(7, 1);
    change("update providers set revision = revision + 1", GATEHOUSE__OBJECT_KIND__KIND_PROVIDER,
           "prov_1", false);
    catch_up();
    m = fetch(0, 0);
    assert_null(find(m, "prov_1"));
    assert_non_null(find(m, "k_7"));
    free_reply(m);
    expect_same_as_fresh();

    assert_int_not_equal(compile_with(wrong, image, true), ERR_OK); /* not even the settings */
    seal_free(wrong);
}

static void after_random_writes_the_image_equals_that_of_a_fresh_start(void **state)
{
    (void)state;
    unsigned seed = (unsigned)clock_mono_us();
    print_message("seed %u\n", seed);
    for (int round = 0; round < 12; round++) {
        for (int i = rand_r(&seed) % 20; i >= 0; i--) {
            unsigned n = (unsigned)rand_r(&seed) % 25;
            if (rand_r(&seed) % 3 == 0)
                drop_key(n);
            else
                put_key(n, 1 + (unsigned)rand_r(&seed) % 1000);
            if (rand_r(&seed) % 8 == 0)
                put_provider("sk-x");
        }
        catch_up();
        expect_same_as_fresh();
    }
}

static void a_version_that_concerns_no_plane_is_still_a_delta(void **state)
{
    (void)state;
    struct image_head before, after;
    struct write w;
    image_head(image, &before);
    assert_int_equal(write_begin(base.db, slice_str(base.boot.org_id), &w), ERR_OK);
    assert_int_equal(write_commit(&w), ERR_OK);
    catch_up();
    image_head(image, &after);
    assert_int_equal(after.version, before.version + 1);
    assert_memory_equal(&after.digest, &before.digest, sizeof(after.digest));
}

static void another_lineage_loads_the_whole_policy(void **state)
{
    (void)state;
    database_say(&base, "update policy_head set lineage = 'line_other'");
    assert_int_equal(compile_with(base.seal, image, false), ERR_CONFLICT);
    load();
    expect_same_as_fresh();
}

static void fill(unsigned count)
{
    char sql[1024];
    struct write w;
    snprintf(sql, sizeof(sql),
             "insert into keys (id, org_id, name, spec) select 'k_bulk' || n, '%s', 'key ' || n,"
             " jsonb_build_object('digest', encode(sha256(('bulk' || n)::bytea), 'hex'),"
             " 'digest_kind', 'hmac', 'public_part', 'abc', 'models', '[\"gpt-4o-mini\"]'::jsonb,"
             " 'budget', '{\"limit_usd\":\"5.000000000\",\"period\":\"day\"}'::jsonb,"
             " 'limits', '{\"rpm\":60,\"parallel\":4}'::jsonb, 'revoked', false, 'blocked', false)"
             " from generate_series(1, %u) n",
             base.boot.org_id, count);
    database_say(&base, sql);
    assert_int_equal(write_begin(base.db, slice_str(base.boot.org_id), &w), ERR_OK);
    assert_int_equal(write_commit(&w), ERR_OK);
}

static void a_snapshot_stays_one_version_while_others_write(void **state)
{
    (void)state;
    struct digest sum = {{0}};
    fill(30000);
    load();
    Gatehouse__SnapshotReply *first = fetch(0, 0);
    assert_true(first->chunks > 2);
    add_rows(first, &sum);
    size_t objects = first->n_objects;
    for (uint32_t i = 1; i < first->chunks; i++) {
        put_key(i, 1);
        catch_up();
        Gatehouse__SnapshotReply *m = fetch(first->version, i);
        assert_false(m->gone);
        assert_int_equal(m->version, first->version);
        assert_int_equal(m->chunk, i);
        add_rows(m, &sum);
        objects += m->n_objects;
        free_reply(m);
    }
    assert_int_equal(first->digest.len, DIGEST_LEN);
    assert_memory_equal(&sum, first->digest.data, DIGEST_LEN);
    assert_true(objects >= 30000);

    Gatehouse__SnapshotReply *beyond = fetch(first->version, first->chunks);
    assert_true(beyond->gone);
    free_reply(beyond);
    free_reply(first);
}

static void several_planes_fetch_at_once_and_a_forgotten_version_is_gone(void **state)
{
    (void)state;
    uint64_t versions[LIMIT_POLICY_HELD + 1];
    for (unsigned i = 0; i <= LIMIT_POLICY_HELD; i++) {
        put_key(i, 1);
        catch_up();
        Gatehouse__SnapshotReply *m = fetch(0, 0);
        versions[i] = m->version;
        free_reply(m);
        usleep(1000); /* "longest unused" is told by the clock */
    }
    for (unsigned i = 0; i <= LIMIT_POLICY_HELD; i++) {
        Gatehouse__SnapshotReply *m = fetch(versions[i], 0);
        assert_int_equal(m->gone, i == 0);
        free_reply(m);
    }
}

/* The time that processors gave to this process: on a busy machine the clock says little. */
static uint64_t worked_us(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void a_hundred_thousand_keys_compile_in_seconds(void **state)
{
    (void)state;
    fill(100000);
    uint64_t began = clock_mono_us(), worked = worked_us();
    load();
    worked = worked_us() - worked;
    uint64_t compiled = clock_mono_us();
    uint32_t chunks = 1;
    for (uint32_t i = 0; i < chunks; i++) {
        Gatehouse__SnapshotReply *m = fetch(0, i);
        chunks = m->chunks;
        free_reply(m);
    }
    uint64_t fetched = clock_mono_us();
    put_key(1, 1);
    uint64_t written = clock_mono_us();
    catch_up();
    print_message("100000 keys: compiled in %llu ms, %u chunks read in %llu ms, delta in %llu us\n",
                  (unsigned long long)(compiled - began) / 1000, chunks,
                  (unsigned long long)(fetched - compiled) / 1000,
                  (unsigned long long)(clock_mono_us() - written));
    assert_true(worked < 30 * 1000000u); /* with sanitizers */
    expect_same_as_fresh();
}

/* ---- the follower ---- */

static unsigned removed;

static void on_removed(void *arg, struct slice plane_id)
{
    (void)arg;
    assert_true(slice_eq(plane_id, SLICE("dp_follow")));
    removed++;
}

static bool reaches(uint64_t version, unsigned ms)
{
    struct image_head head;
    for (unsigned i = 0; i < ms; i++) {
        image_head(image, &head);
        if (head.version >= version)
            return true;
        usleep(1000);
    }
    return false;
}

static uint64_t newest(void)
{
    return (uint64_t)database_number(&base, "select version from policy_head");
}

static void put_plane(const char *deleted)
{
    char sql[512];
    snprintf(sql, sizeof(sql),
             "insert into dataplanes (id, org_id, name, spec, deleted_at) select 'dp_follow', '%s',"
             " 'follow', jsonb_build_object('pool', id), %s from pools where name = 'default'"
             " on conflict (id) do update set deleted_at = excluded.deleted_at",
             base.boot.org_id, deleted);
    change(sql, 0, "dp_follow", false);
}

static void the_follower_hears_of_writes_and_outlives_a_lost_database(void **state)
{
    (void)state;
    struct rollout *rollout = rollout_new();
    struct publish *publish = NULL;
    struct follow *follow = NULL;
    char pool[VIEW_CHANNEL_MAX];
    image_free(image);
    image = image_new();
    put_plane("null");
    assert_int_equal(publish_start(image, rollout, &publish), ERR_OK);
    const struct follow_config config = {.direct_url = base.run_url,
                                         .seal = base.seal,
                                         .image = image,
                                         .rollout = rollout,
                                         .publish = publish,
                                         .on_removed = on_removed};
    assert_int_equal(follow_start(&config, &follow), ERR_OK);
    assert_true(reaches(newest(), 0) || reaches(newest(), 1));
    assert_true(rollout_admit(rollout, SLICE("dp_follow"), pool));

    for (unsigned i = 0; i < 5; i++) {
        put_key(i, 1);
        assert_true(reaches(newest(), 500)); /* by the notification: the poll takes a second */
    }
    for (unsigned i = 0; i < 3; i++) {
        database_say(&base, "select pg_terminate_backend(pid) from pg_stat_activity where"
                            " datname = current_database() and pid <> pg_backend_pid()");
        put_key(10 + i, 1);
        assert_true(reaches(newest(), 5000));
        expect_same_as_fresh();
    }
    put_plane("now()");
    assert_true(reaches(newest(), 2000));
    assert_int_equal(removed, 1);
    assert_false(rollout_admit(rollout, SLICE("dp_follow"), pool));

    follow_stop(&follow);
    publish_stop(&publish);
    rollout_free(rollout);
}

#define POLICY(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POLICY(rows_become_objects_with_their_secrets_opened),
        POLICY(a_secret_reaches_the_pools_that_are_named_and_no_other),
        POLICY(a_weighted_model_travels_with_its_weights),
        POLICY(a_restriction_that_a_plane_does_not_know_withholds_what_it_restricts),
        POLICY(an_object_whose_secret_does_not_open_is_withheld),
        POLICY(after_random_writes_the_image_equals_that_of_a_fresh_start),
        POLICY(a_version_that_concerns_no_plane_is_still_a_delta),
        POLICY(another_lineage_loads_the_whole_policy),
        POLICY(a_snapshot_stays_one_version_while_others_write),
        POLICY(several_planes_fetch_at_once_and_a_forgotten_version_is_gone),
        POLICY(a_hundred_thousand_keys_compile_in_seconds),
        POLICY(the_follower_hears_of_writes_and_outlives_a_lost_database),
    };
    return cmocka_run_group_tests(tests, base_open, base_close);
}
