/* HTTP/1.1 bodies: where each ends, in whatever pieces it comes, and what is no body at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "tests/kit/net/heads.h"

#define ROW(text) text, sizeof(text) - 1

struct body_row {
    const char *name;
    const char *bytes;
    size_t len;
    const char *content; /* NULL: refused */
    bool unfinished;
};

static const struct body_row chunked[] = {
    {"one chunk", ROW("5\r\nhello\r\n0\r\n\r\n"), "hello", false},
    {"two chunks", ROW("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), "hello world", false},
    {"nothing", ROW("0\r\n\r\n"), "", false},
    {"eight digits", ROW("00000005\r\nhello\r\n00000000\r\n\r\n"), "hello", false},
    {"hex of both cases", ROW("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"),
     "01234567890123456789a", false},
    {"extension", ROW("5;a=b\r\nhello\r\n0;c\r\n\r\n"), "hello", false},
    {"trailer", ROW("0\r\nX-A: b\r\nX-B: c\r\n\r\n"), "", false},
    {"a framing header as trailer has no effect", ROW("0\r\nContent-Length: 7\r\n\r\n"), "", false},
    {"unfinished size", ROW("5"), "", true},
    {"unfinished data", ROW("5\r\nhel"), "hel", true},
    {"unfinished end", ROW("5\r\nhello\r\n0\r\n\r"), "hello", true},
    {"nine digits", ROW("000000005\r\nhello\r\n0\r\n\r\n"), NULL, false},
    {"overflow", ROW("fffffffffffffffff\r\n"), NULL, false},
    {"space after the size", ROW("5 \r\nhello\r\n0\r\n\r\n"), NULL, false},
    {"space before the size", ROW(" 5\r\nhello\r\n0\r\n\r\n"), NULL, false},
    {"space before an extension", ROW("5 ;a\r\nhello\r\n0\r\n\r\n"), NULL, false},
    {"no size", ROW("\r\nhello\r\n0\r\n\r\n"), NULL, false},
    {"0x", ROW("0x5\r\nhello\r\n0\r\n\r\n"), NULL, false},
    {"plus", ROW("+5\r\nhello\r\n0\r\n\r\n"), NULL, false},
    {"minus", ROW("-5\r\nhello\r\n0\r\n\r\n"), NULL, false},
    {"not hex", ROW("g\r\n"), NULL, false},
    {"bare LF after the size", ROW("5\nhello\r\n0\r\n\r\n"), NULL, false},
    {"bare LF after an extension", ROW("5;a\nhello\r\n0\r\n\r\n"), NULL, false},
    {"bare CR after the size", ROW("5\rhello\r\n0\r\n\r\n"), NULL, false},
    {"bare LF after the data", ROW("5\r\nhello\n0\r\n\r\n"), NULL, false},
    {"nothing after the data", ROW("5\r\nhello0\r\n\r\n"), NULL, false},
    {"too much data", ROW("5\r\nhelloo\r\n0\r\n\r\n"), NULL, false},
    {"bare LF at the end", ROW("0\r\n\n"), NULL, false},
    {"bare LF after the last size", ROW("0\n\r\n"), NULL, false},
    {"NUL in an extension", ROW("5;\0\r\nhello\r\n0\r\n\r\n"), NULL, false},
    {"space in a trailer's name", ROW("0\r\nX A: b\r\n\r\n"), NULL, false},
    {"space before a trailer's colon", ROW("0\r\nX-A : b\r\n\r\n"), NULL, false},
    {"fold in a trailer", ROW("0\r\nX-A: b\r\n c\r\n\r\n"), NULL, false},
    {"bare LF in a trailer", ROW("0\r\nX-A: b\n\r\n"), NULL, false},
    {"bare CR in a trailer", ROW("0\r\nX-A: b\rc\r\n\r\n"), NULL, false},
    {"NUL in a trailer", ROW("0\r\nX-A: \0\r\n\r\n"), NULL, false},
    {"empty trailer name", ROW("0\r\n: b\r\n\r\n"), NULL, false},
};

/* Walks bytes in pieces of at most `cut`; content goes to out. joins: of bytes that may be
 * overwritten, chunks that follow each other in one piece. */
static enum err walk_how(struct http1_body *b, struct slice bytes, size_t cut, bool joins,
                         struct buf *out, struct slice *rest)
{
    struct http1_problem problem = {0};
    bool ended = false;
    while (!ended) {
        struct slice piece = slice_first(bytes, cut), content;
        size_t given = piece.len;
        enum err e = http1_body_next(b, &piece, &content, &ended, &problem);
        if (!e && joins && content.len)
            http1_body_join(b, &piece, &content);
        bytes = slice_from(bytes, given - piece.len);
        if (e == ERR_AGAIN && bytes.len)
            continue;
        if (e) {
            if (e == ERR_INVALID)
                assert_int_equal(problem.status, 400);
            return e;
        }
        assert_int_equal(buf_append(out, content), ERR_OK);
    }
    *rest = bytes;
    return ERR_OK;
}

static enum err walk(struct http1_body *b, struct slice bytes, size_t cut, struct buf *out,
                     struct slice *rest)
{
    return walk_how(b, bytes, cut, false, out, rest);
}

static void init_chunked(struct http1_body *b)
{
    static struct http_head h;
    h.chunked = true;
    http1_body_init(b, HTTP1_REQUEST, &h, SLICE("POST"));
}

static void each_chunked_body_has_its_verdict_in_any_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(chunked); i++) {
        const struct body_row *r = &chunked[i];
        for (size_t cut = 1; cut <= r->len; cut++) {
            struct http1_body b;
            struct buf out;
            struct slice rest = SLICE_NONE;
            buf_init(&out, 4096);
            init_chunked(&b);
            enum err e = walk(&b, slice_of(r->bytes, r->len), cut, &out, &rest);
            enum err want = !r->content ? ERR_INVALID : r->unfinished ? ERR_AGAIN : ERR_OK;
            if (e != want)
                fail_msg("\"%s\" cut at %zu: %s", r->name, cut, err_name(e));
            if (r->content)
                assert_true(slice_eq(buf_slice(&out), slice_str(r->content)));
            assert_int_equal(rest.len, 0);
            buf_fini(&out);
        }
    }
}

