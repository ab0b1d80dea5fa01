/* Requests on their way out: the head from the spec, the body in one piece or in many. */
#include "common/base/limits.h"
#include "common/net/http1_write.h"
#include "common/net/http_call.h"

static const struct slice last_chunk = SLICE("0\r\n\r\n");

/* These four say where a message goes and where it ends: never the caller's business. */
static bool is_ours(struct slice name)
{
    switch (name.len) {
    case 4:
        return slice_ieq(name, SLICE("host"));
    case 10:
        return slice_ieq(name, SLICE("connection"));
    case 14:
        return slice_ieq(name, SLICE("content-length"));
    case 17:
        return slice_ieq(name, SLICE("transfer-encoding"));
    default:
        return false;
    }
}

static bool expects_body(struct slice method)
{
    return slice_eq(method, SLICE("POST")) || slice_eq(method, SLICE("PUT")) ||
           slice_eq(method, SLICE("PATCH"));
}

static uint64_t length_of(const struct slice pieces[static HTTP_CALL_PIECES])
{
    uint64_t length = 0;
    for (size_t i = 0; i < HTTP_CALL_PIECES; i++)
        length += pieces[i].len;
    return length;
}

static struct slice framing_line(struct http_call *k, const struct http_call_spec *spec, char *room)
{
    if (k->chunked)
        return SLICE("Transfer-Encoding: chunked\r\n");
    uint64_t length = spec->streamed ? spec->body_length : length_of(spec->body);
    if (length == 0 && !expects_body(spec->method))
        return slice_of("", 0);
    return http1_length_line(length, room);
}

static bool is_host(struct slice host)
{
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] <= ' ' || host.ptr[i] >= 0x7f || host.ptr[i] == '/')
            return false;
    return host.len > 0;
}

static enum err check_spec(const struct http_call_spec *spec)
{
    if (!is_host(spec->url.host) || spec->path.len == 0 || spec->path.ptr[0] != '/')
        return ERR_INVALID;
    for (size_t i = 0; i < spec->header_count; i++)
        if (is_ours(spec->headers[i].name))
            return ERR_INVALID;
    return http1_check_request(spec->method, spec->path);
}

static struct slice port_text(const struct url *url, char out[static 8])
{
    char digits[HTTP1_LENGTH_LINE];
    uint16_t usual = url->tls ? 443 : 80;
    if (url->port == usual)
        return slice_of("", 0);
    const size_t skip = sizeof "Content-Length: " - 1;
    struct slice number = slice_from(http1_length_line(url->port, digits), skip);
    out[0] = ':';
    memcpy(out + 1, number.ptr, number.len - 2);
    return slice_of(out, number.len - 1);
}

enum err http_call_compose(struct http_call *k, const struct http_call_spec *spec)
{
    enum err e = check_spec(spec);
    if (e)
        return e;
    k->streamed = spec->streamed;
    k->chunked = spec->streamed && spec->body_length == UINT64_MAX;
    k->left = spec->body_length;
    k->request_ended = !spec->streamed;
    if (!spec->streamed)
        memcpy(k->body, spec->body, sizeof(k->body));
    k->is_head = slice_eq(spec->method, SLICE("HEAD"));

    char room[HTTP1_LENGTH_LINE], port[8];
    bool literal6 = slice_find(spec->url.host, ':') >= 0;
    struct slice framing = framing_line(k, spec, room);
    const struct slice ready[] = {
        spec->method,
        SLICE(" "),
        spec->path,
        SLICE(" HTTP/1.1\r\nHost: "),
        literal6 ? SLICE("[") : slice_of("", 0),
        spec->url.host,
        literal6 ? SLICE("]") : slice_of("", 0),
        port_text(&spec->url, port),
        SLICE("\r\n"),
        framing,
    };
    return http1_write_head(&k->out, ready, ARRAY_LEN(ready), spec->headers, spec->header_count);
}

/* A request that is sent whole keeps its head in `out`: a fresh connection may need it again. */
enum err http_call_send(struct http_call *k)
{
    if (k->streamed) {
        loop_soon(k->client->loop, &k->soon); /* with what is written until then */
        return ERR_OK;
    }
    struct slice parts[1 + HTTP_CALL_PIECES];
    size_t n = 0;
    parts[n++] = buf_slice(&k->out);
    for (size_t i = 0; i < HTTP_CALL_PIECES; i++)
        if (k->body[i].len)
            parts[n++] = k->body[i];
    enum err e = stream_write(k->conn->stream, parts, n);
    if (!e)
        k->touched = true;
    k->pending_seen = stream_pending(k->conn->stream);
    http_call_watch(k, k->pending_seen ? k->gap_ms : k->first_byte_ms);
    return e;
}

