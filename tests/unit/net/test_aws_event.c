/* aws_event, json_lines — messages and lines, however the stream is cut; sums that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/crc32.h"
#include "common/net/aws_event.h"
#include "common/net/json_lines.h"

#define MOST (1u << 16)

typedef enum err next_fn(struct buf *rest, size_t max, struct slice *bytes, struct sse_event *ret);

/* Each event as "id/event/data;", read in pieces of so many bytes. */
static enum err read_in_pieces(next_fn *next, struct slice bytes, size_t piece, struct buf *out,
                               struct buf *raw)
{
    struct buf rest;
    struct sse_event e;
    enum err err = ERR_AGAIN;
    buf_init(&rest, MOST);
    while (err == ERR_AGAIN && bytes.len) {
        struct slice some = slice_first(bytes, piece);
        bytes = slice_from(bytes, some.len);
        while (!(err = next(&rest, MOST, &some, &e))) {
            assert_int_equal(buf_printf(out, "%.*s/%.*s/%.*s;", SLICE_ARG(e.id), SLICE_ARG(e.event),
                                        SLICE_ARG(e.data)),
                             ERR_OK);
            assert_int_equal(buf_append(raw, e.raw), ERR_OK);
        }
    }
    buf_fini(&rest);
    return err == ERR_AGAIN ? ERR_OK : err;
}

static void expect_read(next_fn *next, struct slice bytes, const char *want)
{
    struct buf out, raw;
    buf_init(&out, MOST);
    buf_init(&raw, MOST);
    for (size_t piece = 1; piece <= bytes.len; piece++) {
        buf_clear(&out);
        buf_clear(&raw);
        assert_int_equal(read_in_pieces(next, bytes, piece, &out, &raw), ERR_OK);
        if (!slice_eq(buf_slice(&out), slice_str(want)))
            fail_msg("in pieces of %zu: %.*s", piece, SLICE_ARG(buf_slice(&out)));
        assert_true(slice_starts(bytes, buf_slice(&raw)));
    }
    buf_fini(&out);
    buf_fini(&raw);
}

static void the_sum_is_the_usual_one(void **state)
{
    (void)state;
    assert_int_equal(crc32_ieee(SLICE("123456789")), 0xcbf43926);
    assert_int_equal(crc32_ieee(SLICE("")), 0);
}

/* The smallest message there is, as AWS's own libraries test it. */
static const uint8_t smallest[] = {0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00,
                                   0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff};

static void messages_are_read_however_they_are_cut(void **state)
{
    struct buf stream;
    (void)state;
    buf_init(&stream, MOST);
    assert_int_equal(aws_event_write(&stream, SLICE("event"), SLICE("messageStart"), SLICE("{}")),
                     ERR_OK);
    assert_int_equal(buf_append(&stream, slice_of(smallest, sizeof(smallest))), ERR_OK);
    assert_int_equal(
        aws_event_write(&stream, SLICE("exception"), SLICE("throttlingException"), SLICE("slow")),
        ERR_OK);
    assert_int_equal(aws_event_write(&stream, SLICE("event"), SLICE("x"), SLICE("")), ERR_OK);
    expect_read(aws_event_next, buf_slice(&stream),
                "event/messageStart/{};//;exception/throttlingException/slow;event/x/;");
    buf_fini(&stream);
}

static void a_flipped_bit_is_noticed_wherever_it_is(void **state)
{
    struct buf stream, out, raw;
    (void)state;
    buf_init(&stream, MOST);
    buf_init(&out, MOST);
    buf_init(&raw, MOST);
    assert_int_equal(aws_event_write(&stream, SLICE("event"), SLICE("e"), SLICE("payload")),
                     ERR_OK);
    for (size_t i = 0; i < stream.len * 8; i++) {
        stream.data[i / 8] = (char)(stream.data[i / 8] ^ (1 << i % 8));
        if (read_in_pieces(aws_event_next, buf_slice(&stream), 5, &out, &raw) != ERR_PROTOCOL)
            fail_msg("bit %zu", i);
        stream.data[i / 8] = (char)(stream.data[i / 8] ^ (1 << i % 8));
    }
    assert_int_equal(out.len, 0);
    buf_fini(&stream);
    buf_fini(&out);
    buf_fini(&raw);
}