static void joined_chunks_have_the_same_verdict_in_any_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(chunked); i++) {
        const struct body_row *r = &chunked[i];
        for (size_t cut = 1; cut <= r->len; cut++) {
            char copy[1024];
            struct http1_body b;
            struct buf out;
            struct slice rest = SLICE_NONE;
            assert_true(r->len <= sizeof(copy));
            memcpy(copy, r->bytes, r->len);
            buf_init(&out, 4096);
            init_chunked(&b);
            enum err e = walk_how(&b, slice_of(copy, r->len), cut, true, &out, &rest);
            enum err want = !r->content ? ERR_INVALID : r->unfinished ? ERR_AGAIN : ERR_OK;
            if (e != want)
                fail_msg("\"%s\" cut at %zu: %s", r->name, cut, err_name(e));
            if (r->content && !slice_eq(buf_slice(&out), slice_str(r->content)))
                fail_msg("\"%s\" cut at %zu: other content", r->name, cut);
            buf_fini(&out);
        }
    }
}

static void chunks_of_one_read_become_one_piece(void **state)
{
    (void)state;
    char bytes[] = "5\r\nhello\r\n1\r\n,\r\n0006\r\n world\r\na\r\n!";
    struct slice left = slice_of(bytes, sizeof(bytes) - 1), piece;
    struct http1_problem problem;
    struct http1_body b;
    bool ended;
    init_chunked(&b);
    assert_int_equal(http1_body_next(&b, &left, &piece, &ended, &problem), ERR_OK);
    http1_body_join(&b, &left, &piece);
    assert_true(slice_eq(piece, SLICE("hello, world!")));
    assert_int_equal(left.len, 0);

    char behind[] = "123456789\r\n0\r\n\r\n";
    left = slice_of(behind, sizeof(behind) - 1);
    assert_int_equal(http1_body_next(&b, &left, &piece, &ended, &problem), ERR_OK);
    http1_body_join(&b, &left, &piece);
    assert_true(slice_eq(piece, SLICE("123456789"))); /* the rest of the cut one */
    assert_int_equal(http1_body_next(&b, &left, &piece, &ended, &problem), ERR_OK);
    assert_true(ended);
}

