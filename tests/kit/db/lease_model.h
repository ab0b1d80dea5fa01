/*
 * lease_model — requests of planes to the lease server, made by the test, and the state of its
 * ledger: one team with a budget, and time that stands still until the test moves it.
 *
 * Threads  the test's.
 */
#pragma once

#include "common/base/id.h"
#include "controlplane/ledger/lease_server.h"

#define SECOND INT64_C(1000000)
#define ACCOUNT "team:team_rich"

extern int64_t now;            /* the time of the next request */
extern uint64_t next_number;   /* of the next request */
extern const char *planes_org; /* of the plane that asks; NULL: the one that the budgets are of */

/* Setups: the database with team_rich and team_other, for base_close; and, for each test, nothing
 * asked, nothing spent, a limit of 1000 in all. */
int open_rich_base(void **state);
int fresh_books(void **state);

struct grant {
    char lease[ID_MAX];
    money granted, limit, spent, set_aside;
    int64_t period_end;
    bool unknown;
};

struct ledger_asker asker(const char *plane, uint64_t epoch, uint64_t sequence);
struct grant ask_as(const char *plane, uint64_t epoch, uint64_t sequence, const char *account,
                    money want, const char *renew);
/* `least`: less is of no use */
struct grant ask_least(const char *plane, uint64_t epoch, money want, money least,
                       const char *renew);
struct grant ask(const char *plane, uint64_t epoch, money want, const char *renew);
void end_lease(const char *plane, uint64_t epoch, const char *lease, money settled);
void finish_epoch(const char *plane, uint64_t epoch, uint64_t finished);
/* One record with one charge; how far its journal is committed then. */
uint64_t ship_one(const char *plane, uint64_t epoch, uint64_t sequence, const char *account,
                  const char *lease, money amount);
size_t expire_leases(void);

int64_t number(const char *sql);

struct books {
    money limit, spent, leased, suspense;
};

struct books books(void);
void expect_books(money spent, money leased, money suspense);
void set_limit(money nano, const char *period);
