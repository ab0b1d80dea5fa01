/*
 * proto_write — protobuf's wire form, written field by field into a buffer of the caller.
 *
 * A record is written for every call; protobuf-c would walk all fields of the message twice, which
 * costs more than all gates together. What is written here is read with protobuf-c on the other
 * side, and a test holds the two against each other.
 *
 * Owns     nothing.
 * Fails    `full` is set and nothing more is written.
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

struct proto_writer {
    char *p, *end;
    bool full;
};

static inline bool proto_has_room(struct proto_writer *w, size_t n)
{
    if (w->full || (size_t)(w->end - w->p) < n)
        w->full = true;
    return !w->full;
}

#define PROTO_VARINT_MAX 10
#define PROTO_HEAD_MAX (2 * PROTO_VARINT_MAX) /* a tag, and a number or a length */

/* for which there is space */
static inline char *proto_put_varint(char *p, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        *p++ = (char)(n | 0x80);
    *p++ = (char)n;
    return p;
}

static inline char *proto_put_tag(char *p, unsigned field, unsigned wire_type)
{
    return proto_put_varint(p, field << 3 | wire_type);
}

static inline void proto_u64(struct proto_writer *w, unsigned field, uint64_t n)
{
    if (proto_has_room(w, PROTO_HEAD_MAX))
        w->p = proto_put_varint(proto_put_tag(w->p, field, 0), n);
}

static inline void proto_s64(struct proto_writer *w, unsigned field, int64_t n) /* sint64 */
{
    proto_u64(w, field, ((uint64_t)n << 1) ^ (uint64_t)(n >> 63));
}

/* nothing where there is nothing, so that the field is absent */
static inline void proto_text(struct proto_writer *w, unsigned field, struct slice s)
{
    if (!s.len || !proto_has_room(w, PROTO_HEAD_MAX + s.len))
        return;
    char *p = proto_put_varint(proto_put_tag(w->p, field, 2), s.len);
    w->p = slice_put(p, s);
}

static inline void proto_word(struct proto_writer *w, unsigned field, const char *s)
{
    proto_text(w, field, slice_str(s));
}

/* A message inside: its length takes two bytes, whatever it is, so it may be written last. */
#define PROTO_INNER_MAX 16383

static inline char *proto_begin(struct proto_writer *w, unsigned field)
{
    if (!proto_has_room(w, PROTO_HEAD_MAX))
        return NULL;
    char *at = proto_put_tag(w->p, field, 2);
    w->p = at + 2;
    return at;
}

static inline void proto_end(struct proto_writer *w, char *at)
{
    if (w->full)
        return;
    size_t len = (size_t)(w->p - at) - 2;
    w->full = len > PROTO_INNER_MAX;
    at[0] = (char)((len & 0x7F) | 0x80);
    at[1] = (char)(len >> 7 & 0x7F);
}
