/*
 * openai_names — what cannot stand in a name is replaced, and the digest of all of it follows.
 */
#include "dataplane/ai/provider/openai_names.h"

#include "common/base/digest.h"

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool openai_is_plain_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_name_char(s.ptr[i]))
            return false;
    return s.len > 0;
}

struct slice openai_function_name(struct slice name, char out[static OPENAI_NAME_MAX])
{
    static const char hex[] = "0123456789abcdef";
    struct digest d;
    size_t n = 0;
    if (name.len <= OPENAI_NAME_MAX && openai_is_plain_name(name))
        return name;
    for (; n < name.len && n < OPENAI_NAME_MAX - 9; n++)
        out[n] = is_name_char(name.ptr[n]) ? name.ptr[n] : '_';
    digest_sha256(name, &d);
    out[n++] = '_';
    for (size_t i = 0; i < 4; i++) {
        out[n++] = hex[d.bytes[i] >> 4];
        out[n++] = hex[d.bytes[i] & 15];
    }
    return slice_of(out, n);
}

struct slice openai_own_function_name(const struct ai_chat *chat, struct slice told)
{
    char text[OPENAI_NAME_MAX];
    for (const struct ai_function *f = chat ? chat->functions : NULL; f; f = f->next) {
        struct slice name = openai_function_name(f->name, text);
        if (name.ptr == text && slice_eq(name, told))
            return f->name;
    }
    return told;
}
