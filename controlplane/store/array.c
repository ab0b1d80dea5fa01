/* array — the literal's grammar is PostgreSQL's (section 8.15.6, "Array Input and Output Syntax").
 */
#include "controlplane/store/array.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "controlplane/store/clean.h"

void array_init(struct array *a)
{
    buf_init(&a->text, LIMIT_SQL_ARRAY);
    a->count = 0;
    a->failed = a->closed = false;
}

void array_fini(struct array *a)
{
    buf_fini(&a->text);
}

static void put(struct array *a, struct slice s)
{
    if (!a->failed && buf_append(&a->text, s) != ERR_OK)
        a->failed = true;
}

static void next(struct array *a)
{
    MUST(!a->closed);
    put(a, a->count++ == 0 ? SLICE("{") : SLICE(","));
}

void array_text(struct array *a, struct slice value)
{
    if (!value.ptr) {
        array_null(a);
        return;
    }
    next(a);
    put(a, SLICE("\""));
    size_t from = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != '"' && value.ptr[i] != '\\')
            continue;
        put(a, slice_of(value.ptr + from, i - from));
        put(a, SLICE("\\"));
        from = i;
    }
    put(a, slice_from(value, from));
    put(a, SLICE("\""));
}

void array_int(struct array *a, int64_t value)
{
    next(a);
    if (!a->failed && buf_printf(&a->text, "%lld", (long long)value) != ERR_OK)
        a->failed = true;
}

void array_time(struct array *a, int64_t wall_us)
{
    char text[CLOCK_TEXT_MAX];
    next(a);
    put(a, SLICE("\""));
    put(a, clock_format(clean_time(wall_us), text));
    put(a, SLICE("\""));
}

void array_null(struct array *a)
{
    next(a);
    put(a, SLICE("NULL"));
}

struct db_param array_param(struct array *a)
{
    if (!a->closed)
        put(a, a->count == 0 ? SLICE("{}") : SLICE("}"));
    a->closed = true;
    return a->failed ? DB_NULL : DB_TEXT(buf_slice(&a->text));
}

bool array_failed(const struct array *a)
{
    return a->failed;
}
