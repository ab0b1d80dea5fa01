/*
 * HTTP/1.1 framing: every shape that security.md names is a row, and so are the shapes by which
 * requests have been smuggled elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "tests/kit/net/heads.h"

#define H "Host: x\r\n"
#define ROW(text) text, sizeof(text) - 1

struct row {
    const char *name;
    const char *bytes;
    size_t len;
    unsigned status; /* 0: accepted; 1: more is wanted */
};

static const struct row requests[] = {
    /* what is right */
    {"plain", ROW("GET / HTTP/1.1\r\n" H "\r\n"), 0},
    {"one leading CRLF", ROW("\r\nGET / HTTP/1.1\r\n" H "\r\n"), 0},
    {"HTTP/1.0", ROW("GET / HTTP/1.0\r\n" H "\r\n"), 0},
    {"OPTIONS *", ROW("OPTIONS * HTTP/1.1\r\n" H "\r\n"), 0},
    {"length", ROW("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n"), 0},
    {"chunked", ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), 0},
    {"coding names have no case", ROW("POST / HTTP/1.1\r\n" H "TRANSFER-ENCODING:CHUNKED\r\n\r\n"),
     0},
    {"white space around a value", ROW("GET / HTTP/1.1\r\nHost: \t x \t \r\n\r\n"), 0},
    {"no white space before a value", ROW("GET / HTTP/1.1\r\nHost:x\r\n\r\n"), 0},
    {"empty value", ROW("GET / HTTP/1.1\r\n" H "X-A:\r\n\r\n"), 0},
    {"tab inside a value", ROW("GET / HTTP/1.1\r\n" H "X-A: a\tb\r\n\r\n"), 0},
    {"obs-text in a value", ROW("GET / HTTP/1.1\r\n" H "X-A: \xc3\xa9\xff\r\n\r\n"), 0},
    {"expect", ROW("PUT / HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n"), 0},
    {"IPv6 host", ROW("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), 0},
    {"upgrade is an ordinary header", ROW("GET / HTTP/1.1\r\n" H "Upgrade: h2c\r\n\r\n"), 0},
    {"odd method", ROW("M-SEARCH / HTTP/1.1\r\n" H "\r\n"), 0},
    /* unfinished */
    {"nothing", ROW(""), 1},
    {"half a line", ROW("GET / HT"), 1},
    {"no empty line yet", ROW("GET / HTTP/1.1\r\n" H), 1},
    {"last LF missing", ROW("GET / HTTP/1.1\r\n" H "\r"), 1},
    {"only a CR", ROW("\r"), 1},
    {"only the forgiven CRLF", ROW("\r\n"), 1},
    /* security.md */
    {"space before the colon of a length",
     ROW("POST / HTTP/1.1\r\n" H "Content-Length : 5\r\n\r\nhello"), 400},
    {"space before the colon of a coding",
     ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n"), 400},
    {"tab before the colon", ROW("POST / HTTP/1.1\r\n" H "Content-Length\t: 5\r\n\r\n"), 400},
    {"identity, chunked",
     ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity, chunked\r\n\r\n"), 400},
    {"fold", ROW("GET / HTTP/1.1\r\n" H "X-A: b\r\n c\r\n\r\n"), 400},
    {"fold by a tab", ROW("GET / HTTP/1.1\r\n" H "X-A: b\r\n\tc\r\n\r\n"), 400},
    {"fold before the first header", ROW("GET / HTTP/1.1\r\n " H "\r\n"), 400},
    {"bare LF after the request line", ROW("GET / HTTP/1.1\n" H "\r\n"), 400},
    {"bare LF after a header", ROW("GET / HTTP/1.1\r\nHost: x\n\r\n"), 400},
    {"bare LF as empty line", ROW("GET / HTTP/1.1\r\n" H "\n"), 400},
    {"only bare LFs", ROW("GET / HTTP/1.1\nHost: x\n\n"), 400},
    {"two hosts", ROW("GET / HTTP/1.1\r\n" H "Host: y\r\n\r\n"), 400},
    {"the same host twice", ROW("GET / HTTP/1.1\r\n" H H "\r\n"), 400},
    {"no host", ROW("GET / HTTP/1.1\r\n\r\n"), 400},
    {"no host in HTTP/1.0", ROW("GET / HTTP/1.0\r\n\r\n"), 400},
    {"HTTP/7.7", ROW("GET / HTTP/7.7\r\n" H "\r\n"), 505},
    {"HTTP/1.2", ROW("GET / HTTP/1.2\r\n" H "\r\n"), 505},
    {"HTTP/2.0", ROW("GET / HTTP/2.0\r\n" H "\r\n"), 505},
    {"HTTP/1.0 with chunked", ROW("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
     400},
    {"tab in the target", ROW("GET /a\tb HTTP/1.1\r\n" H "\r\n"), 400},
    {"0xFF in the target", ROW("GET /a\xff HTTP/1.1\r\n" H "\r\n"), 400},
    /* lines */
    {"bare CR in the request line", ROW("GET /\r HTTP/1.1\r\n" H "\r\n"), 400},
    {"bare CR in a value", ROW("GET / HTTP/1.1\r\n" H "X-A: b\rc\r\n\r\n"), 400},
    {"bare CR in a name", ROW("GET / HTTP/1.1\r\n" H "X\r-A: b\r\n\r\n"), 400},
    {"CR CR LF", ROW("GET / HTTP/1.1\r\n" H "X-A: b\r\r\n\r\n"), 400},
    {"two leading CRLF", ROW("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), 400},
    {"leading LF", ROW("\nGET / HTTP/1.1\r\n" H "\r\n"), 400},
    {"leading space", ROW(" GET / HTTP/1.1\r\n" H "\r\n"), 400},
    {"leading CR and a letter", ROW("\rGET / HTTP/1.1\r\n" H "\r\n"), 400},
    {"NUL in the request line", ROW("GET /\0 HTTP/1.1\r\n" H "\r\n"), 400},
    {"NUL in a value", ROW("GET / HTTP/1.1\r\n" H "X-A: b\0c\r\n\r\n"), 400},
    {"NUL in a name", ROW("GET / HTTP/1.1\r\n" H "X\0A: b\r\n\r\n"), 400},
    {"NUL first", ROW("\0GET / HTTP/1.1\r\n" H "\r\n"), 400},
    {"DEL in a value", ROW("GET / HTTP/1.1\r\n" H "X-A: b\x7f\r\n\r\n"), 400},
    {"vertical tab as white space", ROW("GET / HTTP/1.1\r\n" H "X-A:\x0b b\r\n\r\n"), 400},
    /* request line */
    {"HTTP/0.9", ROW("GET /\r\n\r\n"), 400},
    {"HTTP/0.9, first line only", ROW("GET /\r\n"), 400},
    {"HTTP/2 preface", ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
    {"a TLS hello", ROW("\x16\x03\x01\x02\x00\x01"), 400},
    {"two spaces before the target", ROW("GET  / HTTP/1.1\r\n" H "\r\n"), 400},
    {"two spaces before the version", ROW("GET /  HTTP/1.1\r\n" H "\r\n"), 400},
    {"tab before the target", ROW("GET\t/ HTTP/1.1\r\n" H "\r\n"), 400},
    {"space at the end", ROW("GET / HTTP/1.1 \r\n" H "\r\n"), 400},
    {"no target", ROW("GET HTTP/1.1\r\n" H "\r\n"), 400},
    {"small letters in the version", ROW("GET / http/1.1\r\n" H "\r\n"), 400},
    {"version without minor", ROW("GET / HTTP/1\r\n" H "\r\n"), 400},
    {"version with two digits", ROW("GET / HTTP/1.10\r\n" H "\r\n"), 400},
    {"version 01.1", ROW("GET / HTTP/01.1\r\n" H "\r\n"), 400},
    {"absolute form", ROW("GET http://x/ HTTP/1.1\r\n" H "\r\n"), 400},
    {"absolute form, other host", ROW("GET http://evil/ HTTP/1.1\r\n" H "\r\n"), 400},
    {"authority form", ROW("CONNECT x:443 HTTP/1.1\r\n" H "\r\n"), 400},
    {"CONNECT with a path", ROW("CONNECT / HTTP/1.1\r\n" H "\r\n"), 501},
    {"TRACE", ROW("TRACE / HTTP/1.1\r\n" H "\r\n"), 501},
    {"GET *", ROW("GET * HTTP/1.1\r\n" H "\r\n"), 400},
    {"relative target", ROW("GET a HTTP/1.1\r\n" H "\r\n"), 400},
    {"query without a path", ROW("GET ?a HTTP/1.1\r\n" H "\r\n"), 400},
    {"fragment", ROW("GET /a#b HTTP/1.1\r\n" H "\r\n"), 400},
    {"method with a bracket", ROW("GE(T / HTTP/1.1\r\n" H "\r\n"), 400},
    {"method with a colon", ROW("GET: / HTTP/1.1\r\n" H "\r\n"), 400},
    {"a very long method", ROW("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" H "\r\n"),
     501},
    /* names */
    {"empty name", ROW("GET / HTTP/1.1\r\n" H ": b\r\n\r\n"), 400},
    {"no colon", ROW("GET / HTTP/1.1\r\n" H "X-A\r\n\r\n"), 400},
    {"space inside a name", ROW("GET / HTTP/1.1\r\n" H "X A: b\r\n\r\n"), 400},
    {"bracket in a name", ROW("GET / HTTP/1.1\r\n" H "X[A]: b\r\n\r\n"), 400},
    {"0xFF in a name", ROW("GET / HTTP/1.1\r\n" H "X\xff: b\r\n\r\n"), 400},
    /* Host */
    {"empty host", ROW("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400},
    {"two hosts in one", ROW("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), 400},
    {"host with user information", ROW("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), 400},
    {"host with a path", ROW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400},
    {"host with obs-text", ROW("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"), 400},
    /* smuggling: lengths */
    {"length and coding",
     ROW("POST / HTTP/1.1\r\n" H "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {"coding and length",
     ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n"), 400},
    {"two lengths", ROW("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
     400},
    {"the same length twice",
     ROW("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), 400},
    {"the same length in one value", ROW("POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n"),
     400},
    {"length with a comma", ROW("POST / HTTP/1.1\r\n" H "Content-Length: 5,\r\n\r\n"), 400},
    {"length with a plus", ROW("POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n"), 400},
    {"negative length", ROW("POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\n"), 400},
    {"length with a space", ROW("POST / HTTP/1.1\r\n" H "Content-Length: 5 0\r\n\r\n"), 400},
    {"hex length", ROW("POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n"), 400},
    {"length with an exponent", ROW("POST / HTTP/1.1\r\n" H "Content-Length: 1e1\r\n\r\n"), 400},
    {"length with a point", ROW("POST / HTTP/1.1\r\n" H "Content-Length: 5.0\r\n\r\n"), 400},
    {"empty length", ROW("POST / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n"), 400},
    {"quoted length", ROW("POST / HTTP/1.1\r\n" H "Content-Length: \"5\"\r\n\r\n"), 400},
    {"length beyond 64 bits",
     ROW("POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n"), 400},
    {"length with leading vertical tab",
     ROW("POST / HTTP/1.1\r\n" H "Content-Length: \x0b"
         "5\r\n\r\n"),
     400},
    /* smuggling: codings */
    {"a tab behind chunked", ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\t\r\n\r\n"),
     400},
    {"a tab among spaces before chunked",
     ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \t chunked\r\n\r\n"), 400},
    {"a tab beside a length", ROW("POST / HTTP/1.1\r\n" H "Content-Length: 5 \t\r\n\r\nhello"),
     400},
    {"gzip, chunked", ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"), 400},
    {"chunked, identity",
     ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n"), 400},
    {"chunked twice in one",
     ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"), 400},
    {"chunked twice",
     ROW("POST / HTTP/1.1\r\n" H
         "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
     400},
    {"chunked and identity in two",
     ROW("POST / HTTP/1.1\r\n" H
         "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
     400},
    {"xchunked", ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"), 400},
    {"chunkedx", ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunkedx\r\n\r\n"), 400},
    {"chunked with a parameter",
     ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n"), 400},
    {"quoted chunked", ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n"), 400},
    {"empty coding", ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"), 400},
    {"identity", ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"), 400},
    {"coding behind a comma", ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: ,chunked\r\n\r\n"),
     400},
    {"coding behind a fold", ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n"),
     400},
    /* Expect */
    {"another expectation", ROW("PUT / HTTP/1.1\r\n" H "Expect: 200-ok\r\n\r\n"), 417},
    {"two expectations",
     ROW("PUT / HTTP/1.1\r\n" H "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"), 417},
};

static const struct row responses[] = {
    {"plain", ROW("HTTP/1.1 200 OK\r\n\r\n"), 0},
    {"no reason", ROW("HTTP/1.1 200 \r\n\r\n"), 0},
    {"no reason and no space", ROW("HTTP/1.1 200\r\n\r\n"), 0},
    {"HTTP/1.0", ROW("HTTP/1.0 404 Not Found\r\n\r\n"), 0},
    {"interim", ROW("HTTP/1.1 100 Continue\r\n\r\n"), 0},
    {"half", ROW("HTTP/1.1 20"), 1},
    {"leading CRLF", ROW("\r\nHTTP/1.1 200 OK\r\n\r\n"), 400},
    {"not HTTP", ROW("SSH-2.0-OpenSSH_9.2\r\n"), 400},
    {"ICY", ROW("ICY 200 OK\r\n\r\n"), 400},
    {"HTTP/2", ROW("HTTP/2.0 200 OK\r\n\r\n"), 505},
    {"HTTP/2 without minor", ROW("HTTP/2 200 OK\r\n\r\n"), 400},
    {"two digits", ROW("HTTP/1.1 20 OK\r\n\r\n"), 400},
    {"four digits", ROW("HTTP/1.1 2000 OK\r\n\r\n"), 400},
    {"status 099", ROW("HTTP/1.1 099 OK\r\n\r\n"), 400},
    {"status 600", ROW("HTTP/1.1 600 OK\r\n\r\n"), 400},
    {"two spaces", ROW("HTTP/1.1  200 OK\r\n\r\n"), 400},
    {"control in the reason", ROW("HTTP/1.1 200 O\x01K\r\n\r\n"), 400},
    {"bare CR in the reason", ROW("HTTP/1.1 200 O\rK\r\n\r\n"), 400},
    {"bare LF", ROW("HTTP/1.1 200 OK\nX-A: b\r\n\r\n"), 400},
    {"fold", ROW("HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\n"), 400},
    {"length and coding",
     ROW("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {"two lengths", ROW("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"), 400},
    {"gzip, chunked", ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 400},
    {"HTTP/1.0 with chunked", ROW("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
};

static unsigned verdict(enum http1_kind kind, const struct row *r)
{
    /* a copy of exact size, so that a byte read too many is a report */
    char *bytes = malloc(r->len ? r->len : 1);
    struct http_head h;
    struct http1_problem problem = {0};
    size_t len = 0;
    assert_non_null(bytes);
    memcpy(bytes, r->bytes, r->len);
    enum err e = http1_head(kind, slice_of(bytes, r->len), &h, &len, &problem);
    free(bytes);
    if (e == ERR_INVALID)
        assert_non_null(problem.text);
    return e == ERR_OK ? 0 : e == ERR_AGAIN ? 1 : problem.status;
}

static void each_shape_has_its_verdict(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        unsigned got = verdict(HTTP1_REQUEST, &requests[i]);
        if (got != requests[i].status) {
            print_error("request \"%s\": %u instead of %u\n", requests[i].name, got,
                        requests[i].status);
            wrong++;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        unsigned got = verdict(HTTP1_ANSWER, &responses[i]);
        if (got != responses[i].status) {
            print_error("response \"%s\": %u instead of %u\n", responses[i].name, got,
                        responses[i].status);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* Byte by byte the verdict is the same, and never a refusal of what will be accepted. */
static void a_head_that_comes_byte_by_byte_gets_the_same_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        const struct row *r = &requests[i];
        struct http1_problem problem = {0};
        size_t scanned = 0, len = 0;
        enum err e = ERR_AGAIN;
        for (size_t n = 1; n <= r->len && e == ERR_AGAIN; n++)
            e = http1_head_end(HTTP1_REQUEST, slice_of(r->bytes, n), &scanned, &len, &problem);
        struct http_head h;
        if (e == ERR_OK)
            e = http1_head_parse(HTTP1_REQUEST, slice_of(r->bytes, len), &h, &problem);
        unsigned got = e == ERR_OK ? 0 : e == ERR_AGAIN ? 1 : problem.status;
        if (got != r->status)
            fail_msg("\"%s\" dripped: %u instead of %u", r->name, got, r->status);
    }
}

static void a_head_is_read_into_its_parts(void **state)
{
    (void)state;
    const struct slice text = SLICE("POST /v1/chat?a=b HTTP/1.1\r\nHost: api.example:8080\r\n"
                                    "Connection: foo, Close\r\nContent-Length: 0012\r\n"
                                    "X-Many: 1\r\nx-many: 2\r\n\r\nhello world!");
    struct http_head h;
    struct http1_problem problem;
    size_t len;
    assert_int_equal(http1_head(HTTP1_REQUEST, text, &h, &len, &problem), ERR_OK);
    assert_int_equal(len, text.len - 12);
    assert_true(slice_eq(h.method, SLICE("POST")));
    assert_true(slice_eq(h.target, SLICE("/v1/chat?a=b")));
    assert_int_equal(h.version, HTTP_11);
    assert_int_equal(h.header_count, 5);
    assert_true(h.has_length);
    assert_int_equal(h.length, 12);
    assert_false(h.chunked);
    assert_false(h.keep_alive);
    assert_true(slice_eq(http_head_find(&h, SLICE("host")), SLICE("api.example:8080")));
    assert_true(slice_eq(http_head_find(&h, SLICE("X-MANY")), SLICE("1")));
    assert_int_equal(http_head_count(&h, SLICE("x-many")), 2);
    assert_null(http_head_find(&h, SLICE("x-none")).ptr);
}

static bool keeps(const char *text)
{
    struct http_head h;
    struct http1_problem problem;
    size_t len;
    assert_int_equal(http1_head(HTTP1_REQUEST, slice_str(text), &h, &len, &problem), ERR_OK);
    return h.keep_alive;
}

static void connections_are_kept_by_the_rules_of_each_version(void **state)
{
    (void)state;
    assert_true(keeps("GET / HTTP/1.1\r\n" H "\r\n"));
    assert_false(keeps("GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n"));
    assert_false(keeps("GET / HTTP/1.1\r\n" H "Connection: x\r\nConnection: y ,CLOSE\r\n\r\n"));
    assert_true(keeps("GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n"));
    assert_false(keeps("GET / HTTP/1.0\r\n" H "\r\n"));
    assert_true(keeps("GET / HTTP/1.0\r\n" H "Connection: Keep-Alive\r\n\r\n"));
    assert_false(keeps("GET / HTTP/1.0\r\n" H "Connection: keep-alive, close\r\n\r\n"));
}

static unsigned verdict_of_buf(const struct buf *b)
{
    struct row r = {"", buf_slice(b).ptr, b->len, 0};
    return verdict(HTTP1_REQUEST, &r);
}

static void a_flood_of_headers_is_431(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4 * LIMIT_HTTP_HEAD);
    kit_fill(&b, "GET / HTTP/1.1\r\n" H, 1);
    kit_fill(&b, "a: b\r\n", LIMIT_HTTP_HEADERS - 1);
    kit_fill(&b, "\r\n", 1);
    assert_int_equal(verdict_of_buf(&b), 0);
    buf_clear(&b);
    kit_fill(&b, "GET / HTTP/1.1\r\n" H, 1);
    kit_fill(&b, "a: b\r\n", LIMIT_HTTP_HEADERS);
    kit_fill(&b, "\r\n", 1);
    assert_int_equal(verdict_of_buf(&b), 431);
    buf_fini(&b);
}

static void a_head_beyond_its_ceiling_is_431_whole_or_not(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4 * LIMIT_HTTP_HEAD);
    kit_fill(&b, "GET / HTTP/1.1\r\n" H "X-A: ", 1);
    kit_fill(&b, "0123456789abcdef", LIMIT_HTTP_HEAD / 16);
    assert_int_equal(verdict_of_buf(&b), 431);
    kit_fill(&b, "\r\n\r\n", 1);
    assert_int_equal(verdict_of_buf(&b), 431);
    buf_fini(&b);
}

static void a_target_beyond_its_ceiling_is_414_whole_or_not(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4 * LIMIT_HTTP_HEAD);
    kit_fill(&b, "GET /", 1);
    kit_fill(&b, "0123456789abcdef", LIMIT_HTTP_TARGET / 16);
    assert_int_equal(verdict_of_buf(&b), 1);
    kit_fill(&b, " HTTP/1.1\r\n" H "\r\n", 1);
    assert_int_equal(verdict_of_buf(&b), 414);
    buf_clear(&b);
    kit_fill(&b, "GET /", 1);
    kit_fill(&b, "0123456789abcdef", LIMIT_HTTP_TARGET / 16 + 8);
    assert_int_equal(verdict_of_buf(&b), 414);
    buf_fini(&b);
}

/* Every byte in every place of a name, a value and a target: the tables against their rule. */
static void each_byte_is_judged_by_its_place(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char text[128];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool token = alnum || (c && strchr("!#$%&'*+-.^_`|~", (int)c));
        bool value = c == '\t' || (c >= 0x20 && c != 0x7f);
        bool target = c > 0x20 && c < 0x7f && c != '#';
        for (size_t pad = 0; pad < 20; pad++) {
            int n = snprintf(text, sizeof text, "GET /%.*s%c HTTP/1.1\r\n" H "\r\n", (int)pad,
                             "abcdefghijklmnopqrst", (char)c);
            struct row r = {"", text, (size_t)n, 0};
            /* a second space is the version's place: also refused */
            assert_int_equal(verdict(HTTP1_REQUEST, &r) == 0, target);
            n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" H "X: %.*s%cz\r\n\r\n", (int)pad,
                         "abcdefghijklmnopqrst", (char)c);
            r.len = (size_t)n;
            assert_int_equal(verdict(HTTP1_REQUEST, &r) == 0, value);
            n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" H "X%.*s%cz: 1\r\n\r\n", (int)pad,
                         "abcdefghijklmnopqrst", (char)c);
            r.len = (size_t)n;
            /* a colon ends the name: the rest is value */
            assert_int_equal(verdict(HTTP1_REQUEST, &r) == 0, token || c == ':');
        }
    }
}

/* ---- writers ---- */

static void what_is_written_reads_back(void **state)
{
    (void)state;
    const struct http_header headers[] = {{SLICE("Host"), SLICE("a")}, {SLICE("X-A"), SLICE("")}};
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(kit_write_request(&out, SLICE("PUT"), SLICE("/x?y"), headers, 2), ERR_OK);
    assert_true(slice_eq(buf_slice(&out), SLICE("PUT /x?y HTTP/1.1\r\nHost: a\r\nX-A: \r\n\r\n")));
    assert_int_equal(verdict_of_buf(&out), 0);
    buf_clear(&out);
    assert_int_equal(kit_write_status(&out, 404, headers + 1, 1), ERR_OK);
    assert_true(slice_eq(buf_slice(&out), SLICE("HTTP/1.1 404 Not Found\r\nX-A: \r\n\r\n")));
    buf_fini(&out);
}

static void nothing_that_splits_a_head_is_written(void **state)
{
    (void)state;
    static const struct http_header bad[] = {
        {SLICE("X"), SLICE("a\r\nY: b")}, {SLICE("X"), SLICE("a\nb")},
        {SLICE("X"), SLICE("a\rb")},      {SLICE("X"), SLICE("a\0b")},
        {SLICE("X"), SLICE("a\x7f")},     {SLICE("X Y"), SLICE("a")},
        {SLICE("X:"), SLICE("a")},        {SLICE(""), SLICE("a")},
        {SLICE("X\r\n"), SLICE("a")},
    };
    struct buf out;
    buf_init(&out, 4096);
    kit_fill(&out, "before", 1);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(kit_write_request(&out, SLICE("GET"), SLICE("/"), &bad[i], 1),
                         ERR_INVALID);
        assert_int_equal(kit_write_status(&out, 200, &bad[i], 1), ERR_INVALID);
    }
    assert_int_equal(kit_write_request(&out, SLICE("G T"), SLICE("/"), NULL, 0), ERR_INVALID);
    assert_int_equal(kit_write_request(&out, SLICE("GET"), SLICE("/ b"), NULL, 0), ERR_INVALID);
    assert_int_equal(kit_write_request(&out, SLICE("GET"), SLICE("/\r\n"), NULL, 0), ERR_INVALID);
    assert_int_equal(kit_write_request(&out, SLICE("GET"), SLICE(""), NULL, 0), ERR_INVALID);
    assert_int_equal(kit_write_status(&out, 99, NULL, 0), ERR_INVALID);
    assert_int_equal(kit_write_status(&out, 600, NULL, 0), ERR_INVALID);
    assert_true(slice_eq(buf_slice(&out), SLICE("before")));
    buf_fini(&out);
}

/* What the writer lets through is exactly what the reader does, wherever in a name or value. */
static void each_byte_is_written_only_where_it_may_stand(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool token = alnum || (c && strchr("!#$%&'*+-.^_`|~", (int)c));
        bool value = c == '\t' || (c >= 0x20 && c != 0x7f);
        for (size_t len = 1; len < 36; len++) {
            char text[36];
            memset(text, 'a', sizeof text);
            text[len - 1 - len / 3] = (char)c;
            struct http_header as_name = {slice_of(text, len), SLICE("1")};
            struct http_header as_value = {SLICE("X"), slice_of(text, len)};
            struct buf out;
            buf_init(&out, 128); /* little space: a read beyond it is seen */
            assert_int_equal(kit_write_status(&out, 200, &as_name, 1) == ERR_OK, token);
            buf_clear(&out);
            assert_int_equal(kit_write_status(&out, 200, &as_value, 1) == ERR_OK, value);
            buf_fini(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_shape_has_its_verdict),
        cmocka_unit_test(a_head_that_comes_byte_by_byte_gets_the_same_verdict),
        cmocka_unit_test(a_head_is_read_into_its_parts),
        cmocka_unit_test(connections_are_kept_by_the_rules_of_each_version),
        cmocka_unit_test(a_flood_of_headers_is_431),
        cmocka_unit_test(a_head_beyond_its_ceiling_is_431_whole_or_not),
        cmocka_unit_test(a_target_beyond_its_ceiling_is_414_whole_or_not),
        cmocka_unit_test(each_byte_is_judged_by_its_place),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(nothing_that_splits_a_head_is_written),
        cmocka_unit_test(each_byte_is_written_only_where_it_may_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
