/*
 * fuzz_sse — events are the same however the stream is cut, the same as a reader that follows the
 * standard line by line, and all raw pieces together are what came in.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/net/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    struct buf text; /* one entry for each event that has data */
    struct buf raw;
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void add(struct buf *out, struct slice s)
{
    must(buf_printf(out, "%zu:", s.len) == ERR_OK && buf_append(out, s) == ERR_OK, "room");
}

static bool hear(void *arg, const struct sse_event *e)
{
    struct heard *h = arg;
    must(buf_append(&h->raw, e->raw) == ERR_OK, "room");
    if (e->has_data) {
        add(&h->text, e->event);
        add(&h->text, e->data);
    }
    return true;
}

static void read_cut(struct slice bytes, uint32_t seed, struct heard *h)
{
    struct sse_reader r;
    sse_reader_init(&r);
    while (bytes.len) {
        seed = seed ? seed * 1664525u + 1013904223u : 0;
        struct slice piece = slice_first(bytes, seed ? (seed >> 16) % 7 + 1 : bytes.len);
        must(sse_reader_feed(&r, piece, hear, h) == ERR_OK, "feed");
        bytes = slice_from(bytes, piece.len);
    }
    must(buf_append(&h->raw, sse_reader_rest(&r)) == ERR_OK, "room");
    sse_reader_fini(&r);
}

/* WHATWG HTML 9.2.6, as it stands there: lines, then fields, then a dispatch at each empty line. */
static void read_plain(struct slice bytes, struct buf *out)
{
    struct buf data;
    struct slice event = slice_of("", 0);
    bool has_data = false;
    buf_init(&data, 1 << 20);
    if (slice_starts(bytes, SLICE("\xEF\xBB\xBF")))
        bytes = slice_from(bytes, 3);
    for (size_t at = 0, start = 0; at < bytes.len; start = ++at) {
        while (at < bytes.len && bytes.ptr[at] != '\n' && bytes.ptr[at] != '\r')
            at++;
        if (at == bytes.len)
            break; /* a line without an end is not processed */
        struct slice line = slice_of(bytes.ptr + start, at - start);
        if (bytes.ptr[at] == '\r' && at + 1 < bytes.len && bytes.ptr[at + 1] == '\n')
            at++;
        if (line.len == 0) {
            if (has_data) {
                add(out, event);
                add(out, buf_slice(&data));
            }
            buf_clear(&data);
            event = slice_of("", 0);
            has_data = false;
            continue;
        }
        ptrdiff_t colon = slice_find(line, ':');
        struct slice name = colon < 0 ? line : slice_first(line, (size_t)colon);
        struct slice value = colon < 0 ? slice_of("", 0) : slice_from(line, (size_t)colon + 1);
        if (value.len && value.ptr[0] == ' ')
            value = slice_from(value, 1);
        if (slice_eq(name, SLICE("event"))) {
            event = value;
        } else if (slice_eq(name, SLICE("data"))) {
            must(!has_data || buf_append(&data, SLICE("\n")) == ERR_OK, "room");
            must(buf_append(&data, value) == ERR_OK, "room");
            has_data = true;
        }
    }
    buf_fini(&data);
}

static void heard_init(struct heard *h)
{
    buf_init(&h->text, 1 << 22);
    buf_init(&h->raw, 1 << 20);
}

static void heard_fini(struct heard *h)
{
    buf_fini(&h->text);
    buf_fini(&h->raw);
}

/* Any bytes written as an event's data come back, their line ends made LF. */
static void write_back(struct slice bytes)
{
    struct buf out, want;
    struct heard h;
    heard_init(&h);
    buf_init(&out, 1 << 20);
    buf_init(&want, 1 << 20);
    must(sse_write(&out, SLICE("e"), SLICE(""), bytes) == ERR_OK, "write");
    read_cut(buf_slice(&out), 0, &h);
    for (size_t i = 0; i < bytes.len; i++) {
        bool end = bytes.ptr[i] == '\r' || bytes.ptr[i] == '\n';
        if (end && bytes.ptr[i] == '\r' && i + 1 < bytes.len && bytes.ptr[i + 1] == '\n')
            i++;
        must(buf_append(&want, end ? SLICE("\n") : slice_of(bytes.ptr + i, 1)) == ERR_OK, "room");
    }
    struct buf entry;
    buf_init(&entry, 1 << 20);
    add(&entry, SLICE("e"));
    add(&entry, buf_slice(&want));
    must(slice_eq(buf_slice(&entry), buf_slice(&h.text)), "what was written is not what is read");
    buf_fini(&entry);
    buf_fini(&want);
    buf_fini(&out);
    heard_fini(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    struct heard whole, cut;
    struct buf plain;
    uint32_t seed = 1;
    for (size_t i = 0; i < size; i++)
        seed = seed * 31 + data[i];
    heard_init(&whole);
    heard_init(&cut);
    buf_init(&plain, 1 << 22);
    read_cut(bytes, 0, &whole);
    read_cut(bytes, seed | 1, &cut);
    read_plain(bytes, &plain);
    must(slice_eq(buf_slice(&whole.raw), bytes), "raw bytes were lost");
    must(slice_eq(buf_slice(&cut.raw), bytes), "raw bytes were lost when cut");
    must(slice_eq(buf_slice(&whole.text), buf_slice(&cut.text)), "other events when cut");
    must(slice_eq(buf_slice(&whole.text), buf_slice(&plain)), "other events than the standard's");
    buf_fini(&plain);
    heard_fini(&whole);
    heard_fini(&cut);
    if (size)
        write_back(bytes);
    return 0;
}
