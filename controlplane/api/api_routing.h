/*
 * api_routing — what data planes say of routing: how a provider's endpoints are, and which targets
 * a call would be sent to.
 *
 * Both are answered from what data planes that are connected to this control plane know.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum err api_routing_health(struct call *c);  /* GET /admin/v1/providers/{id}/health */
enum err api_routing_explain(struct call *c); /* POST /admin/v1/models/{name}/explain */
