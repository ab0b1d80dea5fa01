/* metric_pairs — a list that only grows; its length is published after what it counts. */
#include "common/base/metric_pairs.h"

#include "common/base/mem.h"
#include "common/base/utf8.h"

/* Upper bounds in microseconds: a model answers within tenths of a second, or within minutes. */
static const uint32_t bounds[] = {10000,    25000,    50000,     100000,    250000,
                                  500000,   1000000,  2500000,   5000000,   10000000,
                                  30000000, 60000000, 120000000, 300000000, 600000000};
#define BOUNDS ARRAY_LEN(bounds)

struct cells {
    _Atomic int64_t buckets[BOUNDS + 1]; /* the last is +Inf */
    _Atomic int64_t sum_us;
};

struct pair {
    char names[2][METRIC_PAIRS_NAME];
    struct cells rows[];
};

struct metric_pairs {
    size_t rows;
    struct pair *last; /* the one that was used last */
    atomic_size_t count;
    struct pair *of[METRIC_PAIRS_MAX];
};

struct metric_pairs *metric_pairs_new(size_t rows)
{
    struct metric_pairs *p = mem_zalloc(sizeof(*p));
    if (p)
        p->rows = rows;
    return p;
}

void metric_pairs_free(struct metric_pairs *p)
{
    size_t n = p ? atomic_load(&p->count) : 0;
    for (size_t i = 0; i < n; i++)
        mem_free(p->of[i]);
    mem_free(p);
}

static bool is_named(const char *name, struct slice text)
{
    size_t len = text.len < METRIC_PAIRS_NAME - 1 ? text.len : METRIC_PAIRS_NAME - 1;
    return strncmp(name, text.ptr ? text.ptr : "", len) == 0 &&
           (name[len] == '\0' || text.len > METRIC_PAIRS_NAME - 1);
}

static bool is_pair(const struct pair *p, struct slice first, struct slice second)
{
    return is_named(p->names[0], first) && is_named(p->names[1], second);
}

static void put_name(char out[static METRIC_PAIRS_NAME], struct slice text)
{
    size_t len = text.len < METRIC_PAIRS_NAME - 1 ? text.len : METRIC_PAIRS_NAME - 1;
    if (len)
        memcpy(out, text.ptr, len);
    out[utf8_whole(out, len)] = '\0';
}

static struct pair *add(struct metric_pairs *p, size_t n, struct slice first, struct slice second)
{
    struct pair *one = mem_zalloc(sizeof(*one) + p->rows * sizeof(one->rows[0]));
    if (!one)
        return NULL;
    put_name(one->names[0], first);
    put_name(one->names[1], second);
    p->of[n] = one;
    atomic_store_explicit(&p->count, n + 1, memory_order_release);
    return one;
}

static struct pair *find(struct metric_pairs *p, struct slice first, struct slice second)
{
    size_t n = atomic_load_explicit(&p->count, memory_order_relaxed);
    for (size_t i = 0; i < n; i++)
        if (is_pair(p->of[i], first, second))
            return p->of[i];
    if (n == METRIC_PAIRS_MAX)
        return p->of[n - 1];
    return n == METRIC_PAIRS_MAX - 1 ? add(p, n, SLICE("other"), SLICE("other"))
                                     : add(p, n, first, second);
}

void metric_pairs_observe_us(struct metric_pairs *p, size_t row, struct slice first,
                             struct slice second, uint64_t us)
{
    size_t i = 0;
    MUST(row < p->rows);
    if (!p->last || !is_pair(p->last, first, second))
        p->last = find(p, first, second);
    if (!p->last)
        return;
    struct cells *c = &p->last->rows[row];
    while (i < BOUNDS && us > bounds[i])
        i++;
    atomic_fetch_add_explicit(&c->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->sum_us, us > INT64_MAX ? INT64_MAX : (int64_t)us,
                              memory_order_relaxed);
}

/* ---- the exposition text ---- */

static size_t count_of(const struct metric_pairs *p)
{
    return atomic_load_explicit(&p->count, memory_order_acquire);
}

