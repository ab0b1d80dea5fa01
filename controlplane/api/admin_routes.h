/*
 * admin_routes — the one table of the admin API.
 *
 * Rows for the nouns (teams, keys, …) are derived from their descriptors;
 * the other rows are in admin_routes.c, beside the api_*.h whose handler they name.
 *
 * Owns     nothing; the table is constant after routes_init.
 * Threads  any.
 */
#pragma once

#include "controlplane/api/route.h"

void routes_init(void); /* once, before threads */
const struct route *routes_all(size_t *ret_count);
/* NULL: no such path, or (where *allow was filled) not with this method. Fills c->params. */
const struct route *routes_find(struct call *c, struct buf *allow);
