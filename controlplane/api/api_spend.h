/*
 * api_spend — what calls cost, by whom or what.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum err api_spend_get(struct call *c); /* ?group_by=&from=&to=; absent: this month until now */
