/*
 * api_health — is the process alive, may it be sent work, and its numbers. No token needed and
 * no detail given.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum err api_health_live(struct call *c);
enum err api_health_ready(struct call *c);
enum err api_health_metrics(struct call *c);
