/*
 * admin — the admin API over the test program's database, and tokens for its callers.
 *
 * Owns     what admin_open put into the app, until admin_close.
 * Threads  setup and teardown: main.
 */
#pragma once

#include "controlplane/api/app.h"
#include "controlplane/domain/role.h"

void admin_open(struct app *a); /* after base_open */
void admin_close(struct app *a);
/* A request with "Bearer <name>" has the role of that name. */
void admin_token(const char *name, enum role role);
