/*
 * json_name — the names of one object's members: which stands twice, which looks like another.
 *
 * Owns     nothing; names lie in the body, and are kept as offsets from its start.
 * Fails    ERR_EXISTS for a name that is there, ERR_CONFLICT for one that is there but for the case
 * of letters, ERR_EXHAUSTED at LIMIT_JSON_MEMBERS. Threads  one at a time.
 */
#pragma once

#include "common/base/limits.h"
#include "common/base/slice.h"

struct json_names {
    const char *start;
    size_t count;
    uint64_t seen; /* bit i: some hash ends in i */
    uint32_t hash[LIMIT_JSON_MEMBERS];
    uint32_t at[LIMIT_JSON_MEMBERS];
    uint16_t len[LIMIT_JSON_MEMBERS];
};

void json_names_init(struct json_names *n, const char *start);
/* raw: as it stands in the body; name: the same, read by json_name_read; ascii: the name is known
 * to be. Readers that fold case take "a" and "A" for one member, so both are compared folded. */
MUST_USE enum err json_names_add(struct json_names *n, struct slice raw, struct slice name,
                                 bool ascii);

/* the unescaped name: raw itself where nothing is escaped, else written to out */
struct slice json_name_read(struct slice raw, char out[static LIMIT_JSON_NAME]);
bool json_name_is_ascii(struct slice name);
enum json_likeness { JSON_NAME_OTHER, JSON_NAME_ALIKE, JSON_NAME_EQUAL };
/* Compares with the first segment of `path`, what is left of a wanted one (ASCII). ascii: the name
 * is. ALIKE: equal but for the case of letters. Beyond ASCII this knows the four characters that
 * some languages fold into ASCII letters (U+017F, U+212A, U+0130, U+0131). */
enum json_likeness json_name_compare(struct slice name, bool ascii, struct slice path);
/* a name short enough for a sentence, cut between characters */
struct slice json_name_shown(struct slice raw);
