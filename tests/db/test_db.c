/*
 * db, tx, migrate — values go in and come back as they were, failures say what they are, lost
 * connections are replaced, and the schema is what the migrations say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "controlplane/store/migrate.h"
#include "controlplane/store/tx.h"
#include "tests/kit/db/base.h"
#include "tests/kit/scratch.h"

static struct slice org(void)
{
    return slice_str(base.boot.org_id);
}

static void every_type_comes_back_as_it_was(void **state)
{
    (void)state;
    TX_AUTO struct tx tx = {0};
    DB_AUTO struct db_result *r = NULL;
    const uint8_t bytes[] = {0, 1, 0xff, '\\', '\''};
    int64_t now = clock_wall_us();
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    enum err e = tx_query(&tx, "SELECT $1::text, $2, $3, $4, $5, $6::text, $7::jsonb, $8",
                          DB_PARAMS(DB_TEXT(SLICE("it's \"ü\" \\ $1 -- ;")), DB_INT(INT64_MIN),
                                    DB_BOOL(true), DB_BYTES(slice_of(bytes, sizeof(bytes))),
                                    DB_TIME(now), DB_NULL, DB_TEXT(SLICE("{\"a\":1}")), DB_TIME(0)),
                          &r);
    assert_int_equal(e, ERR_OK);
    assert_string_equal(db_cstr(r, 0, 0), "it's \"ü\" \\ $1 -- ;");
    assert_true(db_int(r, 0, 1) == INT64_MIN);
    assert_true(db_bool(r, 0, 2));
    struct buf got;
    buf_init(&got, 64);
    assert_int_equal(db_bytes(r, 0, 3, &got), ERR_OK);
    assert_true(slice_eq(buf_slice(&got), slice_of(bytes, sizeof(bytes))));
    buf_fini(&got);
    assert_true(db_time(r, 0, 4) == now);
    assert_true(db_is_null(r, 0, 5));
    assert_null(db_text(r, 0, 5).ptr);
    assert_string_equal(db_cstr(r, 0, 6), "{\"a\": 1}");
    assert_true(db_time(r, 0, 7) == 0);
}

static void text_with_a_zero_byte_is_refused(void **state)
{
    (void)state;
    TX_AUTO struct tx tx = {0};
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    assert_int_equal(
        tx_query(&tx, "SELECT $1::text", DB_PARAMS(DB_TEXT(slice_of("a\0b", 3))), NULL),
        ERR_INVALID);
}

/* statement, what it must be called, constraint */
static const struct {
    const char *sql;
    enum err err;
    const char *constraint;
} failures[] = {
    {"INSERT INTO teams (id, org_id, name) SELECT 'team_x', org_id, name FROM teams", ERR_EXISTS,
     "teams_name"},
    {"INSERT INTO teams (id, org_id, name) SELECT id, org_id, 'y' FROM teams", ERR_EXISTS,
     "teams_pkey"},
    {"INSERT INTO agents (id, org_id, name, spec) SELECT 'agent_x', org_id, 'x',"
     " '{\"team\":\"nowhere\"}' FROM orgs",
     ERR_CONFLICT, "agents_team_id_fkey"},
    {"INSERT INTO mcp_servers (id, org_id, name) SELECT 'mcp_x', org_id, 'Not A Slug' FROM orgs",
     ERR_INVALID, "mcp_servers_name_check"},
    {"SELECT 1 / 0", ERR_INVALID, ""},
    {"SELECT 'x'::integer", ERR_INVALID, ""},
    {"SELECT nothing", ERR_DATABASE, ""},
};

static void a_failure_says_what_it_is_and_which_constraint(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        TX_AUTO struct tx tx = {0};
        assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
        assert_int_equal(tx_query(&tx, failures[i].sql, DB_NO_PARAMS, NULL), failures[i].err);
        assert_string_equal(tx.error.constraint, failures[i].constraint);
        assert_int_equal(strlen(tx.error.sqlstate), 5);
    }
}

static void an_uncommitted_write_is_not_stored(void **state)
{
    (void)state;
    {
        TX_AUTO struct tx tx = {0};
        assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
        assert_int_equal(tx_query(&tx, "UPDATE teams SET name = 'gone'", DB_NO_PARAMS, NULL),
                         ERR_OK);
    }
    assert_int_equal(database_number(&base, "SELECT count(*) FROM teams WHERE name = 'gone'"), 0);
}

