/*
 * api_budgets — remaining budgets, and money in suspense that is held for data planes.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum err api_budgets_list(struct call *c); /* ?key=&team= */
/* Writes off a plane's suspense: what it may have spent counts as spent. Deleted planes by id. */
enum err api_budgets_write_off(struct call *c);
