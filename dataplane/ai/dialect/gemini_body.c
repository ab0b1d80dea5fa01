/*
 * gemini_body — what is read by places, and put in for a Gemini upstream.
 */
#include "dataplane/ai/dialect/gemini_body.h"

#include "common/base/json_scan.h"
#include "common/base/limits.h"
#include "dataplane/ai/dialect/body_member.h"

enum hit {
    CONTENTS,
    CONFIG,
    CONFIG_SNAKE,
    LIMIT,
    LIMIT_SNAKE,
    LIMIT_SNAKE2,
    LIMIT_SNAKE3,
    COUNT,
    COUNT_SNAKE,
    COUNT_SNAKE2,
    COUNT_SNAKE3,
    SESSION,
    HITS
};

static const char *const wants[HITS] = {
    [CONTENTS] = "contents",
    [CONFIG] = "generationConfig",
    [CONFIG_SNAKE] = "generation_config",
    [LIMIT] = "generationConfig.maxOutputTokens",
    [LIMIT_SNAKE] = "generationConfig.max_output_tokens",
    [LIMIT_SNAKE2] = "generation_config.maxOutputTokens",
    [LIMIT_SNAKE3] = "generation_config.max_output_tokens",
    [COUNT] = "generationConfig.candidateCount",
    [COUNT_SNAKE] = "generationConfig.candidate_count",
    [COUNT_SNAKE2] = "generation_config.candidateCount",
    [COUNT_SNAKE3] = "generation_config.candidate_count",
    [SESSION] = "labels.session_id",
};
_Static_assert(HITS <= AI_HITS, "the request keeps all of them");

static bool is_there(const struct json_hit *h)
{
    return h->type != JSON_SCAN_ABSENT && h->type != JSON_SCAN_NULL;
}

/* The one of n hits that is there. ERR_INVALID: more than one is. */
static enum err one_of(const struct json_hit *hits, size_t n, const struct json_hit **ret)
{
    *ret = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!is_there(&hits[i]))
            continue;
        if (*ret)
            return ERR_INVALID;
        *ret = &hits[i];
    }
    return ERR_OK;
}

/* A whole number, or one in a string, as the API takes 64-bit numbers. */
static enum err read_count(const struct json_hit *h, uint64_t *ret)
{
    struct json_hit inner = *h;
    if (h->type == JSON_SCAN_STRING && h->raw.len > 2) {
        inner.type = JSON_SCAN_NUMBER;
        inner.raw = slice_first(slice_from(h->raw, 1), h->raw.len - 2);
    }
    return json_scan_u64(&inner, ret);
}

static enum err read_numbers(struct ai_request *r, struct slice *detail)
{
    const struct json_hit *config, *limit, *count;
    if (one_of(&r->hits[CONFIG], 2, &config) || one_of(&r->hits[LIMIT], 4, &limit) ||
        one_of(&r->hits[COUNT], 4, &count))
        return body_refuse(r, "generationConfig", "generationConfig: a member is spelt in two ways",
                           detail);
    if (config && config->type != JSON_SCAN_OBJECT)
        return body_refuse(r, "generationConfig", "generationConfig must be an object", detail);
    if (limit && (read_count(limit, &r->output_ceiling) || !r->output_ceiling))
        return body_refuse(r, "generationConfig.maxOutputTokens",
                           "generationConfig.maxOutputTokens must be a positive number", detail);
    if (count && (read_count(count, &r->choices) || !r->choices || r->choices > 8))
        return body_refuse(r, "generationConfig.candidateCount",
                           "generationConfig.candidateCount must be a number from 1 to 8", detail);
    return ERR_OK;
}

static enum err read_session(const struct ai_incoming *in, struct ai_request *r)
{
    const struct json_hit *h = &r->hits[SESSION];
    if (h->type != JSON_SCAN_STRING)
        return ERR_OK;
    char *out = arena_alloc(in->arena, h->raw.len);
    if (!out)
        return ERR_NOMEM;
    return json_scan_text(h, out, h->raw.len, &r->session_id) == ERR_PROTOCOL ? ERR_INVALID
                                                                              : ERR_OK;
}

enum err gemini_read_generate(const struct ai_incoming *in, struct ai_request *ret,
                              struct slice *detail)
{
    struct json_scan_problem problem;
    enum json_type root;
    ret->model = ai_incoming_name(in);
    ret->stream = slice_starts(in->endpoint->suffix, SLICE(":stream"));
    ret->wants_usage = true;
    ret->choices = 1;
    if (!ret->model.ptr)
        return ERR_NOMEM;
    if (json_scan(in->body, wants, HITS, ret->hits, &root, &problem)) {
        *detail = arena_copy(in->arena, slice_str(problem.text));
        return ERR_INVALID;
    }
    if (root != JSON_SCAN_OBJECT)
        return body_refuse(ret, NULL, "the body must be a JSON object", detail);
    if (ret->hits[CONTENTS].type != JSON_SCAN_ARRAY)
        return body_refuse(ret, "contents", "contents must be a list", detail);
    enum err e = read_session(in, ret);
    return e ? e : read_numbers(ret, detail);
}

/* ---- countTokens ---- */

enum count_hit { COUNTED, WHOLE_REQUEST, WHOLE_CONTENTS, WHOLE_MODEL, COUNT_HITS };