static void the_pool_is_bounded_and_a_waiter_is_told(void **state)
{
    (void)state;
    struct db *d = NULL;
    struct db_conn *one = NULL, *two = NULL, *three = NULL;
    assert_int_equal(db_open(base.run_url, 2, &d), ERR_OK);
    assert_int_equal(db_take(d, 0, &one), ERR_OK);
    assert_int_equal(db_take(d, 0, &two), ERR_OK);
    assert_int_equal(db_take(d, 50, &three), ERR_TIMEOUT);
    db_give(d, &one);
    assert_null(one);
    assert_int_equal(db_take(d, 0, &three), ERR_OK);
    db_give(d, &two);
    db_give(d, &three);
    db_close(d);
}

static void a_connection_given_back_in_a_transaction_is_not_lent_again(void **state)
{
    (void)state;
    struct db *d = NULL;
    struct db_conn *c = NULL;
    DB_AUTO struct db_result *r = NULL;
    assert_int_equal(db_open(base.run_url, 1, &d), ERR_OK);
    assert_int_equal(db_take(d, 0, &c), ERR_OK);
    assert_int_equal(db_query(c, "BEGIN", DB_NO_PARAMS, NULL), ERR_OK);
    assert_int_equal(
        db_query(c, "SELECT set_config('gatehouse.org_id', '*', true)", DB_NO_PARAMS, NULL),
        ERR_OK);
    db_give(d, &c);
    assert_int_equal(db_take(d, 0, &c), ERR_OK);
    assert_int_equal(db_query(c, "SELECT count(*) FROM teams", DB_NO_PARAMS, &r), ERR_OK);
    assert_true(db_int(r, 0, 0) == 0); /* no org, no rows */
    db_give(d, &c);
    db_close(d);
}

static void a_transaction_begins_although_every_pooled_connection_died(void **state)
{
    (void)state;
    struct db *d = NULL;
    assert_int_equal(db_open(base.run_url, 3, &d), ERR_OK);
    struct db_conn *c[3] = {NULL};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(db_take(d, 0, &c[i]), ERR_OK);
    for (size_t i = 0; i < 3; i++)
        db_give(d, &c[i]);
    database_say(&base, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
                        " current_database() AND pid <> pg_backend_pid()");
    struct tx tx = {0};
    assert_int_equal(tx_begin(d, org(), &tx), ERR_OK);
    assert_int_equal(tx_commit(&tx), ERR_OK);
    db_close(d);
}

static void losing_the_connection_inside_a_transaction_is_an_error(void **state)
{
    (void)state;
    struct tx tx = {0};
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    database_say(&base, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
                        " current_database() AND pid <> pg_backend_pid()");
    assert_int_equal(tx_query(&tx, "SELECT 1", DB_NO_PARAMS, NULL), ERR_DATABASE);
    tx_rollback(&tx);
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    tx_rollback(&tx);
}

static void an_unreachable_server_is_not_tried_by_every_request(void **state)
{
    (void)state;
    struct db *d = NULL;
    struct db_conn *c = NULL;
    /* port 1 is reserved and has no listener */
    assert_int_equal(db_open("postgresql://nobody@127.0.0.1:1/none", 4, &d), ERR_OK);
    assert_int_equal(db_take(d, 100, &c), ERR_DATABASE);
    uint64_t began = clock_mono_us();
    for (int i = 0; i < 1000; i++)
        assert_int_equal(db_take(d, 100, &c), ERR_DATABASE);
    assert_true(clock_mono_us() - began < 2000000);
    db_close(d);
}

/* ---- the schema ---- */

