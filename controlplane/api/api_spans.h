/*
 * api_spans — calls, attempts and decisions of all gates, newest first.
 */
#pragma once

#include "controlplane/api/admin_call.h"

/* ?since=&until=, and each attribute that is searched (common/trace/span_attributes.h) */
enum err api_spans_list(struct call *c);
