/* lease_rows — columns of a statement, filled row by row. */
#include "controlplane/ledger/lease_rows.h"

void lease_rows_init(struct lease_rows *p)
{
    array_init(&p->names);
    array_init(&p->starts);
    array_init(&p->orgs);
    array_init(&p->limits);
}

void lease_rows_fini(struct lease_rows *p)
{
    array_fini(&p->names);
    array_fini(&p->starts);
    array_fini(&p->orgs);
    array_fini(&p->limits);
}

void lease_rows_add(struct lease_rows *p, struct slice name, int64_t start,
                    const struct ledger_budget *budget)
{
    array_text(&p->names, name);
    array_time(&p->starts, start);
    array_text(&p->orgs, slice_str(budget->org));
    array_int(&p->limits, budget->limit);
}

bool lease_asker_is_fit(const struct ledger_asker *asker)
{
    return asker->epoch <= INT64_MAX && asker->number <= INT64_MAX && asker->dataplane.len > 0 &&
           asker->dataplane.len < ID_MAX;
}
