/*
 * admin — the admin API over the test program's database, and tokens for those who ask it.
 *
 * Owns     what admin_open put into the app, until admin_close.
 * Threads  setup and teardown: main.
 */
#pragma once

#include "controlplane/api/app.h"
#include "controlplane/domain/role.h"

void admin_open(struct app *a); /* after base_open */
void admin_close(struct app *a);
/* Whoever says "Bearer " and the name has that role. */
void admin_token(const char *name, enum role role);
