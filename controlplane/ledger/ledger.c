/* ledger — every move of the card's table is one function here, and nothing else moves money. */
#include "controlplane/ledger/ledger.h"

static money more_than_nothing(money m)
{
    return m > 0 ? m : 0;
}

static money smaller(money a, money b)
{
    return a < b ? a : b;
}

static void touch(struct lease *l)
{
    l->dirty = true;
    l->account->dirty = true;
}

money ledger_remaining(const struct lease *l)
{
    return l->state == LEASE_CLOSED ? 0 : more_than_nothing(l->granted - l->settled);
}

money ledger_free(const struct account *a)
{
    money taken = money_add(money_add(a->spent, a->leased), a->suspense);
    return more_than_nothing(a->limit - taken);
}

/* the pot that holds what is left of a lease */
static money *pot(struct lease *l)
{
    return l->state == LEASE_OPEN ? &l->account->leased : &l->account->suspense;
}

money ledger_grant(struct lease *l, money want, money least)
{
    MUST(l->state == LEASE_OPEN);
    money slice = smaller(more_than_nothing(want), ledger_free(l->account));
    if (slice == 0 || slice < least)
        return 0;
    /* A lease that was overcharged first makes up for it: what is beyond is already spent. */
    money before = ledger_remaining(l);
    l->granted = (l->granted > l->settled ? l->granted : l->settled) + slice;
    l->account->leased += ledger_remaining(l) - before;
    touch(l);
    return slice;
}

static void close_lease(struct lease *l)
{
    if (l->state == LEASE_CLOSED)
        return;
    *pot(l) -= ledger_remaining(l);
    l->state = LEASE_CLOSED;
    touch(l);
}

static void close_if_complete(struct lease *l)
{
    if (l->ending && l->settled >= l->final)
        close_lease(l);
}

void ledger_charge_bare(struct account *a, money amount)
{
    a->spent = money_add(a->spent, more_than_nothing(amount));
    a->dirty = true;
}

void ledger_charge(struct lease *l, money amount)
{
    amount = more_than_nothing(amount);
    if (l->state != LEASE_CLOSED)
        *pot(l) -= smaller(amount, ledger_remaining(l));
    l->settled = money_add(l->settled, amount);

    money known = smaller(amount, l->written_off);
    l->written_off -= known;
    ledger_charge_bare(l->account, amount - known);
    touch(l);
    close_if_complete(l);
}

void ledger_expire(struct lease *l)
{
    if (l->state != LEASE_OPEN)
        return;
    l->account->leased -= ledger_remaining(l);
    l->account->suspense += ledger_remaining(l);
    l->state = LEASE_SUSPENSE;
    touch(l);
}

bool ledger_renew(struct lease *l, int64_t now)
{
    if (l->state == LEASE_CLOSED || l->ending)
        return false;
    if (l->state == LEASE_SUSPENSE) {
        l->account->suspense -= ledger_remaining(l);
        l->account->leased += ledger_remaining(l);
        l->state = LEASE_OPEN;
    }
    l->expires_at = now + LEDGER_VALID_US;
    touch(l);
    return true;
}

void ledger_end(struct lease *l, money final)
{
    if (l->state == LEASE_CLOSED)
        return;
    l->ending = true;
    l->final = more_than_nothing(final);
    touch(l);
    close_if_complete(l);
}

void ledger_finish(struct lease *l)
{
    close_lease(l);
}

void ledger_write_off(struct lease *l)
{
    if (l->state != LEASE_SUSPENSE)
        return;
    money lost = ledger_remaining(l);
    close_lease(l);
    l->written_off = lost;
    l->account->spent = money_add(l->account->spent, lost);
}
