/*
 * api_rollout — which version is the newest, and which each data plane applies.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum err api_rollout_get(struct call *c);
