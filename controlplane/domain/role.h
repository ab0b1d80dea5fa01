/*
 * role — what an administrator may be. A route or noun names the set of roles it serves.
 */
#pragma once

#include "common/base/slice.h"

#define ROLE_TABLE(X)                                                                              \
    X(VIEWER, "viewer", 0)                                                                         \
    X(BILLING, "billing", 1)                                                                       \
    X(SECURITY, "security", 2)                                                                     \
    X(ADMIN, "admin", 3)                                                                           \
    X(OWNER, "owner", 4)

enum role {
#define ROLE_ENUM(name, text, bit) ROLE_##name = 1 << bit,
    ROLE_TABLE(ROLE_ENUM)
#undef ROLE_ENUM
};

#define ROLES_READ (ROLE_VIEWER | ROLE_BILLING | ROLE_SECURITY | ROLE_ADMIN | ROLE_OWNER)
#define ROLES_WRITE (ROLE_ADMIN | ROLE_OWNER)
/* what opens and closes: grants, blocks, tools, keys' revocation */
#define ROLES_GUARD (ROLE_SECURITY | ROLE_ADMIN | ROLE_OWNER)

MUST_USE enum err role_parse(struct slice text, enum role *ret);
const char *role_name(enum role r);
