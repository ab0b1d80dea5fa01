/* lease_pairs — columns of a statement, filled row by row. */
#include "controlplane/ledger/lease_server_private.h"

void lease_pairs_init(struct lease_pairs *p)
{
    array_init(&p->names);
    array_init(&p->starts);
    array_init(&p->orgs);
    array_init(&p->limits);
}

void lease_pairs_fini(struct lease_pairs *p)
{
    array_fini(&p->names);
    array_fini(&p->starts);
    array_fini(&p->orgs);
    array_fini(&p->limits);
}

void lease_pairs_add(struct lease_pairs *p, struct slice name, int64_t start,
                     const struct budget_row *budget)
{
    array_text(&p->names, name);
    array_time(&p->starts, start);
    array_text(&p->orgs, slice_str(budget->org));
    array_int(&p->limits, budget->limit);
}

bool lease_asker_is_fit(const struct lease_asker *who)
{
    return who->epoch <= INT64_MAX && who->number <= INT64_MAX && who->dataplane.len > 0 &&
           who->dataplane.len < ID_MAX;
}
