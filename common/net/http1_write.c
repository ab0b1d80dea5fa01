/*
 * Writers: the space for a whole head is reserved once, and each byte is checked while it is
 * copied.
 *
 * What the reader refuses is not written either, so a value that came from elsewhere cannot
 * split a head.
 */
#include "common/net/http1_write.h"
#include "common/net/http1_table.h"

static bool is_token(struct slice s)
{
    const char *end = s.ptr + s.len;
    return s.len && http1_skip_token(s.ptr, end) == end;
}

/* NULL: something may not be written */
static char *put_headers(char *at, const struct http_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct slice name = headers[i].name, value = headers[i].value;
        char *name_at = at, *value_at = slice_put(at, name) + 2;
        memcpy(value_at - 2, ": ", 2);
        at = slice_put(value_at, value);
        if (name.len == 0 || !http1_is_name(name_at, name.len) ||
            !http1_is_value(value_at, value.len))
            return NULL;
        memcpy(at, "\r\n", 2);
        at += 2;
    }
    memcpy(at, "\r\n", 2);
    return at + 2;
}

enum err http1_write_head(struct buf *out, const struct slice *ready, size_t ready_count,
                          const struct http_header *headers, size_t n)
{
    size_t room = 2 + HTTP1_BLOCK;
    for (size_t i = 0; i < ready_count; i++)
        room += ready[i].len;
    for (size_t i = 0; i < n; i++)
        room += headers[i].name.len + headers[i].value.len + 4;

    char *start;
    enum err e = buf_room(out, room, &start);
    if (e)
        return e;
    char *at = start;
    for (size_t i = 0; i < ready_count; i++)
        at = slice_put(at, ready[i]);
    at = put_headers(at, headers, n);
    if (!at)
        return ERR_INVALID;
    buf_commit(out, (size_t)(at - start));
    return ERR_OK;
}

enum err http1_check_request(struct slice method, struct slice target)
{
    const char *end = target.ptr + target.len;
    bool fine = is_token(method) && target.len && http1_skip_target(target.ptr, end) == end;
    return fine ? ERR_OK : ERR_INVALID;
}

struct slice http1_status_digits(unsigned status, char out[static 4])
{
    out[0] = (char)('0' + status / 100);
    out[1] = (char)('0' + status / 10 % 10);
    out[2] = (char)('0' + status % 10);
    out[3] = ' ';
    return slice_of(out, 4);
}

struct slice http1_length_line(uint64_t length, char out[static HTTP1_LENGTH_LINE])
{
    const struct slice name = SLICE("Content-Length: ");
    char *end = out + HTTP1_LENGTH_LINE - 2, *at = end;
    memcpy(end, "\r\n", 2);
    do {
        *--at = (char)('0' + length % 10);
        length /= 10;
    } while (length);
    at -= name.len;
    memcpy(at, name.ptr, name.len);
    return slice_of(at, (size_t)(end + 2 - at));
}

static struct slice chunk_line(size_t length, char out[static HTTP1_CHUNK_LINE])
{
    char *end = out + HTTP1_CHUNK_LINE - 2, *at = end;
    memcpy(end, "\r\n", 2);
    do {
        *--at = "0123456789abcdef"[length & 15];
        length >>= 4;
    } while (length);
    return slice_of(at, (size_t)(end + 2 - at));
}

/* status, reason (IANA registry); an unlisted status has an empty reason, which is allowed */
#define REASONS(X)                                                                                 \
    X(100, "Continue")                                                                             \
    X(101, "Switching Protocols")                                                                  \
    X(200, "OK")                                                                                   \
    X(201, "Created")                                                                              \
    X(202, "Accepted")                                                                             \
    X(203, "Non-Authoritative Information")                                                        \
    X(204, "No Content")                                                                           \
    X(205, "Reset Content")                                                                        \
    X(206, "Partial Content")                                                                      \
    X(300, "Multiple Choices")                                                                     \
    X(301, "Moved Permanently")                                                                    \
    X(302, "Found")                                                                                \
    X(303, "See Other")                                                                            \
    X(304, "Not Modified")                                                                         \
    X(307, "Temporary Redirect")                                                                   \
    X(308, "Permanent Redirect")                                                                   \
    X(400, "Bad Request")                                                                          \
    X(401, "Unauthorized")                                                                         \
    X(402, "Payment Required")                                                                     \
    X(403, "Forbidden")                                                                            \
    X(404, "Not Found")                                                                            \
    X(405, "Method Not Allowed")                                                                   \
    X(406, "Not Acceptable")                                                                       \
    X(408, "Request Timeout")                                                                      \
    X(409, "Conflict")                                                                             \
    X(410, "Gone")                                                                                 \
    X(411, "Length Required")                                                                      \
    X(412, "Precondition Failed")                                                                  \
    X(413, "Content Too Large")                                                                    \
    X(414, "URI Too Long")                                                                         \
    X(415, "Unsupported Media Type")                                                               \
    X(416, "Range Not Satisfiable")                                                                \
    X(417, "Expectation Failed")                                                                   \
    X(421, "Misdirected Request")                                                                  \
    X(422, "Unprocessable Content")                                                                \
    X(425, "Too Early")                                                                            \
    X(426, "Upgrade Required")                                                                     \
    X(428, "Precondition Required")                                                                \
    X(429, "Too Many Requests")                                                                    \
    X(431, "Request Header Fields Too Large")                                                      \
    X(451, "Unavailable For Legal Reasons")                                                        \
    X(500, "Internal Server Error")                                                                \
    X(501, "Not Implemented")                                                                      \
    X(502, "Bad Gateway")                                                                          \
    X(503, "Service Unavailable")                                                                  \
    X(504, "Gateway Timeout")                                                                      \
    X(505, "HTTP Version Not Supported")                                                           \
    X(508, "Loop Detected")

const char *http1_reason(unsigned status)
{
    switch (status) {
#define REASON(code, text)                                                                         \
    case code:                                                                                     \
        return text;
        REASONS(REASON)
#undef REASON
    default:
        return "";
    }
}

enum err http1_append_piece(struct buf *out, bool chunked, struct slice data)
{
    char line[HTTP1_CHUNK_LINE], *room;
    struct slice parts[HTTP1_PIECE_PARTS];
    size_t n = http1_piece_parts(chunked, data, line, parts);
    enum err e = buf_room(out, data.len + sizeof line + 2, &room);
    for (size_t i = 0; !e && i < n; i++)
        e = buf_append(out, parts[i]); /* there is enough space */
    return e;
}

size_t http1_piece_parts(bool chunked, struct slice data, char line[static HTTP1_CHUNK_LINE],
                         struct slice parts[static HTTP1_PIECE_PARTS])
{
    size_t n = 0;
    if (chunked)
        parts[n++] = chunk_line(data.len, line);
    parts[n++] = data;
    if (chunked)
        parts[n++] = SLICE("\r\n");
    return n;
}
