/*
 * metric — one array of cells per set; a row knows where its cells begin.
 */
#include "common/base/metric.h"

#include "common/base/mem.h"
#include "common/base/metric_pairs.h"

struct metric_set {
    const struct metric_row *rows;
    size_t count;
    size_t *first; /* of each row; first[count] is the number of cells */
    _Atomic int64_t *cells;
    struct metric_pairs *pairs;
};

/* a histogram: its buckets, +Inf, and the sum in microseconds */
#define HISTOGRAM_INF METRIC_BUCKETS
#define HISTOGRAM_SUM (METRIC_BUCKETS + 1)
#define HISTOGRAM_CELLS (METRIC_BUCKETS + 2)

static size_t value_count(const struct metric_row *row)
{
    size_t n = 0;
    while (row->values && row->values[n])
        n++;
    return n ? n : 1;
}

static size_t cell_count(const struct metric_row *row)
{
    if (row->kind == METRIC_PAIRS)
        return 0;
    return row->kind == METRIC_HISTOGRAM ? HISTOGRAM_CELLS : value_count(row);
}

struct metric_set *metric_set_new(const struct metric_row *rows, size_t count)
{
    struct metric_set *s = mem_zalloc(sizeof(*s));
    size_t *first = mem_array(count + 1, sizeof(*first));
    size_t cells = 0, pairs = 0;
    for (size_t i = 0; first && i < count; i++) {
        MUST(rows[i].kind != METRIC_HISTOGRAM || !rows[i].label);
        pairs += rows[i].kind == METRIC_PAIRS;
        first[i] = cells;
        cells += cell_count(&rows[i]);
    }
    /* zeroed memory is a valid atomic zero on every machine we build for */
    _Atomic int64_t *memory = mem_array(cells, sizeof(*memory));
    struct metric_pairs *of_two = metric_pairs_new(pairs);
    if (!s || !first || !memory || !of_two) {
        metric_pairs_free(of_two);
        mem_free(s);
        mem_free(first);
        mem_free(memory);
        return NULL;
    }
    first[count] = cells;
    *s = (struct metric_set){
        .rows = rows, .count = count, .first = first, .cells = memory, .pairs = of_two};
    return s;
}

void metric_set_free(struct metric_set *s)
{
    if (!s)
        return;
    metric_pairs_free(s->pairs);
    mem_free(s->first);
    mem_free(s->cells);
    mem_free(s);
}

static _Atomic int64_t *cell(struct metric_set *s, size_t row, size_t index)
{
    MUST(row < s->count && index < s->first[row + 1] - s->first[row]);
    return &s->cells[s->first[row] + index];
}

void metric_add(struct metric_set *s, size_t row, size_t value_index, int64_t delta)
{
    atomic_fetch_add_explicit(cell(s, row, value_index), delta, memory_order_relaxed);
}

void metric_put(struct metric_set *s, size_t row, size_t value_index, int64_t value)
{
    atomic_store_explicit(cell(s, row, value_index), value, memory_order_relaxed);
}

static uint64_t next_bound(uint64_t bound, size_t i)
{
    return i % 3 == 1 ? bound / 2 * 5 : bound * 2; /* 1, 2, 5, 10 */
}

void metric_observe_us(struct metric_set *s, size_t row, uint64_t us)
{
    uint64_t bound = 1;
    size_t i = 0;
    MUST(s->rows[row].kind == METRIC_HISTOGRAM);
    while (i < METRIC_BUCKETS && us > bound)
        bound = next_bound(bound, i++);
    metric_add(s, row, i, 1);
    metric_add(s, row, HISTOGRAM_SUM, us > INT64_MAX ? INT64_MAX : (int64_t)us);
}

/* Its place among the rows of pairs. */
static size_t pair_row(const struct metric_set *s, size_t row)
{
    size_t n = 0;
    MUST(row < s->count && s->rows[row].kind == METRIC_PAIRS);
    for (size_t i = 0; i < row; i++)
        n += s->rows[i].kind == METRIC_PAIRS;
    return n;
}

void metric_observe_pair_us(struct metric_set *s, size_t row, struct slice first,
                            struct slice second, uint64_t us)
{
    metric_pairs_observe_us(s->pairs, pair_row(s, row), first, second, us);
}

/* ---- the exposition text ---- */

static int64_t sum(struct metric_set *const *sets, size_t n, size_t row, size_t index)
{
    int64_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += atomic_load_explicit(cell(sets[i], row, index), memory_order_relaxed);
    return total;
}

