/*
 * form — parts cut at their delimiters.
 */
#include "dataplane/ai/form.h"

#define BOUNDARY_MAX 70 /* RFC 2046 */

static bool is_token(char c)
{
    return c > ' ' && c < 127 && !strchr("()<>@,;:\\\"/[]?=", c);
}

/* One parameter behind a ';': name=value or name="value". false: there is none, or it is wrong. */
static bool take_parameter(struct slice *rest, struct slice *name, struct slice *value)
{
    struct slice s = slice_trim(*rest);
    size_t n = 0;
    if (!s.len || s.ptr[0] != ';')
        return false;
    s = slice_trim(slice_from(s, 1));
    while (n < s.len && is_token(s.ptr[n]))
        n++;
    *name = slice_first(s, n);
    s = slice_from(s, n);
    if (!n || !s.len || s.ptr[0] != '=')
        return false;
    s = slice_from(s, 1);
    bool quoted = s.len && s.ptr[0] == '"';
    n = quoted;
    while (n < s.len && (quoted ? s.ptr[n] != '"' : is_token(s.ptr[n]))) {
        n += quoted && s.ptr[n] == '\\' && n + 1 < s.len;
        n++;
    }
    if (quoted && n >= s.len)
        return false;
    *value = quoted ? slice_of(s.ptr + 1, n - 1) : slice_first(s, n);
    *rest = slice_from(s, n + quoted);
    return true;
}

struct slice form_boundary(struct slice content_type)
{
    const struct slice kind = SLICE("multipart/form-data");
    struct slice rest = slice_from(content_type, kind.len), name, value, found = SLICE_NONE;
    if (!slice_ieq(slice_first(content_type, kind.len), kind))
        return SLICE_NONE;
    while (take_parameter(&rest, &name, &value)) {
        if (!slice_ieq(name, SLICE("boundary")))
            continue;
        if (found.ptr)
            return SLICE_NONE;
        found = value;
    }
    bool fits = found.len && found.len <= BOUNDARY_MAX && !slice_trim(rest).len;
    return fits ? found : SLICE_NONE;
}

static bool read_disposition(struct slice line, struct slice *name, bool *file)
{
    const struct slice kind = SLICE("form-data");
    struct slice rest = slice_trim(line), parameter, value;
    *name = SLICE_NONE;
    *file = false;
    if (!slice_ieq(slice_first(rest, kind.len), kind))
        return false;
    rest = slice_from(rest, kind.len);
    while (take_parameter(&rest, &parameter, &value)) {
        bool is_name = slice_ieq(parameter, SLICE("name"));
        if (is_name && name->ptr)
            return false;
        if (is_name)
            *name = value;
        *file = *file || slice_ieq(slice_first(parameter, 8), SLICE("filename"));
    }
    return name->len && slice_find(*name, '\\') < 0 && !slice_trim(rest).len;
}

/* The head of a part, up to its empty line. */
static bool read_head(struct slice head, struct slice *name, bool *file)
{
    const struct slice wanted = SLICE("content-disposition:");
    bool found = false;
    while (head.len) {
        ptrdiff_t end = slice_search(head, SLICE("\r\n"));
        struct slice line = end < 0 ? head : slice_first(head, (size_t)end);
        head = end < 0 ? slice_from(head, head.len) : slice_from(head, (size_t)end + 2);
        if (!slice_ieq(slice_first(line, wanted.len), wanted))
            continue;
        if (found || !read_disposition(slice_from(line, wanted.len), name, file))
            return false;
        found = true;
    }
    return found;
}

/* Takes one part off the front of *rest, which stands behind a delimiter's line. */
static bool take_part(struct slice *rest, struct slice delimiter, struct slice *part)
{
    struct slice from = *rest;
    for (;;) {
        ptrdiff_t at = slice_search(from, delimiter);
        if (at < 0)
            return false;
        struct slice behind = slice_from(from, (size_t)at + delimiter.len);
        if (slice_starts(behind, SLICE("\r\n")) || slice_starts(behind, SLICE("--"))) {
            *part = slice_of(rest->ptr, (size_t)(from.ptr + at - rest->ptr));
            *rest = behind;
            return true;
        }
        from = behind; /* a longer word that begins like it */
    }
}

enum err form_read(struct slice body, struct slice boundary,
                   bool (*fn)(void *arg, struct slice name, bool file, struct slice value),
                   void *arg, const char **problem)
{
    char text[BOUNDARY_MAX + 4];
    struct slice delimiter, part, name, rest;
    bool file;
    *problem = "the form has no end";
    if (!boundary.len || boundary.len > BOUNDARY_MAX)
        return ERR_INVALID;
    char *to = slice_put(slice_put(text, SLICE("\r\n--")), boundary);
    delimiter = slice_of(text, (size_t)(to - text));
    if (!slice_starts(body, slice_from(delimiter, 2))) {
        *problem = "the form does not begin with its boundary";
        return ERR_INVALID;
    }
    rest = slice_from(body, delimiter.len - 2);
    for (size_t i = 0; !slice_starts(rest, SLICE("--")); i++) {
        if (!slice_starts(rest, SLICE("\r\n")) || i >= FORM_PARTS_MAX) {
            *problem = i >= FORM_PARTS_MAX ? "the form has too many parts"
                                           : "a boundary of the form does not end its line";
            return ERR_INVALID;
        }
        rest = slice_from(rest, 2);
        if (!take_part(&rest, delimiter, &part))
            return ERR_INVALID;
        ptrdiff_t end = slice_search(part, SLICE("\r\n\r\n"));
        if (end < 0 || !read_head(slice_first(part, (size_t)end), &name, &file)) {
            *problem = "a part of the form has no name";
            return ERR_INVALID;
        }
        if (!fn(arg, name, file, slice_from(part, (size_t)end + 4)))
            return ERR_OK;
    }
    return ERR_OK;
}
