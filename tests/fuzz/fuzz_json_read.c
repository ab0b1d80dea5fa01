/*
 * fuzz_json_read — what json_read accepts is written as a text that reads as the same tree, in
 * either order of members, and that is written the same again; jansson reads the same tree of it; a
 * refusal says why in UTF-8.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/json.h"
#include "common/base/limits.h"
#include "common/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static size_t depth_of(const json_t *t)
{
    size_t most = 0, i;
    const char *name;
    json_t *v;
    if (json_is_array(t)) {
        json_array_foreach((json_t *)(uintptr_t)t, i, v)
        {
            size_t d = depth_of(v);
            most = d > most ? d : most;
        }
    } else if (json_is_object(t)) {
        json_object_foreach((json_t *)(uintptr_t)t, name, v)
        {
            size_t d = depth_of(v);
            most = d > most ? d : most;
        }
    } else {
        return 0;
    }
    return most + 1;
}

static void write_back(const json_t *tree, enum err (*write)(const json_t *, struct buf *))
{
    JSON_AUTO json_t *again = NULL;
    struct json_problem problem;
    struct buf once, twice;
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    must(!write(tree, &once), "a tree is written");
    must(!json_read(buf_slice(&once), &again, &problem), "and read");
    must(json_equal(tree, again), "as the same tree");
    must(!write(again, &twice) && slice_eq(buf_slice(&once), buf_slice(&twice)),
         "and written the same");
    buf_fini(&once);
    buf_fini(&twice);
}

static void expect_jansson_reads(const json_t *tree, struct slice text)
{
    json_error_t error;
    struct buf ours, theirs;
    JSON_AUTO json_t *other =
        json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    must(other, "jansson takes what is taken");
    must(json_equal(tree, other), "and reads the same");
    buf_init(&ours, 1 << 20);
    buf_init(&theirs, 1 << 20);
    must(!json_write(tree, &ours) && !json_write(other, &theirs), "both are written");
    must(slice_eq(buf_slice(&ours), buf_slice(&theirs)), "in the same order");
    buf_fini(&ours);
    buf_fini(&theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem = {{0}};
    if (json_read(slice_of(data, size), &tree, &problem)) {
        size_t len = strnlen(problem.text, sizeof(problem.text));
        must(len > 0 && len < sizeof(problem.text), "a refusal says why");
        must(utf8_whole(problem.text, len) == len, "in whole characters");
        return 0;
    }
    expect_jansson_reads(tree, slice_of(data, size));
    must(depth_of(tree) <= LIMIT_JSON_DEPTH, "depth");
    write_back(tree, json_write);
    write_back(tree, json_write_sorted);
    return 0;
}
