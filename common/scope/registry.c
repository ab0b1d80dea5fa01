/* registry — a map, two lists and a stack. */
#include "common/scope/registry.h"

#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/scope/scope_private.h"

#define ORPHAN_TRIES 4 /* sweeps in which a count that was being dropped is surely gone */

struct registry {
    struct account_home home;
    struct map *accounts;
    struct list active, changed;
    struct account *suspects; /* orphans to be looked at again, by `orphan_next` */
};

void registry_post_to(struct registry *r,
                      enum err (*post)(void *arg, struct account_wait_ticket *t), void *arg)
{
    r->home.post = post;
    r->home.arg = arg;
}

struct list *registry_active(struct registry *r)
{
    return &r->active;
}

struct list *registry_changed(struct registry *r)
{
    return &r->changed;
}

struct registry *registry_new(void)
{
    struct registry *r = mem_zalloc(sizeof(*r));
    if (!r)
        return NULL;
    list_init(&r->active);
    list_init(&r->changed);
    r->accounts = map_new();
    if (!r->accounts) {
        mem_free(r);
        return NULL;
    }
    return r;
}

static void leave(struct account *a)
{
    list_remove(&a->active);
    list_remove(&a->changed);
    a->home = NULL; /* it may outlive the registry */
    account_drop(a);
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
        leave(account);
    }
    map_free(r->accounts);
    mem_free(r);
}

struct account *registry_find(struct registry *r, struct slice id)
{
    return map_find(r->accounts, id);
}

struct account *registry_account(struct registry *r, struct slice id)
{
    struct account *a = map_find(r->accounts, id);
    if (a)
        return account_hold(a);
    a = account_new(id, &r->home);
    if (!a)
        return NULL;
    if (map_put(r->accounts, account_id(a), a, NULL) != ERR_OK) {
        a->home = NULL;
        account_drop(a);
        return NULL;
    }
    return account_hold(a);
}

void registry_configure(struct registry *r, struct account *a, money limit, struct slice period)
{
    bool known = a->configured >= 0;
    bool same_period = slice_eq(slice_str(a->period), slice_first(period, sizeof(a->period) - 1));
    if (known && same_period && limit == a->configured)
        return;
    if (known && (limit < a->configured || !same_period))
        a->narrowed = true;
    struct slice cut = slice_first(period, sizeof(a->period) - 1);
    memset(a->period, 0, sizeof(a->period));
    if (cut.len > 0)
        memcpy(a->period, cut.ptr, cut.len);
    a->configured = limit;
    list_remove(&a->changed);
    list_push(&r->changed, &a->changed);
}

/* ---- orphans ---- */

static bool is_unused(struct account *a)
{
    return atomic_load_explicit(&a->refs, memory_order_acquire) == 1 && list_empty(&a->active) &&
           list_empty(&a->waiting) && !a->asking;
}

/* A count of 2 may be one that is being dropped at this moment, or one that stays. */
static bool is_worth_another_look(struct account *a)
{
    return atomic_load_explicit(&a->refs, memory_order_relaxed) <= 2 &&
           ++a->orphan_tries < ORPHAN_TRIES;
}

static void judge(struct registry *r, struct account *a)
{
    if (is_unused(a)) {
        map_remove(r->accounts, a->id);
        leave(a);
        return;
    }
    if (is_worth_another_look(a)) {
        a->orphan_next = r->suspects;
        r->suspects = a;
        return;
    }
    a->orphan_tries = 0;
    atomic_store_explicit(&a->orphaned, false, memory_order_release);
    if (atomic_load_explicit(&a->refs, memory_order_acquire) == 1 && list_empty(&a->active) &&
        !atomic_exchange(&a->orphaned, true)) { /* dropped just before the flag was cleared */
        a->orphan_next = r->suspects;
        r->suspects = a;
    }
}

void registry_sweep(struct registry *r)
{
    struct account *old = r->suspects, *next;
    struct account *fresh = atomic_exchange_explicit(&r->home.orphans, NULL, memory_order_acquire);
    r->suspects = NULL;
    for (; old; old = next) {
        next = old->orphan_next;
        judge(r, old);
    }
    for (; fresh; fresh = next) {
        next = fresh->orphan_next;
        judge(r, fresh);
    }
}

size_t registry_count(const struct registry *r)
{
    return map_size(r->accounts);
}
