/* ledger_message — an ask and its reply as they travel. */
#include "common/ledger/ledger.h"
#include "proto/channel.pb-c.h"

struct ledger_ask ledger_ask_read(const struct Gatehouse__LeaseAsk *m, size_t position)
{
    return (struct ledger_ask){.account = slice_str(m->account),
                               .position = position,
                               .want = m->want_nano,
                               .need = m->need_nano,
                               .least = m->least_nano,
                               .give_back = m->give_back_nano,
                               .renew =
                                   m->renew_lease_id ? slice_str(m->renew_lease_id) : SLICE(""),
                               .by_share = m->has_need_nano};
}

void ledger_reply_write(const struct ledger_reply *r, const struct ledger_ask *ask,
                        struct Gatehouse__LeaseGrant *m)
{
    static const struct ledger_reply none;
    m->has_granted_nano = m->has_valid_ms = m->has_limit_nano = m->has_spent_nano = true;
    m->has_set_aside_nano = m->has_period_end_us = true;
    m->has_unknown = m->unknown = r == NULL;
    m->has_reserve_ms = m->has_recallable_nano = m->has_suspense_nano = ask->by_share;
    r = r ? r : &none;
    m->lease_id = r->lease[0] ? (char *)(uintptr_t)r->lease : NULL;
    m->granted_nano = r->granted;
    m->valid_ms = r->lease[0] ? (uint32_t)(r->valid_us / 1000) : 0;
    m->reserve_ms = (uint32_t)(r->reserve_us / 1000);
    m->limit_nano = r->limit;
    m->set_aside_nano = money_add(r->leased, r->suspense);
    m->spent_nano = money_add(r->spent, m->set_aside_nano);
    m->recallable_nano = r->elsewhere;
    m->suspense_nano = r->suspense;
    m->period_end_us = r->period_end;
}
