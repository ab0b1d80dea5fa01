/*
 * fuzz_json_scan — the scanner against jansson: one body must not have two readings.
 *
 * Both accept a text or both refuse it, and where both accept, every wanted member has the
 * same type and value in both. The differences that are meant, each checked by its cause:
 *
 *   only the scanner accepts
 *     - a doubled member in an object no gate reads: refusing it needs memory for every name of
 * every object, and no decision depends on it
 *     - a number beyond int64 or double: the grammar has no range, and a number that no gate reads
 * is passed on as it stands
 *     - U+0000 in a member name of such an object: jansson keeps names as C strings
 *     - half of a surrogate pair, outside of the names that a gate reads
 *   only jansson accepts
 *     - depth over LIMIT_JSON_DEPTH (jansson: 2048)
 *     - a name that equals a wanted one, or another of its object, but for its case
 *     - more than LIMIT_JSON_MEMBERS members, or a name over LIMIT_JSON_NAME, in a read object
 *     - a NUL byte behind a number: jansson 2.14 loses it ("[1\0]" is read as [1]); common/base/
 *       json refuses such a text before jansson sees it
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/json.h"
#include "common/base/json_scan.h"
#include "common/base/json_token.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const wants[] = {"model",      "stream",   "stream_options.include_usage",
                                    "max_tokens", "messages", "a",
                                    "a.b",        "a.b.c",    ""};
#define WANTS ARRAY_LEN(wants)

static void differ(struct slice body, const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n%.*s\n", what, detail, SLICE_ARG(body));
    abort();
}

static bool tree_may_refuse(struct slice body, const json_error_t *error)
{
    if (!json_token_is_clear(body))
        return true;
    enum json_error_code code = json_error_code(error);
    return code == json_error_duplicate_key || code == json_error_numeric_overflow ||
           code == json_error_null_byte_in_key;
}

static bool scan_may_refuse(struct slice body, const struct json_scan_problem *problem)
{
    return strstr(problem->text, "deeper than allowed") ||
           strstr(problem->text, "is written differently from") ||
           strstr(problem->text, "but for the case of its letters") ||
           strstr(problem->text, "holds a NUL or half") ||
           strstr(problem->text, "too many members") || strstr(problem->text, "name is too long") ||
           memchr(body.ptr, '\0', body.len);
}

static enum json_type type_in_tree(const json_t *v)
{
    if (!v)
        return JSON_SCAN_ABSENT;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return JSON_SCAN_OBJECT;
    case JSON_ARRAY:
        return JSON_SCAN_ARRAY;
    case JSON_STRING:
        return JSON_SCAN_STRING;
    case JSON_TRUE:
        return JSON_SCAN_TRUE;
    case JSON_FALSE:
        return JSON_SCAN_FALSE;
    case JSON_NULL:
        return JSON_SCAN_NULL;
    default:
        return JSON_SCAN_NUMBER;
    }
}

static const json_t *find(const json_t *v, const char *path)
{
    char segment[64];
    for (;;) {
        size_t len = strcspn(path, ".");
        snprintf(segment, sizeof(segment), "%.*s", (int)len, path);
        v = json_object_get(v, segment);
        if (!path[len])
            return v;
        path += len + 1;
    }
}

static void compare_text(struct slice body, const struct json_hit *hit, const json_t *v)
{
    char *out = malloc(hit->raw.len);
    struct slice text;
    if (!json_token_is_clear(hit->raw)) { /* both read it, and no gate does */
        free(out);
        return;
    }
    if (!out || json_scan_text(hit, out, hit->raw.len, &text) ||
        !slice_eq(text, slice_of(json_string_value(v), json_string_length(v))))
        differ(body, "two texts", "");
    free(out);
}

static void compare_array(struct slice body, const struct json_hit *hit, const json_t *v)
{
    struct slice rest = hit->raw;
    struct json_hit item;
    size_t n = 0;
    while (json_scan_item(&rest, &item)) {
        if (item.type != type_in_tree(json_array_get(v, n++)))
            differ(body, "two items", "");
    }
    if (n != json_array_size(v))
        differ(body, "two arrays", "");
}

/* A name with an escape is found in the tree by another spelling. */
static void compare_object(struct slice body, const struct json_hit *hit, const json_t *v)
{
    struct slice rest = hit->raw, name;
    struct json_hit member;
    size_t n = 0;
    for (; json_scan_member(&rest, &name, &member); n++) {
        const json_t *found = json_object_getn(v, name.ptr, name.len);
        if (slice_find(name, '\\') < 0 && (!found || member.type != type_in_tree(found)))
            differ(body, "two members", "");
    }
    if (n != json_object_size(v))
        differ(body, "two objects", "");
}

static void compare(struct slice body, const char *path, const struct json_hit *hit,
                    const json_t *v)
{
    uint64_t number;
    if (hit->type != type_in_tree(v))
        differ(body, "two types", path);
    if (hit->type == JSON_SCAN_STRING)
        compare_text(body, hit, v);
    if (hit->type == JSON_SCAN_ARRAY)
        compare_array(body, hit, v);
    if (hit->type == JSON_SCAN_OBJECT)
        compare_object(body, hit, v);
    if (json_is_integer(v) && hit->raw.ptr[0] != '-' &&
        (json_scan_u64(hit, &number) || number != (uint64_t)json_integer_value(v)))
        differ(body, "two numbers", path);
    if (json_is_real(v) && json_scan_u64(hit, &number) == ERR_OK)
        differ(body, "a real is no integer", path);
}

/* What is found in a whole body is found again from the member on at which it begins. */
static void compare_rest(struct slice body, const struct json_hit *hits)
{
    struct json_hit again[WANTS];
    for (size_t i = 0; i < WANTS; i++) {
        if (hits[i].type == JSON_SCAN_ABSENT || strchr(wants[i], '.'))
            continue;
        struct slice rest = slice_from(body, (size_t)(hits[i].member.ptr - body.ptr));
        if (json_scan_rest(rest, wants, WANTS, again, NULL))
            differ(body, "its end is refused", wants[i]);
        if (again[i].type != hits[i].type || again[i].raw.ptr != hits[i].raw.ptr ||
            again[i].raw.len != hits[i].raw.len)
            differ(body, "its end reads differently", wants[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_of(data, size);
    struct json_hit hits[WANTS];
    struct json_scan_problem problem = {0, ""};
    enum json_type root = JSON_SCAN_ABSENT;
    json_error_t error = {0};
    bool scanned = json_scan(body, wants, WANTS, hits, &root, &problem) == ERR_OK;
    json_t *tree = json_loadb((const char *)data, size,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (scanned && !tree && !tree_may_refuse(body, &error))
        differ(body, "only the scanner accepts", error.text);
    if (!scanned && tree && !scan_may_refuse(body, &problem))
        differ(body, "only the tree accepts", problem.text);
    if (!scanned && (!problem.text[0] || problem.at > size))
        differ(body, "a refusal without its reason", problem.text);
    if (scanned && tree) {
        if (root != type_in_tree(tree))
            differ(body, "two roots", "");
        for (size_t i = 0; i < WANTS; i++)
            compare(body, wants[i], &hits[i], find(tree, wants[i]));
    }
    json_decref(tree);
    if (scanned)
        compare_rest(body, hits);
    /* any bytes: whatever they are, reading them stays inside */
    enum err e = json_scan_rest(body, wants, WANTS, hits, &problem);
    if (e && (!problem.text[0] || problem.at > size))
        differ(body, "a refusal of an end without its reason", problem.text);
    return 0;
}
