/*
 * store — versions without gaps although many write, a chain that shows every change, secrets that
 * open nowhere but in their own row, first rows that are made once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/id.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/store/store_audit.h"
#include "controlplane/store/store_catalogue.h"
#include "controlplane/store/store_idempotency.h"
#include "controlplane/store/store_object.h"
#include "controlplane/store/store_policy.h"
#include "controlplane/store/store_secret.h"
#include "proto/policy.pb-c.h"
#include "tests/kit/db/base.h"

static struct slice org(void)
{
    return slice_str(base.boot.org_id);
}

/* ---- the catalogue of prices ---- */

#define CATALOGUE_FILE "controlplane/catalogue/catalogue.json"

static uint64_t head(void);

static json_t *stored_catalogue(const char *name)
{
    TX_AUTO struct tx tx = {0};
    struct object o = {0};
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    assert_int_equal(store_object_get(&tx, &noun_catalogue, slice_str(name), false, &o), ERR_OK);
    return o.spec;
}

static void catalogue_says(const char *name, const char *source)
{
    char sql[256];
    snprintf(sql, sizeof(sql),
             "update catalogues set spec = jsonb_build_object('source', '%s', 'models',"
             " jsonb_build_array()) where name = '%s'",
             source, name);
    database_say(&base, sql);
}

static bool has_models(const char *name)
{
    JSON_AUTO json_t *spec = stored_catalogue(name);
    return json_array_size(json_object_get(spec, "models")) > 0;
}

/* The file is read as the admin API reads a document: each row is a valid one. */
static void the_built_in_catalogues_are_kept_up_to_date_and_others_left_alone(void **state)
{
    (void)state;
    const char *file = CATALOGUE_FILE;
    assert_int_equal(store_catalogue_load(base.db, base.boot.org_id, file), ERR_OK);
    assert_true(has_models("openai") && has_models("anthropic") && has_models("gemini"));
    uint64_t version = head();
    assert_int_equal(store_catalogue_load(base.db, base.boot.org_id, file), ERR_OK);
    assert_int_equal(head(), version);

    catalogue_says("openai", "built-in 2020-01-01 (older)");
    catalogue_says("anthropic", "our own contract");
    catalogue_says("gemini", "built-in 9999-01-01 (newer)");
    assert_int_equal(store_catalogue_load(base.db, base.boot.org_id, file), ERR_OK);
    assert_true(has_models("openai"));
    assert_false(has_models("anthropic"));
    assert_false(has_models("gemini"));
    assert_int_equal(head(), version + 1);
    assert_int_equal(store_catalogue_load(base.db, base.boot.org_id, "/nowhere"), ERR_NOT_FOUND);
}

/* ---- versions ---- */

static uint64_t head(void)
{
    TX_AUTO struct tx tx = {0};
    uint64_t version = 0;
    char lineage[40];
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    assert_int_equal(store_policy_head(&tx, &version, lineage), ERR_OK);
    assert_true(strncmp(lineage, "line_", 5) == 0);
    return version;
}

/* One write with an object, a line in the log and a record; left open unless `commit`. */
static enum err write_once(const char *name, bool commit)
{
    WRITE_AUTO struct write w = {0};
    OBJECT_AUTO struct object o = {0};
    enum err e = write_begin(base.db, org(), &w);
    id_new("task", o.id);
    snprintf(o.org_id, sizeof(o.org_id), "%s", base.boot.org_id);
    snprintf(o.name, sizeof(o.name), "%s", name);
    o.spec = json_pack("{s:s}", "description", name);
    struct audit_entry entry = {.actor = "tester",
                                .actor_role = "owner",
                                .source = "127.0.0.1",
                                .action = "create",
                                .noun = "task",
                                .object_id = o.id,
                                .object_name = name,
                                .after = o.spec};
    if (e == ERR_OK)
        e = store_object_insert(&w.tx, &noun_task, &o);
    if (e == ERR_OK)
        e = write_change(&w, GATEHOUSE__OBJECT_KIND__KIND_TASK, slice_str(o.id), false);
    if (e == ERR_OK)
        e = write_audit(&w, &entry);
    return e == ERR_OK && commit ? write_commit(&w) : e;
}

#define WRITERS 6
#define WRITES 15

static void *write_many(void *arg)
{
    char name[64];
    for (int i = 0; i < WRITES; i++) {
        snprintf(name, sizeof(name), "writer %zu, %d", (size_t)arg, i);
        /* every third is given up half-way */
        if (write_once(name, i % 3 != 0) != ERR_OK)
            return "failed";
    }
    return NULL;
}

