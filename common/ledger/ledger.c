/* ledger — every move of the header's table is one function here, and nothing else moves money. */
#include "common/ledger/ledger.h"

#include "common/base/digest.h"

static money at_least_zero(money m)
{
    return m > 0 ? m : 0;
}

static money smaller(money a, money b)
{
    return a < b ? a : b;
}

static money larger(money a, money b)
{
    return a > b ? a : b;
}

static void touch(struct ledger_lease *l)
{
    l->dirty = true;
    l->account->dirty = true;
}

money ledger_remaining(const struct ledger_lease *l)
{
    return l->state == LEDGER_CLOSED ? 0 : at_least_zero(l->granted - l->settled);
}

money ledger_free(const struct ledger_account *a)
{
    money taken = money_add(money_add(a->spent, a->leased), a->suspense);
    return at_least_zero(a->limit - taken);
}

/* The sum that holds what is left of a lease. */
static money *part(struct ledger_lease *l)
{
    return l->state == LEDGER_OPEN ? &l->account->leased : &l->account->suspense;
}

/* ---- moves ---- */

static void grant(struct ledger_lease *l, money slice)
{
    MUST(l->state == LEDGER_OPEN && slice >= 0);
    if (slice == 0)
        return;
    /* A lease that was overcharged first makes up for it: what is beyond is spent already. */
    money before = ledger_remaining(l);
    l->granted = larger(l->granted, l->settled) + slice;
    l->account->leased += ledger_remaining(l) - before;
    touch(l);
}

static void give_back(struct ledger_lease *l, money amount)
{
    amount = smaller(at_least_zero(amount), ledger_remaining(l));
    if (amount == 0)
        return;
    *part(l) -= amount;
    l->granted -= amount;
    touch(l);
}

static void close_lease(struct ledger_lease *l)
{
    if (l->state == LEDGER_CLOSED)
        return;
    *part(l) -= ledger_remaining(l);
    l->state = LEDGER_CLOSED;
    touch(l);
}

static void close_if_complete(struct ledger_lease *l)
{
    if (l->ending && l->settled >= l->final)
        close_lease(l);
}

void ledger_charge_bare(struct ledger_account *a, money amount)
{
    a->spent = money_add(a->spent, at_least_zero(amount));
    a->dirty = true;
}

void ledger_charge(struct ledger_lease *l, money amount)
{
    amount = at_least_zero(amount);
    if (l->state != LEDGER_CLOSED)
        *part(l) -= smaller(amount, ledger_remaining(l));
    l->settled = money_add(l->settled, amount);

    money known = smaller(amount, l->written_off);
    l->written_off -= known;
    ledger_charge_bare(l->account, amount - known);
    touch(l);
    close_if_complete(l);
}

void ledger_expire(struct ledger_lease *l)
{
    if (l->state != LEDGER_OPEN)
        return;
    l->account->leased -= ledger_remaining(l);
    l->account->suspense += ledger_remaining(l);
    l->state = LEDGER_SUSPENSE;
    touch(l);
}

/* Prolongs; false when the lease is closed or ending, and then nothing changed. */
static bool renew(struct ledger_lease *l, int64_t until)
{
    if (l->state == LEDGER_CLOSED || l->ending)
        return false;
    if (l->state == LEDGER_SUSPENSE) {
        l->account->suspense -= ledger_remaining(l);
        l->account->leased += ledger_remaining(l);
        l->state = LEDGER_OPEN;
        touch(l);
    }
    l->expires_at = until;
    l->dirty = true;
    return true;
}

void ledger_end(struct ledger_lease *l, money final)
{
    if (l->state == LEDGER_CLOSED)
        return;
    l->ending = true;
    l->final = larger(l->final, at_least_zero(final)); /* a second end takes nothing back */
    touch(l);
    close_if_complete(l);
}

void ledger_finish(struct ledger_lease *l)
{
    close_lease(l);
}