static void what_follows_a_body_is_left_alone(void **state)
{
    (void)state;
    struct http1_body b;
    struct buf out;
    struct slice rest;
    buf_init(&out, 4096);
    init_chunked(&b);
    assert_int_equal(walk(&b, SLICE("1\r\nx\r\n0\r\n\r\nGET /"), 100, &out, &rest), ERR_OK);
    assert_true(slice_eq(rest, SLICE("GET /")));

    struct http_head h = {.has_length = true, .length = 3};
    http1_body_init(&b, HTTP1_REQUEST, &h, SLICE("POST"));
    assert_int_equal(walk(&b, SLICE("abcGET /"), 2, &out, &rest), ERR_OK);
    assert_true(slice_eq(rest, SLICE("GET /")));
    assert_true(slice_eq(buf_slice(&out), SLICE("xabc")));
    buf_fini(&out);
}

static enum err walk_buf(const struct buf *in)
{
    struct http1_body b;
    struct buf out;
    struct slice rest;
    buf_init(&out, 1 << 20);
    init_chunked(&b);
    enum err e = walk(&b, buf_slice(in), SIZE_MAX, &out, &rest);
    buf_fini(&out);
    return e;
}

static void floods_of_extensions_and_trailers_end(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, 1 << 20);
    kit_fill(&in, "1;", 1);
    kit_fill(&in, "a", LIMIT_HTTP_CHUNK_EXT);
    kit_fill(&in, "\r\nx\r\n0\r\n\r\n", 1);
    assert_int_equal(walk_buf(&in), ERR_OK);
    buf_clear(&in);
    kit_fill(&in, "1;", 1);
    kit_fill(&in, "a", LIMIT_HTTP_CHUNK_EXT + 1);
    assert_int_equal(walk_buf(&in), ERR_INVALID);
    buf_clear(&in);
    kit_fill(&in, "1;abcdefgh\r\nx\r\n", LIMIT_HTTP_CHUNK_EXTRAS / 8);
    assert_int_equal(walk_buf(&in), ERR_AGAIN);
    kit_fill(&in, "1;abcdefgh\r\nx\r\n", 1);
    assert_int_equal(walk_buf(&in), ERR_INVALID);
    buf_clear(&in);
    kit_fill(&in, "0\r\n", 1);
    kit_fill(&in, "X-Aaaa: bbbbbb\r\n", LIMIT_HTTP_TRAILERS / 16);
    assert_int_equal(walk_buf(&in), ERR_AGAIN);
    kit_fill(&in, "X-Aaaa: bbbbbb\r\n", 1);
    assert_int_equal(walk_buf(&in), ERR_INVALID);
    buf_fini(&in);
}

static enum http1_body_kind response_body(const char *text, struct slice method)
{
    struct http_head h;
    struct http1_problem problem;
    struct http1_body b;
    size_t len;
    assert_int_equal(http1_head(HTTP1_ANSWER, slice_str(text), &h, &len, &problem), ERR_OK);
    http1_body_init(&b, HTTP1_ANSWER, &h, method);
    return b.kind;
}

static void the_body_of_a_response_ends_as_its_head_says(void **state)
{
    (void)state;
    const struct slice get = SLICE("GET");
    assert_int_equal(response_body("HTTP/1.1 200 OK\r\n\r\n", get), HTTP1_BODY_TO_CLOSE);
    assert_int_equal(response_body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", get),
                     HTTP1_BODY_LENGTH);
    assert_int_equal(response_body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", get),
                     HTTP1_BODY_NONE);
    assert_int_equal(response_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", get),
                     HTTP1_BODY_CHUNKED);
    assert_int_equal(response_body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", SLICE("HEAD")),
                     HTTP1_BODY_NONE);
    assert_int_equal(response_body("HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", get),
                     HTTP1_BODY_NONE);
    assert_int_equal(response_body("HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n", get),
                     HTTP1_BODY_NONE);
    assert_int_equal(response_body("HTTP/1.1 100 Go\r\n\r\n", get), HTTP1_BODY_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_chunked_body_has_its_verdict_in_any_cut),
        cmocka_unit_test(joined_chunks_have_the_same_verdict_in_any_cut),
        cmocka_unit_test(chunks_of_one_read_become_one_piece),
        cmocka_unit_test(what_follows_a_body_is_left_alone),
        cmocka_unit_test(floods_of_extensions_and_trailers_end),
        cmocka_unit_test(the_body_of_a_response_ends_as_its_head_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
