/*
 * cursor — the position after the last object shown in a list, opaque to clients.
 */
#pragma once

#include "common/base/id.h"
#include "controlplane/api/admin_call.h"

#define CURSOR_LIMIT_USUAL 100
#define CURSOR_LIMIT_MOST 1000
#define CURSOR_TEXT_MAX 128

struct slice cursor_format(int64_t at_us, const char *id, char out[static CURSOR_TEXT_MAX]);
MUST_USE enum err cursor_parse(struct slice text, int64_t *ret_us, char id[static ID_MAX]);

/* The part of a list that a request names. */
struct page {
    size_t limit;
    bool goes_on; /* behind at_us and id */
    int64_t at_us;
    char id[ID_MAX];
};
/* ?limit=&cursor=. Any error: the response is already a 400. */
MUST_USE enum err cursor_page(struct call *c, struct page *ret);
