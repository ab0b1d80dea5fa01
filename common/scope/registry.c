/* registry — see the card. */
#include "common/scope/registry.h"

#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/scope/account_private.h"

struct registry {
    struct map *accounts;
    struct lease_client *lease_client; /* NULL: no control plane can be asked */
};

void registry_set_lease_client(struct registry *r, struct lease_client *d)
{
    r->lease_client = d;
}

struct lease_client *registry_lease_client(const struct registry *r)
{
    return r->lease_client;
}

struct registry *registry_new(void)
{
    struct registry *r = mem_zalloc(sizeof(*r));
    if (!r)
        return NULL;
    r->accounts = map_new();
    if (!r->accounts) {
        mem_free(r);
        return NULL;
    }
    return r;
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    size_t at = 0;
    struct slice id;
    void *account;
    while (map_each(r->accounts, &at, &id, &account)) {
        map_remove(r->accounts, id);
        account_drop(account);
    }
    map_free(r->accounts);
    mem_free(r);
}

struct account *registry_account(struct registry *r, struct slice id)
{
    struct account *a = map_find(r->accounts, id);
    if (a)
        return account_hold(a);
    a = account_new(id, r);
    if (!a)
        return NULL;
    if (map_put(r->accounts, account_id(a), a, NULL) != ERR_OK) {
        account_drop(a);
        return NULL;
    }
    return account_hold(a);
}

void registry_each(struct registry *r, void (*fn)(void *arg, struct account *a), void *arg)
{
    size_t at = 0;
    struct slice id;
    void *account;
    while (map_each(r->accounts, &at, &id, &account))
        fn(arg, account);
}
