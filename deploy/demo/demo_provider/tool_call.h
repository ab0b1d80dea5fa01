/*
 * tool_call — does this request make the demo model call a tool, and with what?
 *
 * It does when tool_choice demands one, or when the last message is the user's and names a tool.
 * Required string members get "demo", numbers 1, booleans true.
 *
 * Owns     *name and *arguments are the caller's (mem_free); NULL where no tool is called.
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

void tool_call_choose(struct slice body, char **name, char **arguments);
