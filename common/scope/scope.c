/* scope — all or none, over a list. */
#include "common/scope/scope.h"

bool scope_add(struct scope_list *list, const struct scope *s)
{
    if (!s || (!s->account && !s->meter))
        return true;
    if (list->count == SCOPES_MAX)
        return false;
    list->of[list->count++] = s;
    return true;
}

/* ---- money ---- */

enum account_result charges_reserve(struct charges *c, const struct scope_list *list, money amount,
                                    uint64_t now_us, const struct scope **short_of)
{
    c->count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct scope *s = list->of[i];
        if (!s->account)
            continue;
        struct charge *to = &c->of[c->count];
        enum account_result r = account_reserve(s->account, amount, now_us, &to->reservation);
        if (r != ACCOUNT_OK) {
            charges_settle(c, 0);
            *short_of = s;
            return r;
        }
        to->scope = s;
        c->count++;
    }
    return ACCOUNT_OK;
}

enum account_result charges_extend(struct charges *c, money total, uint64_t now_us,
                                   const struct charge **short_of)
{
    for (size_t i = 0; i < c->count; i++) {
        struct charge *of = &c->of[i];
        money more = total - of->reservation.amount;
        if (more <= 0)
            continue;
        enum account_result r = account_extend(of->scope->account, &of->reservation, more, now_us);
        if (r != ACCOUNT_OK) {
            *short_of = of;
            return r;
        }
    }
    return ACCOUNT_OK;
}

money charge_missing(const struct charge *c, money total)
{
    return reservation_is_current(&c->reservation) ? total - c->reservation.amount : total;
}

void charges_settle(struct charges *c, money cost)
{
    for (size_t i = 0; i < c->count; i++)
        account_settle(&c->of[i].reservation, cost);
    c->count = 0;
}

/* ---- rates ---- */

static void take_back(struct rates *r)
{
    rates_uncount(r);
    rates_leave(r);
}

/* The slot first: a call refused for want of one must not cost a request of the minute. */
enum rate_result rates_enter(struct rates *r, const struct scope_list *list, uint64_t now_us,
                             const struct scope **refused_by, uint64_t *wait_us)
{
    r->count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct scope *s = list->of[i];
        if (!s->meter)
            continue;
        enum rate_result e = RATE_OK;
        if (meter_enter(s->meter, s->limits.parallel) != ERR_OK) {
            e = RATE_PARALLEL;
        } else if (meter_take_request(s->meter, s->limits.rpm, now_us, wait_us) != ERR_OK) {
            meter_leave(s->meter);
            e = RATE_REQUESTS;
        }
        if (e != RATE_OK) {
            *refused_by = s;
            take_back(r);
            return e;
        }
        r->of[r->count++] = s;
    }
    return RATE_OK;
}

void rates_leave(struct rates *r)
{
    for (size_t i = 0; i < r->count; i++)
        meter_leave(r->of[i]->meter);
    r->count = 0;
}

void rates_uncount(const struct rates *r)
{
    for (size_t i = 0; i < r->count; i++)
        meter_return_request(r->of[i]->meter, r->of[i]->limits.rpm);
}
