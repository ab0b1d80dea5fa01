/*
 * ceiling_client — this plane's shares of the ceilings of credentials, leased from the control
 * plane.
 *
 * Once a second it says what was taken of each ceiling of the policy, and how much waits; the reply
 * says what this plane may take (common/ledger/ceiling_share.h). While the control plane is away a
 * ceiling goes on with its share until that ends, then with its floor. A control plane that does
 * not know the request leaves each plane with the policy's whole numbers; it is asked again in a
 * minute.
 *
 * Owns     the policy whose ceilings it tells of, held.
 * Threads  the main thread's.
 */
#pragma once

#include "common/net/loop.h"
#include "common/policy/snapshot.h"
#include "common/wire/control_link.h"

struct ceiling_client;

/* links: the lease_client's */
MUST_USE enum err ceiling_client_new(struct loop *l, const struct control_link *links,
                                     struct ceiling_client **ret);
void ceiling_client_free(struct ceiling_client *c); /* NULL is fine */
/* Holds it. */
void ceiling_client_policy(struct ceiling_client *c, const struct snapshot *s);
