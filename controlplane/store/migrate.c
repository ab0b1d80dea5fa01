/*
 * migrate — reads the folder, takes the lock, applies what is new.
 */
#include "controlplane/store/migrate.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controlplane/store/tx.h"

#define FILE_MAX (1024 * 1024) /* far above any migration */
#define PATH_MAX_LEN 512

static const struct log_ctx migrate_log = {.component = "migrate"};

static int is_sql(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 8 && strcmp(entry->d_name + len - 4, ".sql") == 0 &&
           strspn(entry->d_name, "0123456789") == 4;
}

static enum err read_file(const char *folder, const char *name, struct buf *out)
{
    char path[PATH_MAX_LEN];
    int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return ERR_TOO_BIG;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return ERR_IO;
    enum err e = ERR_OK;
    size_t got = 1;
    while (e == ERR_OK && got > 0) {
        char *room = NULL;
        e = buf_room(out, 4096, &room);
        if (e != ERR_OK)
            break;
        got = fread(room, 1, 4096, f);
        buf_commit(out, got);
    }
    if (e == ERR_OK && ferror(f))
        e = ERR_IO;
    fclose(f);
    return e == ERR_OK ? buf_append(out, slice_of("", 1)) : e;
}

/* ERR_NOT_FOUND: not applied yet */
static enum err check_applied(struct db_conn *c, const char *name, const char *checksum)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = db_query(c, "SELECT checksum FROM schema_migrations WHERE name = $1",
                          DB_PARAMS(DB_TEXT(slice_str(name))), &r);
    if (e != ERR_OK)
        return e;
    if (db_rows(r) == 0)
        return ERR_NOT_FOUND;
    if (slice_eq(db_text(r, 0, 0), slice_str(checksum)))
        return ERR_OK;
    log_error(&migrate_log, "migration_changed", "name=%s why=%s", name,
              "it was applied before and differs now");
    return ERR_CONFLICT;
}

static enum err apply(struct db_conn *c, const char *name, const char *checksum, const char *sql,
                      const char *run_role)
{
    enum err e = db_query(c, "BEGIN", DB_NO_PARAMS, NULL);
    if (e == ERR_OK)
        e = db_query(c, "SELECT set_config('gatehouse.run_role', $1, true)",
                     DB_PARAMS(DB_TEXT(slice_str(run_role))), NULL);
    if (e == ERR_OK)
        e = db_script(c, sql);
    if (e == ERR_OK)
        e = db_query(c, "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)",
                     DB_PARAMS(DB_TEXT(slice_str(name)), DB_TEXT(slice_str(checksum))), NULL);
    if (e == ERR_OK)
        e = db_query(c, "COMMIT", DB_NO_PARAMS, NULL);
    if (e == ERR_OK) {
        log_info(&migrate_log, "migration_applied", "name=%s", name);
        return ERR_OK;
    }
    log_error(&migrate_log, "migration_failed", "name=%s sqlstate=%s why=%s", name,
              db_conn_error(c)->sqlstate, db_conn_error(c)->text);
    if (db_query(c, "ROLLBACK", DB_NO_PARAMS, NULL) != ERR_OK)
        log_debug(&migrate_log, "rollback_failed", "name=%s", name);
    return e;
}

static enum err one_file(struct db_conn *c, const char *folder, const char *name,
                         const char *run_role)
{
    struct buf sql;
    buf_init(&sql, FILE_MAX);
    enum err e = read_file(folder, name, &sql);
    if (e != ERR_OK) {
        log_error(&migrate_log, "migration_unreadable", "name=%s why=%s", name, err_text(e));
        buf_fini(&sql);
        return e;
    }
    struct digest d;
    char checksum[DIGEST_HEX_MAX];
    digest_sha256(slice_first(buf_slice(&sql), sql.len - 1), &d);
    digest_hex(slice_of(d.bytes, DIGEST_LEN), checksum);
    e = check_applied(c, name, checksum);
    if (e == ERR_NOT_FOUND)
        e = apply(c, name, checksum, buf_slice(&sql).ptr, run_role);
    buf_fini(&sql);
    return e;
}

static enum err prepare(struct db_conn *c, const char *run_role)
{
    enum err e =
        db_query(c, "SELECT pg_advisory_lock($1)", DB_PARAMS(DB_INT(TX_LOCK_MIGRATE)), NULL);
    if (e == ERR_OK)
        e = db_script(c, "CREATE TABLE IF NOT EXISTS schema_migrations ("
                         " name text PRIMARY KEY, checksum text NOT NULL,"
                         " applied_at timestamptz NOT NULL DEFAULT now())");
    if (e != ERR_OK || *run_role == '\0')
        return e;
    DB_AUTO struct db_result *r = NULL;
    e = db_query(c, "SELECT 1 FROM pg_roles WHERE rolname = $1",
                 DB_PARAMS(DB_TEXT(slice_str(run_role))), &r);
    if (e == ERR_OK && db_rows(r) == 0) {
        log_error(&migrate_log, "run_role_missing", "role=%s", run_role);
        e = ERR_DATABASE;
    }
    return e;
}

/* scandir's order is the order: names begin with four digits */
static enum err all_files(struct db_conn *c, const char *folder, const char *run_role)
{
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, is_sql, alphasort);
    enum err e = n > 0 ? ERR_OK : ERR_NOT_FOUND;
    if (n <= 0)
        log_error(&migrate_log, "migrations_missing", "folder=%s", folder);
    for (int i = 0; i < n; i++) {
        if (e == ERR_OK)
            e = one_file(c, folder, entries[i]->d_name, run_role);
        free(entries[i]); /* scandir's own */
    }
    free(entries);
    return e;
}

enum err migrate_run(const char *owner_url, const char *run_url, const char *folder)
{
    struct db_conn *c = NULL;
    char run_role[64];
    db_url_role(run_url, run_role, sizeof(run_role));
    enum err e = db_conn_open(owner_url, &c);
    if (e != ERR_OK)
        return e;
    e = prepare(c, run_role);
    if (e == ERR_OK)
        e = all_files(c, folder, run_role);
    db_conn_close(&c); /* and with it the lock */
    return e;
}