static void versions_have_no_gaps_although_many_write_and_some_give_up(void **state)
{
    (void)state;
    pthread_t threads[WRITERS];
    uint64_t before = head();
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, (void *)i), 0);
    for (size_t i = 0; i < WRITERS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    uint64_t committed = WRITERS * (WRITES - WRITES / 3);
    assert_true(head() == before + committed);
    char sql[200];
    snprintf(sql, sizeof(sql),
             "SELECT count(DISTINCT version) FROM change_log WHERE version > %llu",
             (unsigned long long)before);
    assert_true((uint64_t)database_number(&base, sql) == committed);
}

/* ---- audit ---- */

static int64_t first_broken(int64_t *count)
{
    TX_AUTO struct tx tx = {0};
    int64_t broken = -1;
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    assert_int_equal(store_audit_verify(&tx, org(), count, &broken), ERR_OK);
    return broken;
}

static const char *const spoils[] = {
    "UPDATE audit SET actor = 'nobody' WHERE seq = 3",
    "UPDATE audit SET after = '{\"description\":\"x\"}' WHERE seq = 3",
    "UPDATE audit SET at = at + interval '1 microsecond' WHERE seq = 3",
    "UPDATE audit SET hash = sha256('x') WHERE seq = 3",
    "DELETE FROM audit WHERE seq = 3",
};

static void every_change_of_a_record_shows(void **state)
{
    (void)state;
    int64_t count = 0;
    assert_int_equal(write_once("audited", true), ERR_OK);
    assert_true(first_broken(&count) == 0);
    assert_true(count > 3);
    database_say(&base, "CREATE TABLE kept AS SELECT * FROM audit WHERE seq = 3");
    for (size_t i = 0; i < ARRAY_LEN(spoils); i++) {
        database_say(&base, spoils[i]);
        int64_t broken = first_broken(&count);
        assert_true(broken == 3 || broken == 4); /* a missing one shows at the next */
        database_say(&base, "DELETE FROM audit WHERE seq = 3;"
                            "INSERT INTO audit SELECT * FROM kept");
        assert_true(first_broken(&count) == 0);
    }
    database_say(&base, "DROP TABLE kept");
}

/* ---- secrets ---- */

static enum err open_secret(const struct seal *seal, const char *owner, const char *slot,
                            struct slice wanted)
{
    TX_AUTO struct tx tx = {0};
    struct buf plain;
    buf_init(&plain, 4096);
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    enum err e = store_secret_open(&tx, seal, slice_str(owner), slice_str(slot), &plain);
    if (e == ERR_OK)
        assert_true(slice_eq(buf_slice(&plain), wanted));
    buf_fini(&plain);
    return e;
}

static void put_secret(const char *owner, const char *slot, struct slice value)
{
    struct tx tx = {0};
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    assert_int_equal(
        store_secret_put(&tx, base.seal, org(), slice_str(owner), slice_str(slot), value), ERR_OK);
    assert_int_equal(tx_commit(&tx), ERR_OK);
}

static void a_secret_opens_in_its_own_row_and_under_its_own_master_only(void **state)
{
    (void)state;
    uint8_t other[SEAL_MASTER_LEN] = {1};
    struct slice value = SLICE("sk-very-secret");
    put_secret("prov_a", "cred_a", value);
    assert_int_equal(open_secret(base.seal, "prov_a", "cred_a", value), ERR_OK);
    assert_int_equal(open_secret(base.seal, "prov_a", "cred_b", value), ERR_NOT_FOUND);
    assert_true(database_number(&base, "SELECT count(*) FROM secrets WHERE"
                                       " position('very-secret'::bytea in sealed) > 0") == 0);
    database_say(&base, "INSERT INTO secrets SELECT 'prov_b', slot, org_id, sealed FROM secrets"
                        " WHERE owner_id = 'prov_a'");
    assert_int_equal(open_secret(base.seal, "prov_b", "cred_a", value), ERR_INVALID);
    struct seal *stranger = seal_new(slice_of(other, sizeof(other)));
    assert_int_equal(open_secret(stranger, "prov_a", "cred_a", value), ERR_INVALID);
    seal_free(stranger);
    put_secret("prov_a", "cred_a", SLICE("sk-new"));
    assert_int_equal(open_secret(base.seal, "prov_a", "cred_a", SLICE("sk-new")), ERR_OK);
}

/* ---- kept responses ---- */

static enum err find_response(const struct idempotency *i, struct slice wanted)
{
    TX_AUTO struct tx tx = {0};
    unsigned status = 0;
    struct buf response;
    buf_init(&response, 4096);
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    enum err e = store_idempotency_find(&tx, base.seal, i, &status, &response);
    if (e == ERR_OK) {
        assert_int_equal(status, 201);
        assert_true(slice_eq(buf_slice(&response), wanted));
    }
    buf_fini(&response);
    return e;
}

