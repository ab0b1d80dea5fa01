/*
 * api_budgets — what is left of budgets, and money held for data planes that will not come back.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum err api_budgets_list(struct call *c); /* ?key=&team= */
/* What a silent plane may have spent counts as spent from now on. Also for deleted planes, by id.
 */
enum err api_budgets_write_off(struct call *c);
