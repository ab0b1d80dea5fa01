/*
 * task_owners — the principal that each task of a server (MCP 2025-11-25, Tasks) was made for.
 *
 * A task is reached by its id from any session, and servers need not know its maker. The gateway
 * passes a task only to its maker: what another principal made is unknown. Tasks that were made
 * through another plane are not known here.
 *
 * Owns     its entries, at most LIMIT_MCP_TASKS; the oldest are forgotten.
 * Fails    silently, for want of memory: such a task is not known here.
 * Threads  any; one lock, taken by requests about tasks only.
 */
#pragma once

#include "common/base/slice.h"

enum task_owner { TASK_UNKNOWN, TASK_OWN, TASK_FOREIGN };

void task_owners_note(struct slice server_id, struct slice task_id, struct slice principal);
enum task_owner task_owners_find(struct slice server_id, struct slice task_id,
                                 struct slice principal);
void task_owners_clear(void);
