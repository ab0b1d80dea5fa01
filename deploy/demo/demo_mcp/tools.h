/*
 * tools — what the demo MCP server can do.
 *
 *   echo(message)        says it back
 *   get-sum(a, b)        adds two numbers
 *   slow(steps, ms)      takes steps × ms, with progress where a token asks for it
 *   headers()            the names of the request's headers, for tests of what a gateway forwards
 *   fail()               a tool error (isError)
 *
 * Threads  one.
 */
#pragma once

#include "common/base/json.h"
#include "deploy/demo/serve.h"

json_t *tools_list(void); /* the result of tools/list */
/* The result of a call that ends at once; NULL: there is no such tool, or it takes its time. */
json_t *tools_call(const struct visit *v, const char *name, const json_t *arguments);
bool tools_takes_time(const char *name);
json_t *tools_text(const char *text, bool is_error); /* a result with one text */
