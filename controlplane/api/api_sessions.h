/*
 * api_sessions — what agents did, gathered by session.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum err api_sessions_list(struct call *c); /* ?agent=&since=&until=&limit=&cursor= */
enum err api_sessions_get(struct call *c);  /* by id, or external id where only one has it */
enum err api_sessions_spans(struct call *c);