void ledger_write_off(struct ledger_lease *l)
{
    if (l->state != LEDGER_SUSPENSE)
        return;
    money lost = ledger_remaining(l);
    close_lease(l);
    l->written_off = lost;
    l->account->spent = money_add(l->account->spent, lost);
}

/* ---- one LeaseAsk ---- */

void ledger_lease_id(const struct ledger_asker *asker, const struct ledger_ask *ask,
                     int64_t period_start, char out[static ID_MAX])
{
    uint64_t numbers[] = {asker->epoch, asker->number, ask->position, (uint64_t)period_start};
    const struct slice parts[] = {SLICE("lease"), asker->dataplane,
                                  slice_of(numbers, sizeof(numbers)), ask->account};
    struct digest d;
    digest_sha256_parts(parts, ARRAY_LEN(parts), &d);
    memcpy(out, "l_", 2);
    digest_base62(slice_of(d.bytes, 16), 22, out + 2);
}

/* Leases that are overdue expire before the free part is computed. */
static void expire_overdue(struct ledger_account *a, const struct ledger_lease *but_not,
                           int64_t now)
{
    LIST_EACH(&a->leases, it)
    {
        struct ledger_lease *l = LIST_ITEM(it, struct ledger_lease, link);
        if (l != but_not && l->state == LEDGER_OPEN && l->expires_at <= now)
            ledger_expire(l);
    }
}

static bool is_theirs(const struct ledger_lease *l, const struct ledger_asker *asker)
{
    return l->epoch == asker->epoch && slice_eq(slice_str(l->dataplane), asker->dataplane);
}

/* An equal part of what is not spent for each lease that is open, this one included. */
static money fair_share(const struct ledger_account *a, const struct ledger_lease *own)
{
    int64_t open = 1;
    LIST_EACH(&a->leases, it)
    {
        const struct ledger_lease *l = LIST_ITEM(it, struct ledger_lease, link);
        open += l != own && l->state == LEDGER_OPEN && !l->ending;
    }
    return at_least_zero(a->limit - money_add(a->spent, a->suspense)) / open;
}

/* How much this ask is granted: what it needs from what is free, and more only within its share. */
static money slice_for(const struct ledger_account *a, const struct ledger_lease *own,
                       const struct ledger_ask *ask)
{
    money want = at_least_zero(ask->want), all = ledger_free(a);
    money need = smaller(ask->by_share ? at_least_zero(ask->need) : want, want);
    money slice = smaller(need, all);
    money ahead = smaller(want - need, all - slice);
    if (ahead > 0) {
        money held = money_add(own ? ledger_remaining(own) : 0, slice);
        ahead = smaller(ahead, at_least_zero(fair_share(a, own) - held));
    }
    slice += ahead;
    return slice < ask->least ? 0 : slice;
}

/* What others would have to hand back so that this ask is of use. */
static money short_of(const struct ledger_account *a, const struct ledger_ask *ask, money slice,
                      money elsewhere)
{
    if (!ask->by_share || ask->need <= slice || elsewhere <= 0)
        return 0;
    money missing = larger(ask->need, ask->least) - (slice > 0 ? slice : ledger_free(a));
    return smaller(missing, elsewhere);
}

static struct ledger_lease *open_lease(struct ledger_sheet *s, const struct ledger_asker *asker,
                                       struct ledger_account *a, struct slice id)
{
    struct ledger_lease *l = ledger_sheet_add_lease(s, a, id, false);
    if (!l)
        return NULL;
    struct slice plane = slice_first(asker->dataplane, sizeof(l->dataplane) - 1);
    memcpy(l->dataplane, plane.ptr, plane.len);
    l->epoch = asker->epoch;
    return l;
}

