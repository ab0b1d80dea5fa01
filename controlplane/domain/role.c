/*
 * role — names of roles.
 */
#include "controlplane/domain/role.h"

static const struct {
    enum role role;
    const char *name;
} roles[] = {
#define ROLE_ROW(name, text, bit) {ROLE_##name, text},
    ROLE_TABLE(ROLE_ROW)
#undef ROLE_ROW
};

enum err role_parse(struct slice text, enum role *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (slice_eq(text, slice_str(roles[i].name))) {
            *ret = roles[i].role;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

const char *role_name(enum role r)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        if (roles[i].role == r)
            return roles[i].name;
    return "";
}
