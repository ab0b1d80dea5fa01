/*
 * database — a fresh Gatehouse database for one test program, on the server that
 * GATEHOUSE_TEST_DATABASE_URL names (a role that may create databases and roles).
 *
 * Migrated as its owner, used as a run role without any right beyond what migrations grant, so
 * that row-level security is tested too. Without the variable the program is skipped (exit 77).
 *
 * Owns     database, pool, boot secrets and a master key; database_close drops it all.
 * Threads  setup and teardown: main.
 */
#pragma once

#include "common/base/seal.h"
#include "controlplane/store/store_boot.h"

struct database {
    char name[64];
    char admin_url[512]; /* of the server's maintenance database */
    char owner_url[512];
    char run_url[512];
    struct db *db; /* as the run role */
    struct seal *seal;
    struct boot boot;
    struct db_conn *owner; /* for database_say and database_number */
};

void database_open(struct database *d);
void database_close(struct database *d);

/* One statement as the owner, without row-level security; text of the first column, or "". */
void database_say(struct database *d, const char *sql);
int64_t database_number(struct database *d, const char *sql);