/* Prolongs the lease, and changes it once for this request. */
static bool go_on(struct ledger_lease *l, const struct ledger_asker *asker,
                  const struct ledger_ask *ask, int64_t until)
{
    if (!renew(l, until))
        return false;
    if (l->asked_number == asker->number)
        return true;
    l->asked_number = asker->number;
    give_back(l, ask->give_back);
    l->asked_granted = slice_for(l->account, l, ask);
    grant(l, l->asked_granted);
    return true;
}

/* Finds or opens the lease for this ask; *ret is NULL where there is none. ERR_NOMEM. */
static enum err find_or_open(struct ledger_sheet *s, const struct ledger_asker *asker,
                             const struct ledger_ask *ask, struct ledger_account *a, int64_t until,
                             struct ledger_lease **ret)
{
    struct ledger_lease *own = ask->renew.len > 0 ? ledger_sheet_lease(s, ask->renew) : NULL;
    *ret = own;
    if (own && own->account == a && is_theirs(own, asker) && go_on(own, asker, ask, until))
        return ERR_OK;
    char id[ID_MAX];
    ledger_lease_id(asker, ask, a->period_start, id);
    own = *ret = ledger_sheet_lease(s, slice_str(id));
    if (own) { /* this request was decided before, and its reply was lost */
        if (own->account != a || !renew(own, until))
            *ret = NULL;
        return ERR_OK;
    }
    if (ask->want <= 0 || slice_for(a, NULL, ask) == 0)
        return ERR_OK;
    money slice = slice_for(a, NULL, ask);
    own = *ret = open_lease(s, asker, a, slice_str(id));
    if (!own)
        return ERR_NOMEM;
    own->expires_at = until;
    own->asked_number = asker->number;
    own->asked_granted = slice;
    grant(own, slice);
    return ERR_OK;
}

enum err ledger_decide(struct ledger_sheet *s, const struct ledger_asker *asker,
                       const struct ledger_ask *ask, const struct ledger_budget *budget,
                       int64_t now, int64_t reserve_us, struct ledger_reply *ret)
{
    struct ledger_account *a =
        ledger_sheet_account(s, ask->account, period_start(budget->period, now));
    if (!a)
        return ERR_NOT_FOUND;
    bool reserve = budget->reserve && ask->by_share && reserve_us > 0;
    int64_t end = period_end(budget->period, now);
    /* Nothing lasts longer than its period, by our clock: that of the plane may differ. */
    *ret = (struct ledger_reply){
        .valid_us = smaller(reserve ? LEDGER_VALID_RESERVE_US : LEDGER_VALID_US, end - now),
        .reserve_us = reserve ? smaller(reserve_us, end - now) : 0,
        .period_end = end};
    if (a->limit != budget->limit) {
        a->limit = budget->limit;
        a->dirty = true;
    }
    expire_overdue(a, ask->renew.len > 0 ? ledger_sheet_lease(s, ask->renew) : NULL, now);
    struct ledger_lease *own;
    enum err e = find_or_open(s, asker, ask, a, now + ret->valid_us, &own);
    if (e != ERR_OK)
        return e;
    if (own) {
        memcpy(ret->lease, own->id, sizeof(ret->lease));
        ret->granted = own->asked_granted;
    }
    ret->limit = a->limit;
    ret->spent = a->spent;
    ret->leased = a->leased;
    ret->suspense = a->suspense;
    ret->elsewhere = at_least_zero(a->leased - (own ? ledger_remaining(own) : 0));
    ret->short_of = short_of(a, ask, ret->granted, ret->elsewhere);
    return ERR_OK;
}

size_t ledger_holders(const struct ledger_account *a, const struct ledger_asker *asker,
                      const char **planes, size_t max)
{
    size_t n = 0;
    LIST_EACH(&a->leases, it)
    {
        const struct ledger_lease *l = LIST_ITEM(it, struct ledger_lease, link);
        if (n < max && l->state == LEDGER_OPEN && !l->ending && ledger_remaining(l) > 0 &&
            !slice_eq(slice_str(l->dataplane), asker->dataplane))
            planes[n++] = l->dataplane;
    }
    return n;
}
