/*
 * aws_event — a message that lies whole in what came is given where it lies; one that was cut is
 * gathered first.
 */
#include "common/net/aws_event.h"

#include "common/base/crc32.h"

#define PRELUDE 12 /* both lengths, and their sum */
#define SUM 4

static uint32_t u32_at(struct slice s, size_t at)
{
    const uint8_t *p = (const uint8_t *)s.ptr + at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_u32(char *to, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        to[i] = (char)(uint8_t)(n >> (24 - 8 * i));
}

/* ---- headers ---- */

enum {
    TYPE_TRUE,
    TYPE_FALSE,
    TYPE_BYTE,
    TYPE_I16,
    TYPE_I32,
    TYPE_I64,
    TYPE_BYTES,
    TYPE_TEXT,
    TYPE_TIME,
    TYPE_UUID
};

/* Cuts n bytes off; false: there are fewer. */
static bool cut(struct slice *rest, size_t n, struct slice *ret)
{
    if (rest->len < n)
        return false;
    *ret = slice_first(*rest, n);
    *rest = slice_from(*rest, n);
    return true;
}

static bool cut_value(struct slice *rest, uint8_t type, struct slice *ret)
{
    static const uint8_t sizes[] = {
        [TYPE_TRUE] = 0, [TYPE_FALSE] = 0, [TYPE_BYTE] = 1, [TYPE_I16] = 2,  [TYPE_I32] = 4,
        [TYPE_I64] = 8,  [TYPE_BYTES] = 0, [TYPE_TEXT] = 0, [TYPE_TIME] = 8, [TYPE_UUID] = 16,
    };
    struct slice len;
    if (type >= ARRAY_LEN(sizes))
        return false;
    if (type != TYPE_BYTES && type != TYPE_TEXT)
        return cut(rest, sizes[type], ret);
    if (!cut(rest, 2, &len))
        return false;
    return cut(rest, (size_t)((uint8_t)len.ptr[0] << 8 | (uint8_t)len.ptr[1]), ret);
}

static bool read_header(struct slice *rest, struct sse_event *e)
{
    struct slice len, name, type, value;
    if (!cut(rest, 1, &len) || !cut(rest, (uint8_t)len.ptr[0], &name) || !cut(rest, 1, &type) ||
        !cut_value(rest, (uint8_t)type.ptr[0], &value))
        return false;
    if ((uint8_t)type.ptr[0] != TYPE_TEXT)
        return true;
    if (slice_eq(name, SLICE(":message-type")))
        e->id = value;
    else if (slice_eq(name, SLICE(":event-type")) || slice_eq(name, SLICE(":exception-type")) ||
             slice_eq(name, SLICE(":error-code")))
        e->event = value;
    else if (slice_eq(name, SLICE(":error-message")) && !e->has_data)
        e->data = value;
    return true;
}

/* ---- messages ---- */

/* The whole length, once the prelude is there and right. */
static enum err length_of(struct slice begun, size_t max, size_t *ret)
{
    *ret = u32_at(begun, 0);
    size_t headers = u32_at(begun, 4);
    if (crc32_ieee(slice_first(begun, PRELUDE - SUM)) != u32_at(begun, PRELUDE - SUM) ||
        *ret < AWS_EVENT_LEAST || headers > *ret - AWS_EVENT_LEAST)
        return ERR_PROTOCOL;
    return *ret > max ? ERR_TOO_BIG : ERR_OK;
}

static enum err read_message(struct slice raw, struct sse_event *ret)
{
    struct slice headers = slice_first(slice_from(raw, PRELUDE), u32_at(raw, 4));
    struct slice payload = slice_from(raw, PRELUDE + headers.len);
    payload.len -= SUM;
    if (crc32_ieee(slice_first(raw, raw.len - SUM)) != u32_at(raw, raw.len - SUM))
        return ERR_PROTOCOL;
    *ret = (struct sse_event){.raw = raw, .data = payload, .has_data = payload.len > 0};
    while (headers.len)
        if (!read_header(&headers, ret))
            return ERR_PROTOCOL;
    ret->has_data = true;
    return ERR_OK;
}

/* Moves as many bytes as the message that was begun still lacks of `want`. */
static enum err gather(struct buf *rest, size_t want, struct slice *bytes)
{
    struct slice more = slice_first(*bytes, want > rest->len ? want - rest->len : 0);
    enum err e = buf_append(rest, more);
    *bytes = slice_from(*bytes, more.len);
    return e ? e : rest->len < want ? ERR_AGAIN : ERR_OK;
}

/* The message that an earlier piece began. */
static enum err go_on(struct buf *rest, size_t max, struct slice *bytes, struct sse_event *ret)
{
    size_t len = 0;
    enum err e = gather(rest, PRELUDE, bytes);
    if (!e)
        e = length_of(buf_slice(rest), max, &len);
    if (!e)
        e = gather(rest, len, bytes);
    return e ? e : read_message(buf_slice(rest), ret);
}

/* A whole message in rest is the one that was lent by the call before. */
static bool was_lent(const struct buf *rest)
{
    return rest->len >= AWS_EVENT_LEAST && u32_at(buf_slice(rest), 0) == rest->len;
}

enum err aws_event_next(struct buf *rest, size_t max, struct slice *bytes, struct sse_event *ret)
{
    size_t len = 0;
    if (was_lent(rest))
        buf_clear(rest);
    if (rest->len)
        return go_on(rest, max, bytes, ret);
    if (bytes->len >= PRELUDE) {
        enum err e = length_of(*bytes, max, &len);
        if (e)
            return e;
    }
    if (!len || bytes->len < len) {
        enum err e = buf_append(rest, *bytes);
        *bytes = slice_from(*bytes, bytes->len);
        return e ? e : ERR_AGAIN;
    }
    struct slice raw = slice_first(*bytes, len);
    *bytes = slice_from(*bytes, len);
    return read_message(raw, ret);
}

bool aws_event_is_begun(const struct buf *rest)
{
    return rest->len > 0 && !was_lent(rest);
}

/* ---- writing ---- */

static char *put_header(char *to, struct slice name, struct slice value)
{
    *to++ = (char)(uint8_t)name.len;
    to = slice_put(to, name);
    *to++ = TYPE_TEXT;
    *to++ = (char)(uint8_t)(value.len >> 8);
    *to++ = (char)(uint8_t)value.len;
    return slice_put(to, value);
}

enum err aws_event_write(struct buf *out, struct slice kind, struct slice type,
                         struct slice payload)
{
    const struct slice headers[][2] = {
        {slice_eq(kind, SLICE("exception")) ? SLICE(":exception-type") : SLICE(":event-type"),
         type},
        {SLICE(":content-type"), SLICE("application/json")},
        {SLICE(":message-type"), kind},
    };
    size_t of_headers = 0;
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        of_headers += 1 + headers[i][0].len + 3 + headers[i][1].len;
    size_t len = AWS_EVENT_LEAST + of_headers + payload.len;
    if (len > UINT32_MAX || type.len > UINT16_MAX)
        return ERR_TOO_BIG;
    char *from;
    enum err e = buf_room(out, len, &from);
    if (e)
        return e;
    char *to = from + PRELUDE;
    put_u32(from, (uint32_t)len);
    put_u32(from + 4, (uint32_t)of_headers);
    put_u32(from + 8, crc32_ieee(slice_of(from, 8)));
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        to = put_header(to, headers[i][0], headers[i][1]);
    to = slice_put(to, payload);
    put_u32(to, crc32_ieee(slice_of(from, len - SUM)));
    buf_commit(out, len);
    return ERR_OK;
}