static void migrating_again_changes_nothing(void **state)
{
    (void)state;
    int64_t before = database_number(&base, "SELECT count(*) FROM schema_migrations");
    assert_true(before > 5);
    assert_int_equal(migrate_run(base.owner_url, base.run_url, "migrations"), ERR_OK);
    assert_true(database_number(&base, "SELECT count(*) FROM schema_migrations") == before);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_migration_that_was_rewritten_is_refused_and_a_broken_one_leaves_nothing(void **state)
{
    (void)state;
    char folder[SCRATCH_MAX], path[128];
    assert_true(scratch_folder(folder));
    snprintf(path, sizeof(path), "%s/9001_one.sql", folder);
    assert_int_equal(migrate_run(base.owner_url, base.run_url, folder), ERR_NOT_FOUND);
    write_text(path, "CREATE TABLE test_one (a int); SELECT 1 / 0;");
    assert_int_equal(migrate_run(base.owner_url, base.run_url, folder), ERR_INVALID);
    assert_true(
        database_number(&base, "SELECT count(*) FROM pg_class WHERE relname = 'test_one'") == 0);
    write_text(path, "CREATE TABLE test_one (a int);");
    assert_int_equal(migrate_run(base.owner_url, base.run_url, folder), ERR_OK);
    write_text(path, "CREATE TABLE test_one (a bigint);");
    assert_int_equal(migrate_run(base.owner_url, base.run_url, folder), ERR_CONFLICT);
    database_say(&base, "DROP TABLE test_one; DELETE FROM schema_migrations WHERE name LIKE '9%'");
    unlink(path);
    rmdir(folder);
}

/* of the installation and its planes, which serve every org */
#define NO_ORG "('installation', 'policy_head', 'schema_migrations', 'ingest_cursor', 'chores')"

static void every_table_with_rows_of_an_org_has_row_level_security(void **state)
{
    (void)state;
    int64_t open = database_number(
        &base, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND"
               " relkind IN ('r', 'p') AND NOT relispartition AND NOT"
               " (relrowsecurity AND relforcerowsecurity) AND relname NOT IN " NO_ORG);
    assert_true(open == 0);
    int64_t without = database_number(
        &base, "SELECT count(*) FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND"
               " relkind IN ('r', 'p') AND relname NOT IN " NO_ORG
               " AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND"
               " a.attname = 'org_id' AND a.attnotnull)");
    assert_true(without == 0);
}

static int64_t count_as(struct slice org, const char *sql)
{
    TX_AUTO struct tx tx = {0};
    DB_AUTO struct db_result *r = NULL;
    assert_int_equal(tx_begin(base.db, org, &tx), ERR_OK);
    assert_int_equal(tx_query(&tx, sql, DB_NO_PARAMS, &r), ERR_OK);
    return db_int(r, 0, 0);
}

static void an_org_sees_its_own_rows_only(void **state)
{
    (void)state;
    database_say(&base, "INSERT INTO orgs (id, org_id, name) VALUES ('org_two', 'org_two', 'two');"
                        "INSERT INTO teams (id, org_id, name) VALUES ('team_two', 'org_two', 'b')");
    static const char count[] = "SELECT count(*) FROM teams";
    assert_true(count_as(org(), count) == 1);
    assert_true(count_as(SLICE("org_two"), count) == 1);
    assert_true(count_as(SLICE("org_none"), count) == 0);
    assert_true(count_as(TX_EVERY_ORG, count) == 2);
    assert_true(count_as(SLICE("org_two"), "SELECT count(*) FROM object_names") == 1);
    TX_AUTO struct tx tx = {0};
    assert_int_equal(tx_begin(base.db, org(), &tx), ERR_OK);
    assert_int_equal(
        tx_query(&tx, "INSERT INTO teams (id, org_id, name) VALUES ('team_c', 'org_two', 'c')",
                 DB_NO_PARAMS, NULL),
        ERR_DATABASE);
    assert_string_equal(tx.error.sqlstate, "42501");
}

static const char *const not_theirs[] = {
    "UPDATE audit SET actor = 'nobody'",
    "DELETE FROM audit",
    "TRUNCATE audit",
    "DELETE FROM teams",
    "UPDATE change_log SET op = 'put'",
    "CREATE TABLE mine (a int)",
    "DROP TABLE teams",
    "ALTER TABLE teams DISABLE ROW LEVEL SECURITY",
    "DROP POLICY org_fence ON teams",
    "INSERT INTO schema_migrations (name, checksum) VALUES ('x', 'x')",
};

static void the_run_role_has_no_more_rights_than_it_needs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(not_theirs); i++) {
        TX_AUTO struct tx tx = {0};
        assert_int_equal(tx_begin(base.db, TX_EVERY_ORG, &tx), ERR_OK);
        assert_int_equal(tx_query(&tx, not_theirs[i], DB_NO_PARAMS, NULL), ERR_DATABASE);
        assert_string_equal(tx.error.sqlstate, "42501");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back_as_it_was),
        cmocka_unit_test(text_with_a_zero_byte_is_refused),
        cmocka_unit_test(a_failure_says_what_it_is_and_which_constraint),
        cmocka_unit_test(an_uncommitted_write_is_not_stored),
        cmocka_unit_test(the_pool_is_bounded_and_a_waiter_is_told),
        cmocka_unit_test(a_connection_given_back_in_a_transaction_is_not_lent_again),
        cmocka_unit_test(a_transaction_begins_although_every_pooled_connection_died),
        cmocka_unit_test(losing_the_connection_inside_a_transaction_is_an_error),
        cmocka_unit_test(an_unreachable_server_is_not_tried_by_every_request),
        cmocka_unit_test(migrating_again_changes_nothing),
        cmocka_unit_test(a_migration_that_was_rewritten_is_refused_and_a_broken_one_leaves_nothing),
        cmocka_unit_test(every_table_with_rows_of_an_org_has_row_level_security),
        cmocka_unit_test(an_org_sees_its_own_rows_only),
        cmocka_unit_test(the_run_role_has_no_more_rights_than_it_needs),
    };
    return cmocka_run_group_tests(tests, base_open, base_close);
}
