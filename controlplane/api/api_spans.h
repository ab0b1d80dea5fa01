/*
 * api_spans — calls, attempts and decisions of all gates, newest first.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum err api_spans_list(struct call *c); /* ?session=&agent=&gate=&status=&since=&until= */
