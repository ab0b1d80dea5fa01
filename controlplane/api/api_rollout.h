/*
 * api_rollout — which version is the newest, and which each data plane applies.
 */
#pragma once

#include "controlplane/api/call.h"

enum err api_rollout_get(struct call *c);
