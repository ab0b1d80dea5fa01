/* database — implements database.h. */
#include "tests/kit/db/database.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "controlplane/store/migrate.h"

#define RUN_ROLE "gatehouse_test_run"

static void must(enum err e, const char *what)
{
    if (e == ERR_OK)
        return;
    fprintf(stderr, "database: %s: %s\n", what, err_text(e));
    exit(1);
}

/* postgresql://user:password@host:port/name?… with another user or name */
static void url_with(const char *url, const char *user, const char *name, char *out, size_t cap)
{
    const char *rest = strstr(url, "://");
    must(rest ? ERR_OK : ERR_INVALID, "GATEHOUSE_TEST_DATABASE_URL is no URL");
    const char *at = strchr(rest + 3, '@');
    const char *host = at ? at + 1 : rest + 3;
    const char *slash = strchr(host, '/');
    const char *query = strchr(host, '?');
    size_t host_len = slash   ? (size_t)(slash - host)
                      : query ? (size_t)(query - host)
                              : strlen(host);
    char login[128] = "";
    if (user)
        snprintf(login, sizeof(login), "%s:test@", user);
    else if (at)
        snprintf(login, sizeof(login), "%.*s@", (int)(at - rest - 3), rest + 3);
    int n = snprintf(out, cap, "%.*s://%s%.*s/%s%s", (int)(rest - url), url, login, (int)host_len,
                     host, name, query ? query : "");
    must(n > 0 && (size_t)n < cap ? ERR_OK : ERR_TOO_BIG, "URL");
}

static void say_on(struct db_conn *c, const char *sql, int64_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = ret ? db_query(c, sql, DB_NO_PARAMS, &r) : db_script(c, sql);
    if (e != ERR_OK)
        fprintf(stderr, "database: %s\n  %s\n", sql, db_conn_error(c)->text);
    must(e, "statement");
    if (ret)
        *ret = db_rows(r) ? db_int(r, 0, 0) : 0;
}

static void say_at(const char *url, const char *sql)
{
    struct db_conn *c = NULL;
    must(db_conn_open(url, &c), "connect");
    say_on(c, sql, NULL);
    db_conn_close(&c);
}

/* kept open; after a restart of the server it is made again */
static struct db_conn *owner_of(struct database *d)
{
    if (d->owner && !db_conn_alive(d->owner))
        db_conn_close(&d->owner);
    if (!d->owner)
        must(db_conn_open(d->owner_url, &d->owner), "connect");
    return d->owner;
}

void database_say(struct database *d, const char *sql)
{
    say_on(owner_of(d), sql, NULL);
}

int64_t database_number(struct database *d, const char *sql)
{
    int64_t n = 0;
    say_on(owner_of(d), sql, &n);
    return n;
}

static void make_role(struct database *d)
{
    static const char make[] =
        "do $$ begin create role " RUN_ROLE " login password 'test';"
        " exception when duplicate_object or unique_violation then null; end $$";
    say_at(d->admin_url, make);
}

void database_open(struct database *d)
{
    const char *url = getenv("GATEHOUSE_TEST_DATABASE_URL");
    char sql[160], random[17];
    uint8_t bytes[8], master[SEAL_MASTER_LEN];
    if (!url || !*url) {
        fprintf(stderr, "GATEHOUSE_TEST_DATABASE_URL is not set: skipped\n");
        exit(77);
    }
    *d = (struct database){0};
    digest_random(bytes, sizeof(bytes));
    digest_hex(slice_of(bytes, sizeof(bytes)), random);
    snprintf(d->name, sizeof(d->name), "gatehouse_test_%s", random);
    snprintf(d->admin_url, sizeof(d->admin_url), "%s", url);
    url_with(url, NULL, d->name, d->owner_url, sizeof(d->owner_url));
    url_with(url, RUN_ROLE, d->name, d->run_url, sizeof(d->run_url));
    make_role(d);
    snprintf(sql, sizeof(sql), "create database %s", d->name);
    say_at(d->admin_url, sql);
    must(migrate_run(d->owner_url, d->run_url, "migrations"), "migrate");
    must(db_open(d->run_url, 16, &d->db), "pool");
    digest_random(master, sizeof(master));
    d->seal = seal_new(slice_of(master, sizeof(master)));
    must(d->seal ? ERR_OK : ERR_NOMEM, "seal");
    must(store_boot(d->db, d->seal, &d->boot), "boot");
}

void database_close(struct database *d)
{
    char sql[160];
    db_conn_close(&d->owner);
    db_close(d->db);
    secret_drop(d->boot.key_hmac);
    secret_drop(d->boot.token_hmac);
    seal_free(d->seal);
    snprintf(sql, sizeof(sql), "drop database %s with (force)", d->name);
    say_at(d->admin_url, sql);
}
