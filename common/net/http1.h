/*
 * http1 — HTTP/1.1 framing, read strictly: what is not exactly right is refused.
 *
 * security.md, What comes in: token names, no space before the colon, CRLF only, no fold,
 * exactly one Host, HTTP/1.0 or 1.1, target of visible ASCII, one of Content-Length or
 * Transfer-Encoding (exactly `chunked`, only in 1.1), chunk sizes of at most 8 hex digits.
 * RFC 9112, RFC 9110 section 5.
 *
 * A head is parsed once it is whole (its slices point into the caller's bytes); a body is
 * walked incrementally and never copied.
 *
 * Owns     nothing.
 * Threads  any.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/base/slice.h"

struct http_header {
    struct slice name;  /* as sent; compare with slice_ieq */
    struct slice value; /* trimmed */
};

enum http_version { HTTP_10, HTTP_11 };

struct http_head {
    /* requests */
    struct slice method;
    struct slice target; /* as sent */
    /* responses */
    unsigned status;
    struct slice reason;
    enum http_version version;
    size_t header_count;
    uint64_t lengths; /* bit i: some name's length is i, modulo 64. Most names that are looked up
                         are absent */
    /* framing, derived */
    bool has_length;
    uint64_t length;
    bool chunked;
    bool keep_alive;
    bool expect_continue;
    struct http_header headers[LIMIT_HTTP_HEADERS]; /* last: a copy may end behind those in use */
};

/* The bytes of *h that are in use. */
static inline size_t http_head_size(const struct http_head *h)
{
    return offsetof(struct http_head, headers) + h->header_count * sizeof(h->headers[0]);
}

enum http1_kind { HTTP1_REQUEST, HTTP1_ANSWER };

/* Why a head or chunk was refused; a row each, so that tests and logs name it. */
struct http1_problem {
    unsigned status;  /* status of a server's refusal: 400, 414, 417, 431, 501, 505 */
    const char *text; /* stable sentence, no user data */
};

/* Looks for a whole head at the front of `bytes`. ERR_AGAIN: more is needed (and still below
 * LIMIT_HTTP_HEAD); ERR_INVALID with *problem; ERR_OK with *ret_len the head's length.
 * Leading empty lines before a request are not allowed beyond one CRLF. */
MUST_USE enum err http1_head(enum http1_kind kind, struct slice bytes, struct http_head *ret,
                             size_t *ret_len, struct http1_problem *problem);
/* The two halves of it, for a caller that copies the head to a place of its own in between.
 * http1_head_end: how long the head is; *scanned starts at 0 and saves reading bytes twice. A
 * start line that is whole, and every line end, is judged even while the head is not. */
MUST_USE enum err http1_head_end(enum http1_kind kind, struct slice bytes, size_t *scanned,
                                 size_t *ret_len, struct http1_problem *problem);
/* bytes: exactly what http1_head_end measured */
MUST_USE enum err http1_head_parse(enum http1_kind kind, struct slice bytes, struct http_head *ret,
                                   struct http1_problem *problem);
/* After http1_head_parse refused a request: it is HTTP/1.0, lacks a Host, and all else of *h is
 * good and filled. Health checks of balancers are such requests; nothing else is to be served
 * without. */
bool http1_head_lacks_host(const struct http_head *h, const struct http1_problem *problem);
/* GET, or HEAD, which asks for the same without its body (RFC 9110, 9.3.2) */
bool http_head_gets(const struct http_head *h);
/* value of the only header of that name; SLICE_NONE where absent; first one where several */
struct slice http_head_find(const struct http_head *h, struct slice name);
size_t http_head_count(const struct http_head *h, struct slice name);

#define HTTP_RETRY_AFTER_MAX_S 86400 /* a longer wait is a mistake that must not stop a client */
/* Retry-After in seconds; 0: absent, not in seconds, or more than a day (RFC 9110 section 10.2.3; a
 * date is hardly sent, and would need both clocks to agree). */
unsigned http_retry_after(const struct http_head *h);
/* The same in milliseconds; Retry-After-Ms, which OpenAI and Azure send beside it, comes first. */
unsigned http_retry_after_ms(const struct http_head *h);

/* How the body ends. */
enum http1_body_kind {
    HTTP1_BODY_NONE,
    HTTP1_BODY_LENGTH,
    HTTP1_BODY_CHUNKED,
    HTTP1_BODY_TO_CLOSE
};

struct http1_body {
    enum http1_body_kind kind;
    int state;
    uint64_t left;
    size_t overhead; /* bytes of this chunk's extensions, or of the trailers */
    size_t extras;   /* bytes of extensions in all chunks so far */
};

/* request_method matters for responses (HEAD has none; 204, 304, 1xx have none) */
void http1_body_init(struct http1_body *b, enum http1_kind kind, const struct http_head *h,
                     struct slice request_method);
/* Takes framing and content off the front of *bytes; *ret is the next piece of content (lent,
 * may be empty). ERR_OK: a piece, call again; ERR_AGAIN: all bytes were used, more needed;
 * *ended: the body is whole and *bytes stands behind it; ERR_INVALID with *problem. */
MUST_USE enum err http1_body_next(struct http1_body *b, struct slice *bytes, struct slice *ret,
                                  bool *ended, struct http1_problem *problem);

/* After http1_body_next has given a piece: the chunks that follow it in *bytes are taken off too,
 * and moved up behind it, so that all of them are one piece. What a read brought is passed on once,
 * however finely its sender framed it. The bytes are overwritten; framing other than the usual is
 * left to http1_body_next. */
void http1_body_join(struct http1_body *b, struct slice *bytes, struct slice *piece);

/* A client's path made canonical once: unreserved characters decoded, the rest kept with upper
 * case hex, what is neither reserved nor unreserved encoded; encoded slash, backslash, NUL,
 * control, overlong UTF-8, dot or empty segments and ';' are ERR_INVALID (security.md, Paths). One
 * slash at the end is kept. Appends path only; *query points into target behind '?'. */
MUST_USE enum err http1_path(struct slice target, struct buf *path, struct slice *query);

/* A path that has no canonical spelling, for a route that takes it as it stands: encoded slashes
 * and backslashes, empty segments and ';' pass; NUL, controls, bad or overlong escapes, and dot
 * segments however they are spelled, also between encoded slashes or before ';', are ERR_INVALID:
 * with those an upstream would leave what was granted. Both point into target. */
MUST_USE enum err http1_path_opaque(struct slice target, struct slice *path, struct slice *query);

/* The same for paths below `below`, as SDKs spell them: base URLs end with and without a slash, and
 * the slash in an id is escaped, so repeated slashes count once and an escaped one is a slash. Only
 * for paths that go no further: no upstream may read them otherwise. ERR_INVALID also where the
 * path is not below. scratch: any content is lost. */
MUST_USE enum err http1_path_loose(struct slice target, struct slice below, struct buf *scratch,
                                   struct buf *path, struct slice *query);

const char *http1_reason(unsigned status);