static bool is_same(const struct pair *a, const struct pair *b)
{
    return strcmp(a->names[0], b->names[0]) == 0 && strcmp(a->names[1], b->names[1]) == 0;
}

/* Whether a set before this one has it, so that it was shown. */
static bool is_shown(struct metric_pairs *const *sets, size_t before, const struct pair *one)
{
    for (size_t i = 0; i < before; i++)
        for (size_t k = 0; k < count_of(sets[i]); k++)
            if (is_same(sets[i]->of[k], one))
                return true;
    return false;
}

struct sums {
    int64_t buckets[BOUNDS + 1], sum_us;
};

static void add_up(struct metric_pairs *const *sets, size_t n, size_t row, const struct pair *one,
                   struct sums *ret)
{
    *ret = (struct sums){.sum_us = 0};
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < count_of(sets[i]); k++) {
            struct pair *p = sets[i]->of[k];
            if (!is_same(p, one))
                continue;
            for (size_t b = 0; b <= BOUNDS; b++)
                ret->buckets[b] +=
                    atomic_load_explicit(&p->rows[row].buckets[b], memory_order_relaxed);
            ret->sum_us += atomic_load_explicit(&p->rows[row].sum_us, memory_order_relaxed);
        }
    }
}

static enum err put_value(struct buf *out, const char *text)
{
    enum err e = ERR_OK;
    for (const char *p = text; *p && !e; p++) {
        if (*p == '\n')
            e = buf_append(out, SLICE("\\n"));
        else
            e = buf_printf(out, *p == '\\' || *p == '"' ? "\\%c" : "%c", *p);
    }
    return e;
}

/* {provider="a",model="b" */
static enum err put_labels(struct buf *out, const char *const labels[2], const struct pair *one)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < 2 && !e; i++) {
        e = buf_printf(out, "%c%s=\"", i ? ',' : '{', labels[i]);
        if (!e)
            e = put_value(out, one->names[i]);
        if (!e)
            e = buf_append(out, SLICE("\""));
    }
    return e;
}

static enum err put_line(struct buf *out, const char *name, const char *suffix,
                         const char *const labels[2], const struct pair *one)
{
    enum err e = buf_printf(out, "%s_%s", name, suffix);
    return e ? e : put_labels(out, labels, one);
}

static enum err put_pair(struct buf *out, const char *name, const char *const labels[2],
                         const struct pair *one, const struct sums *s)
{
    int64_t seen = 0;
    enum err e = ERR_OK;
    for (size_t b = 0; b <= BOUNDS && !e; b++) {
        seen += s->buckets[b];
        e = put_line(out, name, "bucket", labels, one);
        if (!e && b < BOUNDS)
            e = buf_printf(out, ",le=\"%u.%03u\"} %lld\n", bounds[b] / 1000000,
                           bounds[b] / 1000 % 1000, (long long)seen);
        else if (!e)
            e = buf_printf(out, ",le=\"+Inf\"} %lld\n", (long long)seen);
    }
    if (!e)
        e = put_line(out, name, "sum", labels, one);
    if (!e)
        e = buf_printf(out, "} %lld.%06lld\n", (long long)(s->sum_us / 1000000),
                       (long long)(s->sum_us % 1000000));
    if (!e)
        e = put_line(out, name, "count", labels, one);
    return e ? e : buf_printf(out, "} %lld\n", (long long)seen);
}

enum err metric_pairs_render(struct metric_pairs *const *sets, size_t n, size_t row,
                             const char *name, const char *const labels[2], struct buf *out)
{
    struct sums s;
    enum err e = ERR_OK;
    for (size_t i = 0; i < n && !e; i++) {
        for (size_t k = 0; k < count_of(sets[i]) && !e; k++) {
            const struct pair *one = sets[i]->of[k];
            if (is_shown(sets, i, one))
                continue;
            add_up(sets, n, row, one, &s);
            int64_t all = 0;
            for (size_t b = 0; b <= BOUNDS; b++)
                all += s.buckets[b];
            if (all > 0)
                e = put_pair(out, name, labels, one, &s);
        }
    }
    return e;
}
