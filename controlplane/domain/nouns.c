/* nouns — the list, and finding one by its name. */
#include "controlplane/domain/nouns.h"

static const struct noun *const nouns[] = {
#define NOUN_ROW(name) &noun_##name,
    NOUN_TABLE(NOUN_ROW)
#undef NOUN_ROW
};

const struct noun *const *noun_all(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(nouns);
    return nouns;
}

const struct noun *noun_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(nouns); i++)
        if (strcmp(nouns[i]->name, name) == 0)
            return nouns[i];
    MUST(false && "a field names a noun that exists");
    return NULL;
}
