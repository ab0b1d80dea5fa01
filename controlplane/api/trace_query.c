/* trace_query — pages, times and the attributes that spans are searched by. */
#include "controlplane/api/trace_query.h"

#include "common/base/clock.h"
#include "controlplane/api/cursor.h"

static enum err read_time(struct call *c, const char *name, int64_t *ret)
{
    struct slice text = call_query(c, name);
    if (text.ptr && clock_parse(text, ret) != ERR_OK) {
        (void)call_problem(c, PROBLEM_BAD_PARAMETER, "?%s= must be an RFC 3339 time", name);
        return ERR_INVALID;
    }
    return ERR_OK;
}

enum err trace_query_stretch(struct call *c, const char *from, const char *to, int64_t *ret_from,
                             int64_t *ret_to)
{
    int64_t first = 0, last = 0;
    enum err e = read_time(c, from, &first);
    if (e == ERR_OK)
        e = read_time(c, to, &last);
    if (e == ERR_OK && first != 0 && last != 0 && first > last) {
        (void)call_problem(c, PROBLEM_BAD_PARAMETER, "?%s= is after ?%s=", from, to);
        e = ERR_INVALID;
    }
    if (e != ERR_OK)
        return e;
    *ret_from = first;
    *ret_to = last;
    return ERR_OK;
}

enum err trace_query_page(struct call *c, struct trace_page *ret, char tag[static ID_MAX])
{
    struct trace_page page = {.org = slice_str(c->actor.org_id)};
    struct page asked;
    enum err e = cursor_page(c, &asked);
    if (e == ERR_OK)
        e = trace_query_stretch(c, "since", "until", &page.since, &page.until);
    if (e != ERR_OK)
        return e;
    page.limit = asked.limit;
    page.after_us = asked.at_us;
    if (asked.goes_on) {
        memcpy(tag, asked.id, ID_MAX);
        page.after_id = slice_str(tag);
    }
    *ret = page;
    return ERR_OK;
}

static enum err add_match(struct call *c, const struct span_attribute *a, struct slice value,
                          struct span_filter *f)
{
    int64_t number = 0;
    bool is_number = a->type == SPAN_TYPE_SMALL;
    if (is_number && (slice_i64(value, &number) != ERR_OK || number < 0 || number > INT32_MAX)) {
        (void)call_problem(c, PROBLEM_BAD_PARAMETER, "?%s= must be a number", a->shown);
        return ERR_INVALID;
    }
    f->matches[f->count++] = (struct span_match){.attribute = a, .value = value};
    return ERR_OK;
}

enum err trace_query_spans(struct call *c, struct span_filter *ret)
{
    size_t count;
    const struct span_attribute *rows = span_attributes_all(&count);
    enum err e = ERR_OK;
    *ret = (struct span_filter){.count = 0};
    for (size_t i = 0; i < count && e == ERR_OK; i++) {
        if (!span_attribute_is_searched(&rows[i]))
            continue;
        struct slice value = call_query(c, rows[i].shown);
        if (value.ptr)
            e = add_match(c, &rows[i], value, ret);
    }
    return e;
}

enum err trace_query_respond(struct call *c, json_t **items, const struct trace_next *next)
{
    char cursor[CURSOR_TEXT_MAX];
    json_t *more =
        next->more ? json_from(cursor_format(next->at_us, next->id, cursor)) : json_null();
    json_t *page = json_pack("{s:o,s:o}", "items", *items, "next", more);
    *items = NULL;
    return call_respond(c, 200, &page);
}
