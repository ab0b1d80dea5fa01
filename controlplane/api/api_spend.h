/*
 * api_spend — what calls cost, grouped by principal, model or another attribute.
 */
#pragma once

#include "controlplane/api/admin_call.h"

/* ?group_by=&bucket=&from=&to= and what store_spend.h filters by; absent: this month until now */
enum err api_spend_get(struct call *c);
