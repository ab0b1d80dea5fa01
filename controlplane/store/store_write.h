/*
 * store_write — a change of the policy: one transaction that carries its version, what changed
 * for data planes, an audit record, and the notification that wakes the publishers.
 *
 * write_begin locks the policy head's row (the write lock): writes run one after the other, so
 * versions have no gaps, and no two writes check names and references at the same time.
 *
 * Owns     its transaction; WRITE_AUTO rolls back what was not committed.
 * Fails    as tx.h.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/json.h"
#include "controlplane/store/tx.h"

struct write {
    struct tx tx;
    uint64_t version; /* the one this write makes */
    char org_id[ID_MAX];
};

MUST_USE enum err write_begin(struct db *db, struct slice org_id, struct write *ret);
/* kind: ObjectKind; 0 is not sent to planes, and nothing is done */
MUST_USE enum err write_change(struct write *w, int kind, struct slice id, bool deleted);

/* A record of the chain; before and after may be NULL and hold no secret. */
struct audit_entry {
    const char *actor;
    const char *actor_role;
    const char *source;
    const char *action; /* create, replace, patch, delete, revoke … */
    const char *noun;
    const char *object_id;
    const char *object_name;
    const json_t *before;
    const json_t *after;
};
MUST_USE enum err write_audit(struct write *w, const struct audit_entry *entry);
MUST_USE enum err write_commit(struct write *w); /* with NOTIFY gatehouse_policy */
void write_cancel(struct write *w);
#define WRITE_AUTO __attribute__((cleanup(write_cancel)))
