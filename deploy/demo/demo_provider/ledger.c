/* ledger — an array that grows. */
#include "deploy/demo/demo_provider/ledger.h"

#include <stdio.h>

#include "common/base/mem.h"

struct ledger {
    struct ledger_entry *entries;
    size_t count, capacity, calls;
};

struct ledger *ledger_new(void)
{
    return mem_zalloc(sizeof(struct ledger));
}

void ledger_free(struct ledger *l)
{
    if (l)
        mem_free(l->entries);
    mem_free(l);
}

void ledger_clear(struct ledger *l)
{
    l->count = l->calls = 0;
}

static bool grow(struct ledger *l)
{
    if (l->count < l->capacity)
        return true;
    size_t capacity = l->capacity ? l->capacity * 2 : 1024;
    if (capacity > LEDGER_MAX)
        capacity = LEDGER_MAX;
    struct ledger_entry *grown =
        l->count < capacity ? mem_realloc(l->entries, capacity * sizeof(*grown)) : NULL;
    if (!grown)
        return false;
    l->entries = grown;
    l->capacity = capacity;
    return true;
}

static void keep(char *to, size_t capacity, struct slice s)
{
    snprintf(to, capacity, "%.*s", SLICE_ARG(slice_first(s, capacity - 1)));
}

size_t ledger_open(struct ledger *l, struct slice traceparent, struct slice model,
                   uint32_t prompt_tokens, bool streamed)
{
    l->calls++;
    if (!grow(l))
        return SIZE_MAX;
    struct ledger_entry *e = &l->entries[l->count];
    *e = (struct ledger_entry){.prompt_tokens = prompt_tokens, .streamed = streamed};
    keep(e->traceparent, sizeof(e->traceparent), traceparent);
    keep(e->model, sizeof(e->model), model);
    return l->count++;
}

void ledger_sent(struct ledger *l, size_t entry, uint32_t completion_tokens)
{
    if (entry < l->count)
        l->entries[entry].completion_tokens = completion_tokens;
}

void ledger_complete(struct ledger *l, size_t entry)
{
    if (entry < l->count)
        l->entries[entry].complete = true;
}

static enum err write_entry(const struct ledger_entry *e, bool first, struct buf *out)
{
    enum err err = buf_printf(out, "%s{\"traceparent\":", first ? "" : ",\n");
    if (err == ERR_OK)
        err = buf_json_string(out, slice_str(e->traceparent));
    if (err == ERR_OK)
        err = buf_append(out, SLICE(",\"model\":"));
    if (err == ERR_OK)
        err = buf_json_string(out, slice_str(e->model));
    if (err == ERR_OK)
        err = buf_printf(out,
                         ",\"prompt_tokens\":%u,\"completion_tokens\":%u,\"streamed\":%s,"
                         "\"complete\":%s}",
                         e->prompt_tokens, e->completion_tokens, e->streamed ? "true" : "false",
                         e->complete ? "true" : "false");
    return err;
}

enum err ledger_write(const struct ledger *l, struct buf *out)
{
    enum err e = buf_printf(out, "{\"calls\":%zu,\"entries\":[", l->calls);
    for (size_t i = 0; e == ERR_OK && i < l->count; i++)
        e = write_entry(&l->entries[i], i == 0, out);
    return e == ERR_OK ? buf_append(out, SLICE("]}\n")) : e;
}
