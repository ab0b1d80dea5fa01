/*
 * sample — a dialect with one text in, one text out, and errors in plain words.
 */
#include "common/base/json_scan.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/dialect.h"

static enum err read(const struct ai_incoming *in, struct ai_request *ret, struct slice *detail)
{
    static const char *const wants[] = {"model"};
    struct json_scan_problem problem;
    enum json_type root;
    ret->choices = 1;
    if (json_scan(in->body, wants, 1, ret->hits, &root, &problem) ||
        ret->hits[0].type != JSON_SCAN_STRING) {
        *detail = SLICE("model must be a string");
        return ERR_INVALID;
    }
    char *out = arena_alloc(in->arena, ret->hits[0].raw.len);
    return out ? json_scan_text(&ret->hits[0], out, ret->hits[0].raw.len, &ret->model) : ERR_NOMEM;
}

static void measure(struct slice body, struct ai_prompt *ret)
{
    *ret = (struct ai_prompt){.text = body.len};
}

static enum err write_error(struct buf *out, const struct ai_error *e)
{
    return buf_append(out, e->message);
}

static enum err write_whole(const struct ai_assembly *a, struct buf *out)
{
    size_t at = 0;
    const struct ai_block *words = ai_choice_next(&a->choices[0], AI_TEXT, &at);
    return words ? buf_append(out, buf_slice(&words->text)) : ERR_OK;
}

static bool is_error(struct slice body)
{
    (void)body;
    return false;
}

const struct ai_dialect dialect_sample = {.name = "sample",
                                          .read = read,
                                          .measure = measure,
                                          .write_error = write_error,
                                          .write_stream_error = write_error,
                                          .write_whole = write_whole,
                                          .is_error = is_error};