static void put_u32(uint8_t *to, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(n >> (24 - 8 * i));
}

/* With sums that are right: lengths and headers that no message can have. */
static enum err read_forged(uint32_t len, uint32_t headers, const char *rest, size_t rest_len)
{
    uint8_t message[256] = {0};
    struct buf keep;
    struct sse_event e;
    put_u32(message, len);
    put_u32(message + 4, headers);
    put_u32(message + 8, crc32_ieee(slice_of(message, 8)));
    memcpy(message + 12, rest, rest_len);
    put_u32(message + 12 + rest_len, crc32_ieee(slice_of(message, 12 + rest_len)));
    struct slice bytes = slice_of(message, 16 + rest_len);
    buf_init(&keep, MOST);
    enum err err = aws_event_next(&keep, MOST, &bytes, &e);
    buf_fini(&keep);
    return err;
}

static void lengths_and_headers_that_cannot_be_are_refused(void **state)
{
    (void)state;
    assert_int_equal(read_forged(16, 0, "", 0), ERR_OK);
    assert_int_equal(read_forged(15, 0, "", 0), ERR_PROTOCOL);
    assert_int_equal(read_forged(0, 0, "", 0), ERR_PROTOCOL);
    assert_int_equal(read_forged(20, 5, "abcd", 4), ERR_PROTOCOL);
    assert_int_equal(read_forged(MOST + 1, 0, "", 0), ERR_TOO_BIG);
    assert_int_equal(read_forged(UINT32_MAX, 0, "", 0), ERR_TOO_BIG);
    assert_int_equal(read_forged(20, 4, "\x09 abc", 4), ERR_PROTOCOL); /* a name beyond the end */
    assert_int_equal(read_forged(21, 5, "\x01n\x07\x00\x09", 5), ERR_PROTOCOL); /* a value */
    assert_int_equal(read_forged(19, 3, "\x01n\x0a", 3), ERR_PROTOCOL);         /* a type */
    assert_int_equal(read_forged(19, 3, "\x01n\x00", 3), ERR_OK);               /* true */
    assert_int_equal(read_forged(27, 11,
                                 "\x01n\x08"
                                 "12345678",
                                 11),
                     ERR_OK); /* a time */
    assert_int_equal(read_forged(35, 19,
                                 "\x01n\x09"
                                 "1234567890123456",
                                 19),
                     ERR_OK);
}

static void lines_are_read_however_they_are_cut(void **state)
{
    (void)state;
    expect_read(json_lines_next, SLICE("{\"a\":1}\n\r\n  {\"b\":2} \r\n[]\nrest"),
                "//{\"a\":1};//;//{\"b\":2};//[];");
}

static void a_line_has_its_ceiling(void **state)
{
    struct buf rest;
    struct sse_event e;
    (void)state;
    buf_init(&rest, MOST);
    struct slice bytes = SLICE("0123456789\n");
    assert_int_equal(json_lines_next(&rest, 10, &bytes, &e), ERR_TOO_BIG);
    bytes = SLICE("01234");
    assert_int_equal(json_lines_next(&rest, 10, &bytes, &e), ERR_AGAIN);
    assert_true(json_lines_is_begun(&rest));
    bytes = SLICE("56789\n");
    assert_int_equal(json_lines_next(&rest, 10, &bytes, &e), ERR_TOO_BIG);
    buf_fini(&rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_is_the_usual_one),
        cmocka_unit_test(messages_are_read_however_they_are_cut),
        cmocka_unit_test(a_flipped_bit_is_noticed_wherever_it_is),
        cmocka_unit_test(lengths_and_headers_that_cannot_be_are_refused),
        cmocka_unit_test(lines_are_read_however_they_are_cut),
        cmocka_unit_test(a_line_has_its_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
