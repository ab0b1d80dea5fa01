/*
 * user — a person of a team.
 */
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"

static const char *email_rule(struct slice text)
{
    ptrdiff_t at = slice_find(text, '@');
    if (at <= 0 || (size_t)at + 1 >= text.len)
        return "must be an e-mail address";
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return "must be an e-mail address";
    return NULL;
}

static const char *const role_words[] = {"owner", "admin", "security", "billing", "viewer", NULL};

static const struct field fields[] = {
    {.name = "email",
     .type = FIELD_TEXT,
     .min = 3,
     .max = 254,
     .rule = email_rule,
     .pattern = "^[^@\\u0000-\\u0020\\u007f]+@[^\\u0000-\\u0020\\u007f]+$"},
    {.name = "team", .type = FIELD_REF, .ref = "team", .help = "the team they belong to"},
    {.name = "role",
     .type = FIELD_WORD,
     .flags = FIELD_NOT_ENFORCED,
     .words = role_words,
     .default_json = "\"viewer\"",
     .help = "what they may do once people sign in"},
    FIELD_END,
};

const struct noun noun_user = {
    .name = "user",
    .plural = "users",
    .table = "users",
    .id_prefix = "user",
    .write_roles = ROLES_WRITE,
    .fields = fields,
    .help = "a person",
};
