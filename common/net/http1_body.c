/*
 * Bodies: three ways to end, walked piece by piece without a copy.
 *
 * Only chunk framing is looked at byte by byte; content is skipped over in whole.
 */
#include "common/net/http1_table.h"

/* The walk through chunk framing. */
enum step {
    SIZE_FIRST, /* a hex digit must stand here */
    SIZE,       /* more digits, ';' or CR */
    EXT,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* a name, or the CR of the empty line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
};

void http1_body_init(struct http1_body *b, enum http1_kind kind, const struct http_head *h,
                     struct slice request_method)
{
    *b = (struct http1_body){.kind = HTTP1_BODY_NONE, .state = SIZE_FIRST};
    if (kind == HTTP1_ANSWER && (slice_eq(request_method, SLICE("HEAD")) || h->status < 200 ||
                                 h->status == 204 || h->status == 304))
        return;
    if (h->chunked) {
        b->kind = HTTP1_BODY_CHUNKED;
    } else if (h->has_length) {
        b->kind = h->length ? HTTP1_BODY_LENGTH : HTTP1_BODY_NONE;
        b->left = h->length;
    } else if (kind == HTTP1_ANSWER) {
        b->kind = HTTP1_BODY_TO_CLOSE;
    }
}

#define CHUNK_DIGITS 8 /* of a size: 4 GiB */

/* how many digits a size has so far is kept in overhead while the size is read */
static enum err step_size(struct http1_body *b, char c, struct http1_problem *problem)
{
    int digit = slice_hex_digit(c);
    if (digit >= 0) {
        if (b->state == SIZE_FIRST) {
            b->left = 0;
            b->overhead = 0;
            b->state = SIZE;
        }
        if (++b->overhead > CHUNK_DIGITS)
            return http1_refuse(problem, HTTP1_REFUSE_CHUNK_SIZE);
        b->left = b->left << 4 | (uint64_t)digit;
        return ERR_OK;
    }
    if (b->state == SIZE_FIRST || (c != ';' && c != '\r'))
        return http1_refuse(problem, HTTP1_REFUSE_CHUNK_SIZE);
    b->overhead = 0;
    b->state = c == ';' ? EXT : SIZE_LF;
    return ERR_OK;
}

static enum err step_ext(struct http1_body *b, char c, struct http1_problem *problem)
{
    if (c == '\r') {
        b->state = SIZE_LF;
        return ERR_OK;
    }
    if (!http1_is(c, HTTP1_VALUE) || ++b->overhead > LIMIT_HTTP_CHUNK_EXT ||
        ++b->extras > LIMIT_HTTP_CHUNK_EXTRAS)
        return http1_refuse(problem, HTTP1_REFUSE_CHUNK_EXT);
    return ERR_OK;
}

/* Trailers are checked and dropped: nothing reads them, so nothing can be smuggled in them. */
static enum err step_trailer(struct http1_body *b, char c, struct http1_problem *problem)
{
    bool fine = ++b->overhead <= LIMIT_HTTP_TRAILERS;
    if (b->state == TRAILER_START) {
        fine = fine && (c == '\r' || http1_is(c, HTTP1_TOKEN));
        b->state = c == '\r' ? END_LF : TRAILER_NAME;
    } else if (b->state == TRAILER_NAME) {
        fine = fine && (c == ':' || http1_is(c, HTTP1_TOKEN));
        b->state = c == ':' ? TRAILER_VALUE : TRAILER_NAME;
    } else if (b->state == TRAILER_VALUE) {
        fine = fine && (c == '\r' || http1_is(c, HTTP1_VALUE));
        b->state = c == '\r' ? TRAILER_LF : TRAILER_VALUE;
    } else {
        fine = fine && c == '\n';
        b->state = b->state == END_LF ? DONE : TRAILER_START;
    }
    return fine ? ERR_OK : http1_refuse(problem, HTTP1_REFUSE_TRAILER);
}

