/*
 * api_dataplanes — a new plane's one-time token, shown once.
 */
#pragma once

#include "controlplane/api/change.h"

enum err api_dataplanes_token(struct change *x); /* object_hook */
enum err api_dataplanes_renew(struct call *c);   /* a new token, which voids the earlier one */
