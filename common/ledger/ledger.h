/*
 * ledger — the rules of leased money, on rows that are already in hand.
 *
 * An account is a budget in one period. What is in it is always one of four: spent, leased (a plane
 * may spend it), suspense (a plane may have spent it and has not said), free. At most the free part
 * is leased out, and a leased part becomes free again only when its plane has handed it back, or
 * when every charge to its lease is known to have come in. Hence two planes never hold the same
 * cent, whichever of them is killed, and when.
 *
 *   grant        free     -> leased
 *   give back    leased   -> free           (its plane has taken it out of the lease)
 *   charge       leased or suspense -> spent; what exceeds the lease is spent all the same
 *   expire       leased   -> suspense       (its plane has not renewed)
 *   revive       suspense -> leased         (it has, late)
 *   end, finish  the rest -> free           (no more charges will come)
 *   write off    suspense -> spent          (the plane will never come back)
 *
 * A charge that comes in after its lease was written off is taken from what was written off.
 *
 * The lease server runs these rules on rows of the database, under locks; the flow tests run them
 * on a sheet in memory.
 *
 * Owns     nothing but the sheet's rows; marks the rows it changes as dirty.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "common/base/money.h"
#include "common/base/period.h"

#define LEDGER_ACCOUNT_MAX 80             /* "team:" and an id, with space to spare */
#define LEDGER_VALID_US INT64_C(10000000) /* a lease lasts so long unless renewed; */
/* and so long where its plane may spend it without us: renewing it often is of no use then. */
#define LEDGER_VALID_RESERVE_US INT64_C(60000000)

/* ---- rows ---- */

enum ledger_state { LEDGER_OPEN, LEDGER_SUSPENSE, LEDGER_CLOSED };

struct ledger_account {
    char key[LEDGER_ACCOUNT_MAX + 24]; /* name and period start: how a sheet finds it */
    char name[LEDGER_ACCOUNT_MAX];
    char org[ID_MAX];
    int64_t period_start;
    money limit;
    money spent;
    money leased;
    money suspense;
    struct list leases; /* of the sheet */
    bool dirty;
};

struct ledger_lease {
    struct list link;
    char id[ID_MAX];
    char dataplane[ID_MAX];
    uint64_t epoch;
    struct ledger_account *account; /* of the same sheet */
    enum ledger_state state;
    money granted;
    money settled;
    bool ending; /* its plane has said that the last charge is made, */
    money final; /* and what they all come to */
    money written_off;
    int64_t expires_at;
    uint64_t asked_number; /* the request that changed it last, */
    money asked_granted;   /* and what that added: a repeated request gets the same reply */
    bool dirty, fresh;
};

/* The rows that one transaction has in hand. */
struct ledger_sheet {
    struct ledger_account **accounts;
    size_t account_count, account_cap;
    struct ledger_lease **leases;
    size_t lease_count, lease_cap;
    struct map *accounts_by_key, *leases_by_id;
};

void ledger_sheet_fini(struct ledger_sheet *s);
struct ledger_account *ledger_sheet_account(const struct ledger_sheet *s, struct slice name,
                                            int64_t period_start);
struct ledger_lease *ledger_sheet_lease(const struct ledger_sheet *s, struct slice id);
/* New rows, zeroed but for what is given; NULL: no memory. A lease that is not `stored` is to be
 * inserted. */
struct ledger_account *ledger_sheet_add_account(struct ledger_sheet *s, struct slice name,
                                                int64_t period_start);
struct ledger_lease *ledger_sheet_add_lease(struct ledger_sheet *s, struct ledger_account *a,
                                            struct slice id, bool stored);

/* ---- moves ---- */

money ledger_remaining(const struct ledger_lease *l); /* granted and not settled; 0 when closed */
money ledger_free(const struct ledger_account *a);    /* never negative */

void ledger_charge(struct ledger_lease *l, money amount);
/* A charge that names no lease of this account: spent, from no lease's part. */
void ledger_charge_bare(struct ledger_account *a, money amount);
void ledger_expire(struct ledger_lease *l);
/* `final` is the sum of all charges; frees the rest once they are in. */
void ledger_end(struct ledger_lease *l, money final);
/* Every record of the lease's epoch is in the database. */
void ledger_finish(struct ledger_lease *l);
void ledger_write_off(struct ledger_lease *l);

/* ---- one LeaseAsk ---- */

struct ledger_asker {
    struct slice dataplane; /* named by its certificate */
    struct slice org;
    uint64_t epoch;  /* of the plane's start, */
    uint64_t number; /* and of its request in it */
};

/* A budget as the configuration has it now. */
struct ledger_budget {
    char account[LEDGER_ACCOUNT_MAX];
    char org[ID_MAX];
    money limit;
    enum period period;
    bool reserve; /* on_disconnect: leases may be spent without the control plane */
};

struct ledger_ask {
    struct slice account;
    size_t position; /* in its request */
    money want;
    money need;         /* of it; the rest is leased ahead */
    money least;        /* less is of no use */
    money give_back;    /* of the renewed lease, */
    struct slice renew; /* empty: a new one */
    bool by_share;      /* its plane knows recalls and reserves */
};

struct ledger_reply {
    char lease[ID_MAX]; /* "": none */
    money granted;
    int64_t valid_us;
    int64_t reserve_us; /* 0: the lease is not to be spent without us */
    int64_t period_end;
    money limit, spent, leased, suspense;
    money elsewhere; /* of leased: in other leases */
    money short_of;  /* what other planes are to hand back for this one; 0: nothing */
};

/* The id that this ask's lease has, or will have: the same request gives the same id, so that a
 * repeated one finds its lease; one for another account or period finds none. */
void ledger_lease_id(const struct ledger_asker *asker, const struct ledger_ask *ask,
                     int64_t period_start, char out[static ID_MAX]);

/* Decides one ask. The sheet has the account of (ask, period of now), all of its open leases, and
 * the leases named by `renew` and ledger_lease_id, where there are such rows. reserve_us: how long
 * an outage is to be borne. */
MUST_USE enum err ledger_decide(struct ledger_sheet *s, const struct ledger_asker *asker,
                                const struct ledger_ask *ask, const struct ledger_budget *budget,
                                int64_t now, int64_t reserve_us, struct ledger_reply *ret);

/* The planes that are to hand back money for an ask that is short: each other one with an open
 * lease that holds some. At most max. */
size_t ledger_holders(const struct ledger_account *a, const struct ledger_asker *asker,
                      const char **planes, size_t max);

/* As the messages of proto/channel.proto: texts are lent. */
struct Gatehouse__LeaseAsk;
struct Gatehouse__LeaseGrant;
struct ledger_ask ledger_ask_read(const struct Gatehouse__LeaseAsk *m, size_t position);
/* r NULL: there is no such budget. */
void ledger_reply_write(const struct ledger_reply *r, const struct ledger_ask *ask,
                        struct Gatehouse__LeaseGrant *m);
