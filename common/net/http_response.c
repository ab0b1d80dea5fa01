/*
 * Responses: small pieces that are written in one turn are sent by one system call; a large piece
 * goes to the stream at once, together with what was gathered before it.
 */
#include "common/base/limits.h"
#include "common/net/http1_write.h"
#include "common/net/http_server_private.h"

static const struct slice last_chunk = SLICE("0\r\n\r\n");

static bool is_dead(const struct http_exchange *x)
{
    return x->conn->state == CONN_CLOSED;
}

/* Gathered bytes go as far as the stream's ceiling lets them; the rest waits for its drain. */
void http_response_flush(struct http_exchange *x)
{
    struct http_conn *c = x->conn;
    while (x->out.len && !is_dead(x)) {
        size_t pending = stream_pending(c->stream);
        size_t room = pending < LIMIT_STREAM_OUT ? LIMIT_STREAM_OUT - pending : 0;
        if (room == 0)
            return;
        struct slice piece = slice_first(buf_slice(&x->out), room);
        enum err e = http_conn_write(c, &piece, 1);
        if (e == ERR_TOO_BIG)
            return;
        if (e) {
            http_conn_close(c, e);
            return;
        }
        buf_eat(&x->out, piece.len);
    }
}

bool http_response_is_out(struct http_exchange *x)
{
    return x->ended && x->out.len == 0;
}

/* A body that will not be read to its end: the client should know before it sends on. */
static bool leaves_much(const struct http_exchange *x)
{
    return !x->reading &&
           (x->expects || (x->body.kind == HTTP1_BODY_LENGTH && x->body.left > LIMIT_HTTP_DISCARD));
}

static struct slice connection_line(struct http_exchange *x)
{
    if (!x->keep)
        return SLICE("Connection: close\r\n");
    return x->head->version == HTTP_10 ? SLICE("Connection: keep-alive\r\n") : slice_of("", 0);
}

static struct slice framing_line(struct http_exchange *x, unsigned status, uint64_t length,
                                 char *line)
{
    if (status == 204 || (status == 304 && length == UINT64_MAX))
        return slice_of("", 0);
    if (length != UINT64_MAX)
        return http1_length_line(length, line);
    if (x->head->version == HTTP_11) {
        x->chunked = true;
        return SLICE("Transfer-Encoding: chunked\r\n");
    }
    x->keep = false; /* HTTP/1.0: the end of the connection is the end of the body */
    return slice_of("", 0);
}

static enum err write_head(struct http_exchange *x, unsigned status,
                           const struct http_header *headers, size_t n, uint64_t length)
{
    char line[HTTP1_LENGTH_LINE], digits[4];
    x->chunked = false;
    x->keep = x->head->keep_alive && !x->conn->server->draining && !x->conn->eof && !leaves_much(x);
    struct slice framing = framing_line(x, status, length, line);
    const struct slice ready[] = {
        SLICE("HTTP/1.1 "), http1_status_digits(status, digits), slice_str(http1_reason(status)),
        SLICE("\r\n"),      http_server_fixed(x->conn->server),  framing,
        connection_line(x),
    };
    return http1_write_head(&x->out, ready, ARRAY_LEN(ready), headers, n);
}

/* out holds the head afterwards; nothing is sent yet */
static enum err begin(struct http_exchange *x, unsigned status, const struct http_header *headers,
                      size_t n, uint64_t length)
{
    if (is_dead(x))
        return ERR_CLOSED;
    if (x->begun || status < 200 || status > 599)
        return ERR_INVALID;
    enum err e = write_head(x, status, headers, n, length);
    if (e)
        return e;
    x->begun = true;
    x->left = length;
    x->bodiless = status == 204 || status == 304 || slice_eq(x->head->method, SLICE("HEAD"));
    return ERR_OK;
}

enum err http_response_begin(struct http_exchange *x, unsigned status,
                             const struct http_header *headers, size_t n, uint64_t length)
{
    enum err e = begin(x, status, headers, n, length);
    if (!e)
        http_conn_kick(x->conn); /* leaves at the end of the turn, with what is written by then */
    return e;
}

static enum err send_now(struct http_exchange *x, struct slice data)
{
    char line[HTTP1_CHUNK_LINE];
    struct slice parts[1 + HTTP1_PIECE_PARTS];
    size_t n = 0;
    if (x->out.len)
        parts[n++] = buf_slice(&x->out);
    n += http1_piece_parts(x->chunked, data, line, parts + n);
    enum err e = http_conn_write(x->conn, parts, n);
    if (!e)
        buf_clear(&x->out);
    return e;
}

enum err http_response_write(struct http_exchange *x, struct slice data)
{
    if (is_dead(x))
        return ERR_CLOSED;
    if (!x->begun || x->ended || (x->left != UINT64_MAX && data.len > x->left && !x->bodiless))
        return ERR_INVALID;
    if (x->bodiless || data.len == 0)
        return ERR_OK;
    size_t waiting = stream_pending(x->conn->stream);
    size_t gathered = x->out.len + data.len;
    bool small = gathered <= LIMIT_HTTP_COALESCE && waiting + gathered <= LIMIT_STREAM_HIGH;
    enum err e = small ? http1_append_piece(&x->out, x->chunked, data) : send_now(x, data);
    if (e == ERR_TOO_BIG || waiting + gathered > LIMIT_STREAM_HIGH)
        x->wants_drain = true;
    if (e)
        return e;
    if (x->left != UINT64_MAX)
        x->left -= data.len;
    if (small)
        http_conn_kick(x->conn);
    return ERR_OK;
}

size_t http_response_pending(const struct http_exchange *x)
{
    return is_dead(x) ? 0 : stream_pending(x->conn->stream) + x->out.len;
}

/* A response shorter than its Content-Length would make the client wait: the connection is cut. */
static bool is_short(const struct http_exchange *x)
{
    return !x->begun || (!x->bodiless && x->left != UINT64_MAX && x->left > 0);
}

void http_response_end(struct http_exchange *x)
{
    if (is_dead(x) || x->ended)
        return;
    bool broken =
        is_short(x) || (x->chunked && !x->bodiless && buf_append(&x->out, last_chunk) != ERR_OK);
    if (broken) {
        http_conn_close(x->conn, ERR_CANCELLED);
        return;
    }
    x->ended = true;
    http_response_flush(x);
    http_conn_kick(x->conn);
}

void http_response_abort(struct http_exchange *x)
{
    http_conn_close(x->conn, ERR_CANCELLED);
}

enum err http_response(struct http_exchange *x, unsigned status, const struct http_header *headers,
                       size_t n, struct slice body)
{
    enum err e = begin(x, status, headers, n, body.len);
    if (e)
        return e;
    if (body.len && !x->bodiless) {
        e = send_now(x, body);
        if (e == ERR_TOO_BIG) /* behind earlier responses that the client has not read yet */
            e = buf_append(&x->out, body);
        if (e) {
            http_conn_close(x->conn, e);
            return e;
        }
        x->left = 0;
    }
    http_response_end(x);
    return ERR_OK;
}
