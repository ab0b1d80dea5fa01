/*
 * fuzz_aws_event — messages are the same however the stream is cut, all raw messages together are
 * what came in, and any bytes written as a message's payload come back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/net/aws_event.h"
#include "common/net/json_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum err next_fn(struct buf *rest, size_t max, struct slice *bytes, struct sse_event *ret);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void hear(const struct sse_event *e, struct buf *text, struct buf *raw)
{
    must(buf_printf(text, "%zu:%zu:%zu:", e->id.len, e->event.len, e->data.len) == ERR_OK, "room");
    must(buf_append(text, e->id) == ERR_OK && buf_append(text, e->event) == ERR_OK &&
             buf_append(text, e->data) == ERR_OK && buf_append(raw, e->raw) == ERR_OK,
         "room");
}

static enum err read_cut(next_fn *next, struct slice bytes, uint32_t seed, struct buf *text,
                         struct buf *raw)
{
    struct buf rest;
    struct sse_event e;
    enum err err = ERR_AGAIN;
    buf_init(&rest, 1 << 20);
    buf_clear(text);
    buf_clear(raw);
    while (err == ERR_AGAIN && bytes.len) {
        seed = seed ? seed * 1664525u + 1013904223u : 0;
        struct slice piece = slice_first(bytes, seed ? (seed >> 16) % 7 + 1 : bytes.len);
        bytes = slice_from(bytes, piece.len);
        while (!(err = next(&rest, 1 << 16, &piece, &e)))
            hear(&e, text, raw);
    }
    buf_fini(&rest);
    return err;
}

static void compare(next_fn *next, struct slice bytes, uint32_t seed)
{
    struct buf text[2], raw[2];
    for (int i = 0; i < 2; i++) {
        buf_init(&text[i], 1 << 22);
        buf_init(&raw[i], 1 << 22);
    }
    enum err whole = read_cut(next, bytes, 0, &text[0], &raw[0]);
    enum err cut = read_cut(next, bytes, seed | 1, &text[1], &raw[1]);
    must(whole == cut, "another end when cut");
    must(slice_eq(buf_slice(&text[0]), buf_slice(&text[1])), "other messages when cut");
    must(slice_starts(bytes, buf_slice(&raw[0])), "raw bytes were lost");
    for (int i = 0; i < 2; i++) {
        buf_fini(&text[i]);
        buf_fini(&raw[i]);
    }
}

static void write_back(struct slice bytes)
{
    struct buf out, rest;
    struct sse_event e;
    buf_init(&out, 1 << 22);
    buf_init(&rest, 1 << 22);
    must(aws_event_write(&out, SLICE("event"), SLICE("e"), bytes) == ERR_OK, "write");
    struct slice written = buf_slice(&out);
    must(aws_event_next(&rest, 1 << 22, &written, &e) == ERR_OK, "what was written is read");
    must(slice_eq(e.data, bytes) && slice_eq(e.event, SLICE("e")) && !written.len,
         "what was written is what is read");
    buf_fini(&out);
    buf_fini(&rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    uint32_t seed = 1;
    for (size_t i = 0; i < size; i++)
        seed = seed * 31 + data[i];
    compare(aws_event_next, bytes, seed);
    compare(json_lines_next, bytes, seed);
    write_back(bytes);
    return 0;
}