static enum err step_line_end(struct http1_body *b, char c, struct http1_problem *problem)
{
    if (b->state == SIZE_LF) {
        if (c != '\n')
            return http1_refuse(problem, HTTP1_REFUSE_CHUNK_EXT);
        b->state = b->left ? DATA : TRAILER_START;
        return ERR_OK;
    }
    if (c != (b->state == DATA_CR ? '\r' : '\n'))
        return http1_refuse(problem, HTTP1_REFUSE_CHUNK_END);
    b->state = b->state == DATA_CR ? DATA_LF : SIZE_FIRST;
    return ERR_OK;
}

static enum err step_framing(struct http1_body *b, char c, struct http1_problem *problem)
{
    switch ((enum step)b->state) {
    case SIZE_FIRST:
    case SIZE:
        return step_size(b, c, problem);
    case EXT:
        return step_ext(b, c, problem);
    case SIZE_LF:
    case DATA_CR:
    case DATA_LF:
        return step_line_end(b, c, problem);
    default:
        return step_trailer(b, c, problem);
    }
}

static struct slice take(struct slice *bytes, uint64_t most)
{
    struct slice piece = bytes->len > most ? slice_first(*bytes, (size_t)most) : *bytes;
    *bytes = slice_from(*bytes, piece.len);
    return piece;
}

static enum err next_chunked(struct http1_body *b, struct slice *bytes, struct slice *ret,
                             bool *ended, struct http1_problem *problem)
{
    while (bytes->len && b->state != DATA && b->state != DONE) {
        enum err e = step_framing(b, bytes->ptr[0], problem);
        if (e)
            return e;
        *bytes = slice_from(*bytes, 1);
    }
    *ended = b->state == DONE;
    if (*ended)
        return ERR_OK;
    if (bytes->len == 0)
        return ERR_AGAIN;
    *ret = take(bytes, b->left);
    b->left -= ret->len;
    if (b->left == 0)
        b->state = DATA_CR;
    return ERR_OK;
}

/* How long the usual framing between two chunks is, "\r\n1f\r\n"; 0: it is cut, or not the usual,
 * or that of the last chunk. */
static size_t framing_between(struct slice bytes, uint64_t *ret_size)
{
    const struct slice line = SLICE("\r\n");
    const size_t most = line.len + CHUNK_DIGITS + line.len;
    struct slice s = slice_first(bytes, most);
    size_t at = line.len;
    uint64_t size = 0;
    if (!slice_starts(s, line))
        return 0;
    for (; at < s.len && slice_hex_digit(s.ptr[at]) >= 0; at++)
        size = size << 4 | (uint64_t)slice_hex_digit(s.ptr[at]);
    if (size == 0 || !slice_starts(slice_from(s, at), line))
        return 0;
    *ret_size = size;
    return at + line.len;
}

void http1_body_join(struct http1_body *b, struct slice *bytes, struct slice *piece)
{
    char *end = (char *)piece->ptr + piece->len;
    uint64_t size;
    size_t skip;
    while (b->kind == HTTP1_BODY_CHUNKED && b->state == DATA_CR &&
           (skip = framing_between(*bytes, &size)) > 0) {
        *bytes = slice_from(*bytes, skip);
        struct slice more = take(bytes, size);
        if (more.len)
            memmove(end, more.ptr, more.len);
        end += more.len;
        b->left = size - more.len;
        b->state = b->left ? DATA : DATA_CR;
    }
    piece->len = (size_t)(end - piece->ptr);
}

enum err http1_body_next(struct http1_body *b, struct slice *bytes, struct slice *ret, bool *ended,
                         struct http1_problem *problem)
{
    *ret = slice_of("", 0);
    *ended = false;
    switch (b->kind) {
    case HTTP1_BODY_NONE:
        *ended = true;
        return ERR_OK;
    case HTTP1_BODY_LENGTH:
        if (bytes->len == 0 && b->left)
            return ERR_AGAIN;
        *ret = take(bytes, b->left);
        b->left -= ret->len;
        *ended = b->left == 0;
        return ERR_OK;
    case HTTP1_BODY_CHUNKED:
        return next_chunked(b, bytes, ret, ended, problem);
    case HTTP1_BODY_TO_CLOSE:
        if (bytes->len == 0)
            return ERR_AGAIN;
        *ret = take(bytes, UINT64_MAX);
        return ERR_OK;
    }
    return ERR_INVALID;
}
