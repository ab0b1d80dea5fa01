/*
 * ledger_kit — a lease server in memory, for tests of what leases money: it runs the rules of
 * common/ledger on a sheet and has none of its own. Replies and recalls come in a later turn of the
 * test's loop.
 *
 * Several planes may be joined, each with a lease client of its own. Charges come in only when the
 * test says so (ledger_kit_charge), as they do when a journal is shipped.
 *
 * Threads  the loop's.
 */
#pragma once

#include "common/ledger/ledger.h"
#include "common/net/loop.h"
#include "common/wire/control_link.h"

#define LEDGER_KIT_PLANES 4
#define LEDGER_KIT_BUDGETS 64

struct lease_client;
struct ledger_kit;

struct ledger_kit_plane {
    struct ledger_kit *kit;
    char name[8];
    uint64_t epoch;
    uint64_t number;
    struct lease_client *client; /* gets the recalls; NULL: it gets none */
    bool away;                   /* the channel is cut */
};

struct ledger_kit {
    struct loop *loop;
    struct ledger_sheet sheet;
    struct ledger_budget budgets[LEDGER_KIT_BUDGETS];
    size_t budget_count;
    struct ledger_kit_plane planes[LEDGER_KIT_PLANES];
    int64_t wall_us;    /* 0: the real time */
    int64_t reserve_us; /* 0: leases may not be spent without it */
    bool database_away; /* every request gets an error as its reply */
    bool silent;        /* no request gets a reply until this is false again */
    unsigned losing;    /* so many requests are decided, and their replies lost */
    /* what was seen */
    unsigned pending;                        /* replies, and calls after turns, under way */
    unsigned requests, asks, ends, refusals; /* refusals: needs that nothing was granted for */
    money wanted;                            /* by the last ask */
};

void ledger_kit_open(struct ledger_kit *k, struct loop *loop);
void ledger_kit_close(struct ledger_kit *k);
/* A budget, or another limit of it; limit < 0: it is taken away. */
void ledger_kit_budget(struct ledger_kit *k, const char *account, money limit, enum period period);
void ledger_kit_on_disconnect(struct ledger_kit *k, const char *account, bool reserve);
struct control_link ledger_kit_link(struct ledger_kit *k, size_t plane);
void ledger_kit_join(struct ledger_kit *k, size_t plane, struct lease_client *client);
/* The account in the present period; made where there was none. */
struct ledger_account *ledger_kit_account(struct ledger_kit *k, const char *account);
/* spent, leased and in suspense */
money ledger_kit_taken(struct ledger_kit *k, const char *account);
void ledger_kit_charge(struct ledger_kit *k, size_t plane, struct slice account, struct slice lease,
                       money amount);
/* What the timed job does: open leases past their time go into suspense. */
void ledger_kit_expire(struct ledger_kit *k);
int64_t ledger_kit_now(const struct ledger_kit *k);
