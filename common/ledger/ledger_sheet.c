/* ledger_sheet — rows by pointer, so that they stay where they are while more come. */
#include <stdio.h>

#include "common/base/mem.h"
#include "common/ledger/ledger.h"

void ledger_sheet_fini(struct ledger_sheet *s)
{
    for (size_t i = 0; i < s->lease_count; i++)
        mem_free(s->leases[i]);
    for (size_t i = 0; i < s->account_count; i++)
        mem_free(s->accounts[i]);
    mem_free(s->accounts);
    mem_free(s->leases);
    map_free(s->accounts_by_key);
    map_free(s->leases_by_id);
    *s = (struct ledger_sheet){0};
}

static struct slice account_key(char out[static LEDGER_ACCOUNT_MAX + 24], struct slice name,
                                int64_t period_start)
{
    struct slice cut = slice_first(name, LEDGER_ACCOUNT_MAX - 1);
    int n = snprintf(out, LEDGER_ACCOUNT_MAX + 24, "%.*s@%" PRId64, SLICE_ARG(cut), period_start);
    return slice_of(out, (size_t)n);
}

struct ledger_account *ledger_sheet_account(const struct ledger_sheet *s, struct slice name,
                                            int64_t period_start)
{
    char key[LEDGER_ACCOUNT_MAX + 24];
    return s->accounts_by_key ? map_find(s->accounts_by_key, account_key(key, name, period_start))
                              : NULL;
}

struct ledger_lease *ledger_sheet_lease(const struct ledger_sheet *s, struct slice id)
{
    return s->leases_by_id ? map_find(s->leases_by_id, id) : NULL;
}

/* Makes space for one more pointer, and for its entry in the map. */
static bool grow(void *list, size_t count, size_t *cap, struct map **by)
{
    void ***rows = list;
    if (!*by && !(*by = map_new()))
        return false;
    if (count < *cap)
        return true;
    size_t more = *cap * 2 + 16;
    void **grown = mem_realloc(*rows, more * sizeof(*grown));
    if (!grown)
        return false;
    *rows = grown;
    *cap = more;
    return true;
}

struct ledger_account *ledger_sheet_add_account(struct ledger_sheet *s, struct slice name,
                                                int64_t period_start)
{
    bool room = grow(&s->accounts, s->account_count, &s->account_cap, &s->accounts_by_key);
    struct ledger_account *a = room ? mem_zalloc(sizeof(*a)) : NULL;
    if (!a)
        return NULL;
    list_init(&a->leases);
    snprintf(a->name, sizeof(a->name), "%.*s", SLICE_ARG(name));
    a->period_start = period_start;
    if (map_put(s->accounts_by_key, account_key(a->key, name, period_start), a, NULL) != ERR_OK) {
        mem_free(a);
        return NULL;
    }
    s->accounts[s->account_count++] = a;
    return a;
}

struct ledger_lease *ledger_sheet_add_lease(struct ledger_sheet *s, struct ledger_account *a,
                                            struct slice id, bool stored)
{
    bool room = grow(&s->leases, s->lease_count, &s->lease_cap, &s->leases_by_id);
    struct ledger_lease *l = room ? mem_zalloc(sizeof(*l)) : NULL;
    if (!l)
        return NULL;
    l->account = a;
    l->fresh = !stored;
    snprintf(l->id, sizeof(l->id), "%.*s", SLICE_ARG(id));
    if (map_put(s->leases_by_id, slice_str(l->id), l, NULL) != ERR_OK) {
        mem_free(l);
        return NULL;
    }
    list_push(&a->leases, &l->link);
    s->leases[s->lease_count++] = l;
    return l;
}
