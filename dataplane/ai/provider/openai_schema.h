/*
 * openai_schema — JSON schemas as OpenAI's "strict" wants them (dialects.md 2.3): each object has
 * no other members than it names, and requires all of those.
 *
 * Threads  a tree belongs to one thread at a time.
 */
#pragma once

#include "common/base/json.h"

bool openai_schema_is_strict(const json_t *schema);
/* Is there a map whose members no schema names? It cannot be told strictly. */
bool openai_schema_is_open(const json_t *schema);
void openai_schema_make_strict(json_t *schema);