/* help escapes backslash and newline; a label's value the quote too */
static enum err put_escaped(struct buf *out, const char *text, bool quote)
{
    enum err e = ERR_OK;
    for (const char *p = text; *p && !e; p++) {
        if (*p == '\n')
            e = buf_append(out, SLICE("\\n"));
        else if (*p == '\\' || (*p == '"' && quote))
            e = buf_printf(out, "\\%c", *p);
        else
            e = buf_append(out, slice_of(p, 1));
    }
    return e;
}

static enum err put_head(struct buf *out, const struct metric_row *row)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram", "histogram"};
    enum err e = buf_printf(out, "# HELP %s ", row->name);
    if (!e)
        e = put_escaped(out, row->help, false);
    if (!e)
        e = buf_printf(out, "\n# TYPE %s %s\n", row->name, kinds[row->kind]);
    return e;
}

static enum err put_seconds(struct buf *out, uint64_t us)
{
    return buf_printf(out, "%llu.%06llu", (unsigned long long)(us / 1000000),
                      (unsigned long long)(us % 1000000));
}

static enum err put_bucket(struct buf *out, const char *name, size_t i, uint64_t bound,
                           int64_t seen)
{
    enum err e = buf_printf(out, "%s_bucket{le=\"", name);
    if (!e)
        e = i == HISTOGRAM_INF ? buf_append(out, SLICE("+Inf")) : put_seconds(out, bound);
    return e ? e : buf_printf(out, "\"} %lld\n", (long long)seen);
}

static enum err put_histogram(struct buf *out, struct metric_set *const *sets, size_t n, size_t row)
{
    const char *name = sets[0]->rows[row].name;
    int64_t seen = 0;
    uint64_t bound = 1;
    enum err e = ERR_OK;
    for (size_t i = 0; i <= HISTOGRAM_INF && !e; i++) {
        seen += sum(sets, n, row, i);
        e = put_bucket(out, name, i, bound, seen);
        bound = next_bound(bound, i);
    }
    if (!e)
        e = buf_printf(out, "%s_sum ", name);
    if (!e)
        e = put_seconds(out, (uint64_t)sum(sets, n, row, HISTOGRAM_SUM));
    /* the count is the last bucket by definition, so both come from one reading */
    return e ? e : buf_printf(out, "\n%s_count %lld\n", name, (long long)seen);
}

static enum err put_values(struct buf *out, struct metric_set *const *sets, size_t n, size_t row)
{
    const struct metric_row *r = &sets[0]->rows[row];
    enum err e = ERR_OK;
    for (size_t i = 0; i < value_count(r) && !e; i++) {
        e = buf_append(out, slice_str(r->name));
        if (!e && r->label) {
            e = buf_printf(out, "{%s=\"", r->label);
            if (!e)
                e = put_escaped(out, r->values[i], true);
            if (!e)
                e = buf_append(out, SLICE("\"}"));
        }
        if (!e)
            e = buf_printf(out, " %lld\n", (long long)sum(sets, n, row, i));
    }
    return e;
}

static enum err put_pairs(struct buf *out, struct metric_set *const *sets, size_t n, size_t row)
{
    struct metric_pairs *pairs[METRIC_SETS_MAX];
    const struct metric_row *r = &sets[0]->rows[row];
    MUST(n <= METRIC_SETS_MAX);
    for (size_t i = 0; i < n; i++)
        pairs[i] = sets[i]->pairs;
    return metric_pairs_render(pairs, n, pair_row(sets[0], row), r->name, r->values, out);
}

static enum err put_row(struct buf *out, struct metric_set *const *sets, size_t n, size_t row)
{
    switch (sets[0]->rows[row].kind) {
    case METRIC_HISTOGRAM:
        return put_histogram(out, sets, n, row);
    case METRIC_PAIRS:
        return put_pairs(out, sets, n, row);
    case METRIC_COUNTER:
    case METRIC_GAUGE:
        break;
    }
    return put_values(out, sets, n, row);
}

enum err metric_render(struct metric_set *const *sets, size_t n, struct buf *out)
{
    size_t before = out->len;
    enum err e = ERR_OK;
    MUST(n > 0);
    for (size_t row = 0; row < sets[0]->count && !e; row++) {
        e = put_head(out, &sets[0]->rows[row]);
        if (!e)
            e = put_row(out, sets, n, row);
    }
    if (e)
        out->len = before;
    return e;
}