static const char *const count_wants[COUNT_HITS] = {
    [COUNTED] = "contents",
    [WHOLE_REQUEST] = "generateContentRequest",
    [WHOLE_CONTENTS] = "generateContentRequest.contents",
    [WHOLE_MODEL] = "generateContentRequest.model",
};

/* Both names must be one: the path's is the one that rights are looked up by. */
bool gemini_is_same_model(const struct json_hit *h, struct slice name, struct arena *a)
{
    struct slice text;
    char *out = h->type == JSON_SCAN_STRING ? arena_alloc(a, h->raw.len) : NULL;
    if (!out || json_scan_text(h, out, h->raw.len, &text))
        return false;
    if (slice_starts(text, SLICE("models/")))
        text = slice_from(text, 7);
    return slice_eq(text, name);
}

enum err gemini_read_count(const struct ai_incoming *in, struct ai_request *ret,
                           struct slice *detail)
{
    struct json_scan_problem problem;
    enum json_type root;
    struct json_hit *hits = ret->hits;
    ret->model = ai_incoming_name(in);
    ret->choices = 1;
    if (!ret->model.ptr)
        return ERR_NOMEM;
    if (json_scan(in->body, count_wants, COUNT_HITS, hits, &root, &problem)) {
        *detail = arena_copy(in->arena, slice_str(problem.text));
        return ERR_INVALID;
    }
    if (root != JSON_SCAN_OBJECT)
        return body_refuse(ret, NULL, "the body must be a JSON object", detail);
    if (is_there(&hits[COUNTED]) == is_there(&hits[WHOLE_REQUEST]))
        return body_refuse(ret, "contents", "contents or generateContentRequest must be given",
                           detail);
    if (hits[is_there(&hits[COUNTED]) ? COUNTED : WHOLE_CONTENTS].type != JSON_SCAN_ARRAY)
        return body_refuse(ret, "contents", "contents must be a list", detail);
    if (is_there(&hits[WHOLE_MODEL]) &&
        !gemini_is_same_model(&hits[WHOLE_MODEL], ret->model, in->arena))
        return body_refuse(ret, "generateContentRequest.model",
                           "generateContentRequest.model must be the model of the path", detail);
    return ERR_OK;
}

enum err gemini_splice_count(const struct ai_request *r, struct slice body,
                             const struct ai_changes *c, struct arena *a,
                             struct slice ret[static AI_REQUEST_PIECES])
{
    const struct json_hit *model = &r->hits[WHOLE_MODEL];
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    ret[0] = body;
    if (!is_there(model))
        return ERR_OK;
    /* names of models are checked by the policy: they hold nothing that JSON would escape */
    struct slice name = arena_printf(a, "\"models/%.*s\"", SLICE_ARG(c->model));
    ret[0] = slice_first(body, (size_t)(model->raw.ptr - body.ptr));
    ret[1] = name;
    ret[2] = slice_from(body, ret[0].len + model->raw.len);
    return name.ptr ? ERR_OK : ERR_NOMEM;
}

/* ---- the body for a Gemini upstream: the limit is all that may be put in ---- */

static bool is_empty_object(struct slice raw)
{
    for (size_t i = 1; i + 1 < raw.len; i++)
        if (!strchr(" \t\r\n", raw.ptr[i]))
            return false;
    return true;
}

static const struct json_hit *null_of(const struct json_hit *hits, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (hits[i].type == JSON_SCAN_NULL)
            return &hits[i];
    return NULL;
}

static enum err put_at(struct slice body, size_t at, size_t skipped, struct slice text,
                       struct slice ret[static AI_REQUEST_PIECES])
{
    ret[0] = slice_first(body, at);
    ret[1] = text;
    ret[2] = slice_from(body, at + skipped);
    return text.ptr ? ERR_OK : ERR_NOMEM;
}

enum err gemini_splice_generate(const struct ai_request *r, struct slice body,
                                const struct ai_changes *c, struct arena *a,
                                struct slice ret[static AI_REQUEST_PIECES])
{
    const struct json_hit *config, *null;
    unsigned long long limit = c->output_limit;
    memset(ret, 0, AI_REQUEST_PIECES * sizeof(*ret));
    ret[0] = body;
    if (!limit || r->output_ceiling)
        return ERR_OK;
    if (one_of(&r->hits[CONFIG], 2, &config))
        return ERR_INVALID;
    if ((null = null_of(&r->hits[LIMIT], 4)))
        return put_at(body, (size_t)(null->raw.ptr - body.ptr), null->raw.len,
                      arena_printf(a, "%llu", limit), ret);
    if (config) /* behind its opening brace */
        return put_at(body, (size_t)(config->raw.ptr - body.ptr) + 1, 0,
                      arena_printf(a, "\"maxOutputTokens\":%llu%s", limit,
                                   is_empty_object(config->raw) ? "" : ","),
                      ret);
    if ((null = null_of(&r->hits[CONFIG], 2)))
        return put_at(body, (size_t)(null->raw.ptr - body.ptr), null->raw.len,
                      arena_printf(a, "{\"maxOutputTokens\":%llu}", limit), ret);
    /* a body is never an empty object: it has contents */
    return put_at(body, (size_t)slice_find(body, '{') + 1, 0,
                  arena_printf(a, "\"generationConfig\":{\"maxOutputTokens\":%llu},", limit), ret);
}
