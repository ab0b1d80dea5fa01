/*
 * fuzz_form — the first line is a Content-Type, the rest a body: what is given as a part lies in the
 * body, in order, and parts do not overlap.
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

static bool see(void *arg, struct slice name, bool file, struct slice value)
{
    struct seen *s = arg;
    (void)file;
    must(name.len > 0 && name.ptr >= s->from, "a name lies behind the part before");
    must(value.ptr > name.ptr && value.ptr + value.len <= s->end, "a value lies in the body");
    s->from = value.ptr + value.len;
    s->count++;
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
    return 0;
}