static void a_kept_response_is_found_again_for_the_same_request_for_a_day(void **state)
{
    (void)state;
    struct slice response = SLICE("{\"key\":\"gh-secret\"}");
    struct idempotency i = {.org_id = org(), .actor = SLICE("tok_a"), .key = SLICE("k1")};
    digest_sha256(SLICE("request"), &i.request);
    assert_int_equal(find_response(&i, response), ERR_NOT_FOUND);
    struct tx tx = {0};
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    assert_int_equal(store_idempotency_put(&tx, base.seal, &i, 201, response), ERR_OK);
    assert_int_equal(tx_commit(&tx), ERR_OK);
    assert_int_equal(find_response(&i, response), ERR_OK);
    assert_true(database_number(&base, "SELECT count(*) FROM idempotency WHERE"
                                       " position('gh-secret'::bytea in answer) > 0") == 0);
    struct idempotency of_other_actor = i, of_other_request = i;
    of_other_actor.actor = SLICE("tok_b");
    digest_sha256(SLICE("another"), &of_other_request.request);
    assert_int_equal(find_response(&of_other_actor, response), ERR_NOT_FOUND);
    assert_int_equal(find_response(&of_other_request, response), ERR_CONFLICT);
    database_say(&base, "UPDATE idempotency SET created_at = now() - interval '25 hours'");
    assert_int_equal(find_response(&i, response), ERR_NOT_FOUND);
}

/* ---- names ---- */

static void taken(const char *name, bool *living, bool *is_taken)
{
    TX_AUTO struct tx tx = {0};
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    assert_int_equal(
        store_object_name_taken(&tx, &noun_task, slice_str(name), "", living, is_taken), ERR_OK);
}

static void a_deleted_name_is_reserved_for_thirty_days(void **state)
{
    (void)state;
    bool living = false, is_taken = true;
    taken("reserved", &living, &is_taken);
    assert_false(is_taken);
    assert_int_equal(write_once("reserved", true), ERR_OK);
    taken("reserved", &living, &is_taken);
    assert_true(living && is_taken);
    database_say(&base, "UPDATE tasks SET deleted_at = now() - interval '29 days' WHERE name ="
                        " 'reserved'");
    taken("reserved", &living, &is_taken);
    assert_true(!living && is_taken);
    database_say(&base, "UPDATE tasks SET deleted_at = now() - interval '31 days' WHERE name ="
                        " 'reserved'");
    taken("reserved", &living, &is_taken);
    assert_false(is_taken);
}

/* ---- first rows ---- */

static void a_second_start_makes_nothing_and_finds_the_same_keys(void **state)
{
    (void)state;
    struct boot again = {0};
    uint64_t before = head();
    assert_int_equal(store_boot(base.db, base.seal, &again), ERR_OK);
    assert_true(head() == before);
    assert_string_equal(again.org_id, base.boot.org_id);
    assert_true(slice_eq(secret_reveal(again.key_hmac), secret_reveal(base.boot.key_hmac)));
    assert_true(slice_eq(secret_reveal(again.token_hmac), secret_reveal(base.boot.token_hmac)));
    assert_false(slice_eq(secret_reveal(again.token_hmac), secret_reveal(again.key_hmac)));
    secret_drop(again.key_hmac);
    secret_drop(again.token_hmac);
    assert_true(database_number(&base, "SELECT count(*) FROM teams WHERE name = 'default'") == 1);
    assert_true(database_number(&base, "SELECT count(*) FROM pools WHERE name = 'default'") == 1);
}

static void another_master_key_is_noticed_at_the_start(void **state)
{
    (void)state;
    uint8_t other[SEAL_MASTER_LEN] = {2};
    struct boot boot = {0};
    struct seal *stranger = seal_new(slice_of(other, sizeof(other)));
    assert_int_equal(store_boot(base.db, stranger, &boot), ERR_INVALID);
    seal_free(stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_have_no_gaps_although_many_write_and_some_give_up),
        cmocka_unit_test(every_change_of_a_record_shows),
        cmocka_unit_test(a_secret_opens_in_its_own_row_and_under_its_own_master_only),
        cmocka_unit_test(a_kept_response_is_found_again_for_the_same_request_for_a_day),
        cmocka_unit_test(a_deleted_name_is_reserved_for_thirty_days),
        cmocka_unit_test(the_built_in_catalogues_are_kept_up_to_date_and_others_left_alone),
        cmocka_unit_test(a_second_start_makes_nothing_and_finds_the_same_keys),
        cmocka_unit_test(another_master_key_is_noticed_at_the_start),
    };
    return cmocka_run_group_tests(tests, base_open, base_close);
}