bool http_call_is_sent(const struct http_call *k)
{
    if (http_call_is_dialling(k) || !k->request_ended || (k->streamed && k->out.len))
        return false;
    return k->conn && k->conn->stream && stream_pending(k->conn->stream) == 0;
}

bool http_call_has_sent(const struct http_call *k)
{
    return k->touched;
}

static bool is_open(const struct http_call *k)
{
    return k->state != HTTP_CALL_ENDED && !k->failing && k->conn && k->conn->stream &&
           stream_is_open(k->conn->stream);
}

/* Streamed bodies only. A failing write is not the call's end: the answer may be there already,
 * and reading tells. */
void http_call_flush(struct http_call *k)
{
    while (k->streamed && k->out.len && is_open(k)) {
        size_t pending = stream_pending(k->conn->stream);
        size_t room = pending < LIMIT_STREAM_OUT ? LIMIT_STREAM_OUT - pending : 0;
        if (room == 0)
            return;
        struct slice piece = slice_first(buf_slice(&k->out), room);
        if (stream_write(k->conn->stream, &piece, 1) != ERR_OK)
            return;
        k->touched = true;
        buf_eat(&k->out, piece.len);
        k->pending_seen = stream_pending(k->conn->stream);
        http_call_watch(k, k->pending_seen ? k->gap_ms : k->first_byte_ms);
    }
}

static enum err send_now(struct http_call *k, struct slice data)
{
    char line[HTTP1_CHUNK_LINE];
    struct slice parts[1 + HTTP1_PIECE_PARTS];
    size_t n = 0;
    if (k->out.len)
        parts[n++] = buf_slice(&k->out);
    n += http1_piece_parts(k->chunked, data, line, parts + n);
    enum err e = stream_write(k->conn->stream, parts, n);
    if (e)
        return e;
    buf_clear(&k->out);
    k->touched = true;
    k->pending_seen = stream_pending(k->conn->stream);
    http_call_watch(k, k->pending_seen ? k->gap_ms : k->first_byte_ms);
    return ERR_OK;
}

/* Until the connection stands everything is gathered, up to the stream's ceiling. */
static enum err take_piece(struct http_call *k, struct slice data)
{
    size_t gathered = k->out.len + data.len;
    if (!is_open(k)) {
        if (!http_call_is_dialling(k))
            return ERR_CLOSED;
        return gathered <= LIMIT_STREAM_OUT ? http1_append_piece(&k->out, k->chunked, data)
                                            : ERR_TOO_BIG;
    }
    if (gathered > LIMIT_HTTP_COALESCE)
        return send_now(k, data);
    enum err e = http1_append_piece(&k->out, k->chunked, data);
    http_call_kick(k);
    return e;
}

enum err http_call_write(struct http_call *k, struct slice data)
{
    if (k->state == HTTP_CALL_ENDED || k->failing)
        return ERR_CLOSED;
    if (!k->streamed || k->request_ended || (!k->chunked && data.len > k->left))
        return ERR_INVALID;
    if (data.len == 0)
        return ERR_OK;
    enum err e = take_piece(k, data);
    if (e == ERR_TOO_BIG || http_call_pending(k) > LIMIT_STREAM_LOW)
        k->wants_drain = true;
    if (!e && !k->chunked)
        k->left -= data.len;
    return e;
}

size_t http_call_pending(const struct http_call *k)
{
    size_t inside = k->conn && k->conn->stream ? stream_pending(k->conn->stream) : 0;
    return inside + (k->streamed ? k->out.len : 0);
}

void http_call_write_end(struct http_call *k)
{
    if (k->state == HTTP_CALL_ENDED || k->failing || !k->streamed || k->request_ended)
        return;
    bool broken = k->chunked ? buf_append(&k->out, last_chunk) != ERR_OK : k->left > 0;
    k->request_ended = true;
    if (broken) { /* the upstream would wait for what was promised */
        http_call_fail_soon(k, ERR_INVALID);
        return;
    }
    http_call_kick(k);
}
