/*
 * sse — server-sent events, cut out of a byte stream and written into one
 * (WHATWG HTML, 9.2 Server-sent events).
 *
 * The reader accepts LF, CR and CRLF, a byte order mark at the start, and pieces cut anywhere.
 * An event's raw bytes are kept beside its fields, so an event that is not changed can be
 * passed on as it came.
 *
 * Owns     the event being gathered, at most LIMIT_SSE_EVENT bytes, or what sse_reader_limit said.
 * Fails    ERR_TOO_BIG, ERR_NOMEM.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/buf.h"

struct sse_event {
    struct slice raw;   /* with the blank line that ended it */
    struct slice event; /* "" where no such line */
    struct slice data;  /* lines joined by LF */
    struct slice id;
    bool has_data;
};

struct sse_reader {
    struct buf raw;
    struct buf data;
    bool started;    /* the byte order mark was looked for */
    bool after_cr;   /* the last byte was a CR: an LF that follows belongs to it */
    bool line_begun; /* the line that is being read is not empty */
    bool lent;       /* raw holds the event that was given last */
    size_t max;
};

void sse_reader_init(struct sse_reader *r);
void sse_reader_fini(struct sse_reader *r);
void sse_reader_reset(struct sse_reader *r); /* for another stream; keeps its memory */
/* Another ceiling of one event, before the first byte. */
void sse_reader_limit(struct sse_reader *r, size_t max);
/* Takes the next event off *bytes; it is good until the next call. ERR_AGAIN: no whole event is
 * left, and all bytes are taken. Blocks without fields (comments, blank lines) are given too, so
 * that all raw bytes together are what came in. */
MUST_USE enum err sse_reader_next(struct sse_reader *r, struct slice *bytes, struct sse_event *ret);
/* Gives each event to fn. fn false: stops and returns ERR_CANCELLED without touching r again (fn
 * may have finished it). */
MUST_USE enum err sse_reader_feed(struct sse_reader *r, struct slice bytes,
                                  bool (*fn)(void *arg, const struct sse_event *e), void *arg);
/* bytes of an unfinished event */
struct slice sse_reader_rest(const struct sse_reader *r);
/* The next byte begins an event: one that the caller takes off the bytes by itself, up to its end,
 * need not be shown to the reader. */
bool sse_reader_is_between(const struct sse_reader *r);

/* Events that go on as they came leave in one piece: raw, which lies behind run in bytes that may
 * be overwritten, is moved up to its end. */
static inline void sse_run_join(struct slice *run, struct slice raw)
{
    char *end = (char *)run->ptr + run->len;
    if (run->len == 0) {
        *run = raw;
        return;
    }
    if (end != raw.ptr)
        memmove(end, raw.ptr, raw.len);
    run->len += raw.len;
}

/* Appends one event; event and id may be empty, and are ERR_INVALID with a line end in them.
 * data is split at LF, CR and CRLF. On failure out is as it was. */
MUST_USE enum err sse_write(struct buf *out, struct slice event, struct slice id,
                            struct slice data);
