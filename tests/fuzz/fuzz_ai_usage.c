/*
 * fuzz_ai_usage — what is read of a provider's response: counts only from JSON, never more words
 * than bytes, and a chunk without its null is still a chunk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "dataplane/ai/provider/openai.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static bool is_json(struct slice s)
{
    struct json_scan_problem problem;
    enum json_type root;
    return json_scan(s, NULL, 0, NULL, &root, &problem) == ERR_OK;
}

static void try_null(struct slice s)
{
    struct slice null;
    struct buf out;
    if (!usage_find_null(s, &null))
        return;
    buf_init(&out, 1 << 20);
    must(null.ptr >= s.ptr && null.ptr + null.len <= s.ptr + s.len, "outside");
    size_t at = (size_t)(null.ptr - s.ptr);
    must(buf_append(&out, slice_first(s, at)) == ERR_OK &&
             buf_append(&out, slice_from(s, at + null.len)) == ERR_OK,
         "room");
    must(!is_json(s) || is_json(buf_slice(&out)), "no JSON without it");
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = slice_of(data, size);
    struct usage_look look = {0}, end = {0};
    enum err whole = usage_read(s, &look);
    if (whole == ERR_OK)
        must(is_json(s), "read, and no JSON");
    if (usage_read_response(s, &end) == ERR_OK && whole == ERR_OK)
        must(end.has_usage == look.has_usage && end.has_prompt == look.has_prompt &&
                 memcmp(&end.tokens, &look.tokens, sizeof(end.tokens)) == 0,
             "the end says something else than the whole");
    must(openai_words_in_chunk(s) <= size && openai_words_in_response(s) <= size, "words");
    try_null(s);
    return 0;
}
