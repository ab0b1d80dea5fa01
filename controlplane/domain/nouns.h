/*
 * nouns — the list of all nouns. Each is defined in its own file as noun_<name>; a row here makes
 * it known, in the order in which the API's document shows them.
 */
#pragma once

#include "controlplane/domain/noun.h"

#define NOUN_TABLE(ROW)                                                                            \
    ROW(org)                                                                                       \
    ROW(team)                                                                                      \
    ROW(user)                                                                                      \
    ROW(agent)                                                                                     \
    ROW(task)                                                                                      \
    ROW(key)                                                                                       \
    ROW(provider)                                                                                  \
    ROW(model)                                                                                     \
    ROW(alias)                                                                                     \
    ROW(catalogue)                                                                                 \
    ROW(mcp_server)                                                                                \
    ROW(tool)                                                                                      \
    ROW(api_service)                                                                               \
    ROW(grant)                                                                                     \
    ROW(fault)                                                                                     \
    ROW(block)                                                                                     \
    ROW(pool)                                                                                      \
    ROW(dataplane)

#define NOUN_ROW(name) extern const struct noun noun_##name;
NOUN_TABLE(NOUN_ROW)
#undef NOUN_ROW

const struct noun *const *noun_all(size_t *ret_count);
/* Of a name that is a noun's: a field's `ref`. */
const struct noun *noun_find(const char *name);
