/*
 * json_out — JSON text written member by member, where no tree is wanted.
 *
 *     struct json_out o = {.to = &buf};
 *     json_out_begin(&o, NULL, '{');
 *     json_out_text(&o, "role", SLICE("user"));
 *     json_out_end(&o, '}');
 *     return o.e;
 *
 * It sets the commas. A name is plain ASCII without escapes, or NULL inside an array and at the
 * root. What the caller opens, the caller closes: nothing is checked.
 *
 * Owns     nothing; the text is appended to the caller's buffer.
 * Fails    the first error stays in `e`, and nothing is written after it.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/json.h"

struct json_out {
    struct buf *to;
    enum err e;
    bool comma; /* a value stands before the next one */
};

void json_out_begin(struct json_out *o, const char *name, char bracket); /* '{' or '[' */
void json_out_end(struct json_out *o, char bracket);                     /* '}' or ']' */
void json_out_text(struct json_out *o, const char *name, struct slice text);
void json_out_u64(struct json_out *o, const char *name, uint64_t n);
void json_out_real(struct json_out *o, const char *name, double value);
void json_out_bool(struct json_out *o, const char *name, bool value);
void json_out_tree(struct json_out *o, const char *name, const json_t *tree);
/* JSON text as it stands */
void json_out_raw(struct json_out *o, const char *name, struct slice json);
/* A member whose name is any text. Its value follows, with NULL as its name. */
void json_out_name(struct json_out *o, struct slice name);
