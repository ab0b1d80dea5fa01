/*
 * body_member — single members of a scanned body, read strictly, and pieces of a changed body.
 *
 * For every dialect whose bodies are scanned. A member that is null is absent (dialects.md 1.1).
 *
 * Fails    ERR_INVALID with param and detail set; ERR_NOMEM.
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/ai_request.h"

struct body_reading {
    struct ai_request *r;
    const char *const *names; /* of r->hits */
    const char *between;      /* a name and what is wrong with it; NULL: a space */
    struct arena *arena;
    struct slice detail;
};

enum err body_wrong(struct body_reading *d, unsigned want, const char *should);
/* `what`: a sentence. ERR_INVALID. */
enum err body_refuse(struct ai_request *r, const char *param, const char *what,
                     struct slice *detail);
bool body_is_absent(const struct json_hit *h);
MUST_USE enum err body_read_text(struct body_reading *d, unsigned want, struct slice *ret);
MUST_USE enum err body_read_flag(struct body_reading *d, unsigned want, bool *ret);
MUST_USE enum err body_read_count(struct body_reading *d, unsigned want, uint64_t max,
                                  uint64_t *ret);
/* "model", which must be the name of one */
MUST_USE enum err body_read_model(struct body_reading *d, unsigned want);
/* Scans the body's members; it must be an object. */
MUST_USE enum err body_scan(struct body_reading *d, struct slice body, size_t wants);

/* As a JSON string in the arena; .ptr NULL: no memory. */
struct slice body_quoted(struct arena *a, struct slice text);

/* In place of `old` bytes at `at` stands `text`. */
struct body_edit {
    const char *at;
    size_t old;
    struct slice text;
};

/* Sorts the edits and cuts the body into 2 n + 1 pieces. */
void body_apply(struct body_edit *edits, size_t n, struct slice body, struct slice *ret);
/* An edit that sets a member: in place of its value, or anew behind the root's brace. The text is
 * JSON. .text.ptr NULL: no memory. */
struct body_edit body_set_member(const struct json_hit *h, const char *name, struct slice body,
                                 struct slice text, struct arena *a);
