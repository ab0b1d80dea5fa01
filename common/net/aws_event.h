/*
 * aws_event — messages of application/vnd.amazon.eventstream, cut out of a byte stream and written
 * into one (AWS, "Amazon Event Stream Specification").
 *
 *   u32 length of all, u32 length of the headers, u32 CRC-32 of these 8 bytes,
 *   headers: u8 length of the name, name, u8 type, value; here only strings (type 7, u16 length)
 *   matter, payload, u32 CRC-32 of all before
 *
 * numbers in network order. Both sums are checked before anything of a message is believed. A
 * reader gives each message as an sse_event: `data` is the payload, `event` the type of the event
 * or of the exception, `id` the kind of message ("event", "exception", "error").
 *
 * Owns     nothing: a message that was cut lies in the caller's buffer, at most `max` bytes.
 * Fails    ERR_PROTOCOL: a sum is wrong, or a length impossible; ERR_TOO_BIG; ERR_NOMEM.
 * Threads  one at a time.
 */
#pragma once

#include "common/net/sse.h"

#define AWS_EVENT_LEAST 16 /* a message without headers and payload */

/* Takes the next message off *bytes; it is good until the next call with this rest. ERR_AGAIN: no
 * whole message is left, and all bytes are taken. */
MUST_USE enum err aws_event_next(struct buf *rest, size_t max, struct slice *bytes,
                                 struct sse_event *ret);
/* Does rest hold the beginning of a message? */
bool aws_event_is_begun(const struct buf *rest);

/* Appends one message. kind "event": type is the event's; "exception": the exception's. On failure
 * out is as it was. */
MUST_USE enum err aws_event_write(struct buf *out, struct slice kind, struct slice type,
                                  struct slice payload);
