/*
 * fuzz_form — the first line is a Content-Type, the rest a body: what is given as a part lies in
 * the body, in order, and parts do not overlap; and pieces of any length say what the whole says.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/ai/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    const char *from, *end;
    size_t count;
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static bool see(void *arg, const struct form_part *p)
{
    struct seen *s = arg;
    must(p->name.len > 0 && p->name.ptr >= s->from, "a name lies behind the part before");
    must(p->value.ptr > p->name.ptr && p->value.ptr + p->value.len <= s->end,
         "a value lies in the body");
    s->from = p->value.ptr + p->value.len;
    s->count++;
    return true;
}

/* ---- in pieces ---- */

struct told {
    uint64_t hash;
    size_t count;
};

static void add(struct told *t, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        t->hash = (t->hash ^ (unsigned char)text.ptr[i]) * 1099511628211u;
    t->hash = (t->hash ^ text.len) * 1099511628211u;
}

static bool tell(void *arg, const struct form_part *p)
{
    struct told *t = arg;
    must(p->value.len <= FORM_VALUE_MAX, "the beginning of a value is kept");
    must(!p->whole || p->end >= p->begin, "a part ends behind its beginning");
    must(!p->whole || p->file || p->end - p->begin <= FORM_VALUE_MAX
             ? !p->whole || p->file || p->value.len == p->end - p->begin
             : p->value.len == FORM_VALUE_MAX,
         "a short value is kept to its end");
    add(t, p->name);
    add(t, p->value);
    add(t, slice_of((const char *)&p->begin, sizeof(p->begin)));
    add(t, slice_of((const char *)&p->end, sizeof(p->end)));
    t->count += p->whole;
    return true;
}

static enum err scan(struct slice body, struct slice boundary, size_t each, struct told *t,
                     bool *whole)
{
    struct form_scan s;
    enum err e = ERR_OK;
    form_scan_init(&s, boundary, tell, t);
    for (; !e && body.len; body = slice_from(body, each))
        e = form_scan_feed(&s, slice_first(body, each));
    *whole = form_scan_is_whole(&s);
    return e;
}

static bool look(void *arg, const struct form_part *p)
{
    (void)arg;
    (void)p;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of(data, size), type;
    const char *problem = NULL;
    if (!slice_split(&all, '\n', &type) || !all.ptr)
        return 0;
    struct slice boundary = form_boundary(type);
    struct seen s = {.from = all.ptr, .end = all.ptr + all.len};
    if (!boundary.ptr)
        return 0;
    must(boundary.len > 0, "a boundary is something");
    enum err e = form_read(all, boundary, see, &s, &problem);
    must(!e || problem, "a refusal says why");
    must(s.count <= FORM_PARTS_MAX, "parts are bounded");

    const size_t lengths[] = {1, 2, 7, all.len + 1};
    struct told first = {0};
    bool whole = false;
    enum err one = scan(all, boundary, all.len + 1, &first, &whole);
    must(e == (one || !whole ? ERR_INVALID : ERR_OK), "both ways agree on what is a form");
    must(first.count == s.count, "both ways find the same parts");
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct told again = {0};
        bool same;
        must(scan(all, boundary, lengths[i], &again, &same) == one && same == whole,
             "pieces end as the whole does");
        must(again.hash == first.hash && again.count == first.count, "pieces say the same");
    }
    (void)!form_read_front(slice_first(all, all.len / 2), boundary, look, NULL, &problem);
    return 0;
}
