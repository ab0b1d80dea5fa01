/*
 * api_grants — what a grant opens in fact: tools that its server does not have are named.
 *
 * Threads  job threads.
 */
#pragma once

#include "controlplane/api/change.h"

/* Adds `warnings` to views of grants that name tools which their server, once listed, does not
 * have. */
enum err api_grants_show(struct tx *tx, json_t *views);
