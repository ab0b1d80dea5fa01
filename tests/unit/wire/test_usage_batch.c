/* usage_batch — records arrive as they were, and what is no batch is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/compress.h"
#include "common/wire/usage_batch.h"

#define RECORD_MAX 512

static struct slice a_record(int i, uint8_t space[static RECORD_MAX])
{
    Gatehouse__JournalRecord m = GATEHOUSE__JOURNAL_RECORD__INIT;
    Gatehouse__Span span = GATEHOUSE__SPAN__INIT;
    char id[24];
    snprintf(id, sizeof(id), "%016x", i);
    span.id = id;
    span.model = (char *)"a model's name, the same each time";
    m.span = &span;
    MUST(gatehouse__journal_record__get_packed_size(&m) <= RECORD_MAX);
    return slice_of(space, gatehouse__journal_record__pack(&m, space));
}

static Gatehouse__UsageBatch a_head(void)
{
    Gatehouse__UsageBatch m = GATEHOUSE__USAGE_BATCH__INIT;
    m.has_epoch = m.has_worker = m.has_first_sequence = true;
    m.epoch = 7;
    m.worker = 3;
    m.first_sequence = 42;
    return m;
}

static void records_travel_together_and_arrive_in_order(void **state)
{
    (void)state;
    struct usage_batch b;
    uint8_t space[RECORD_MAX];
    usage_batch_init(&b);
    for (int round = 0; round < 2; round++) { /* the same batch serves again */
        usage_batch_clear(&b);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(usage_batch_add(&b, a_record(i, space)), ERR_OK);
        Gatehouse__UsageBatch m = a_head(), *opened;
        assert_int_equal(usage_batch_seal(&b, &m), ERR_OK);
        assert_true(m.packed.len < b.records.len / 3);
        assert_int_equal(usage_batch_open(&m, &opened), ERR_OK);
        assert_int_equal(opened->epoch, 7);
        assert_int_equal(opened->worker, 3);
        assert_int_equal(opened->first_sequence, 42);
        assert_int_equal(opened->n_records, 1000);
        for (size_t i = 0; i < opened->n_records; i++)
            assert_int_equal(strtoul(opened->records[i]->span->id, NULL, 16), i);
        usage_batch_free(opened);
    }
    usage_batch_fini(&b);
}

/* Adds records of this length until no more are taken; how many the control plane then finds. */
static size_t fill(size_t len)
{
    struct usage_batch b;
    uint8_t record[2 * RECORD_MAX] = {0};
    size_t n = 0;
    Gatehouse__UsageBatch m = a_head(), *opened;
    MUST(len >= 4 && len <= sizeof(record));
    record[0] = 0x0a; /* call_id, all the rest of it */
    record[1] = (uint8_t)((len - 3) & 0x7f) | 0x80;
    record[2] = (uint8_t)((len - 3) >> 7);
    usage_batch_init(&b);
    while (usage_batch_add(&b, slice_of(record, len)) == ERR_OK)
        n++;
    assert_int_equal(usage_batch_add(&b, slice_of(record, len)), ERR_TOO_BIG);
    assert_int_equal(b.count, n);
    assert_int_equal(usage_batch_seal(&b, &m), ERR_OK);
    assert_int_equal(usage_batch_open(&m, &opened), ERR_OK);
    assert_int_equal(opened->n_records, n);
    usage_batch_free(opened);
    usage_batch_fini(&b);
    return n;
}

static void a_full_batch_takes_no_more_and_still_opens(void **state)
{
    (void)state;
    assert_int_equal(fill(100), USAGE_BATCH_RECORDS);
    assert_in_range(fill(1000), USAGE_BATCH_MAX / 1100, USAGE_BATCH_MAX / 1000);
}

static void more_records_than_a_batch_holds_are_refused(void **state)
{
    (void)state;
    static uint8_t empty_ones[2 * (USAGE_BATCH_RECORDS + 1)];
    struct buf block;
    Gatehouse__UsageBatch m = a_head(), *opened;
    for (size_t i = 0; i < sizeof(empty_ones); i += 2)
        empty_ones[i] = 0x22; /* records, of length 0 */
    for (int over = 0; over <= 1; over++) {
        size_t len = sizeof(empty_ones) - (over ? 0 : 2);
        buf_init(&block, 64 * 1024);
        assert_int_equal(compress_block(slice_of(empty_ones, len), &block), ERR_OK);
        m.has_packed = m.has_packed_from = true;
        m.packed = (ProtobufCBinaryData){block.len, (uint8_t *)block.data};
        m.packed_from = (uint32_t)len;
        assert_int_equal(usage_batch_open(&m, &opened), over ? ERR_TOO_BIG : ERR_OK);
        if (!over)
            usage_batch_free(opened);
        buf_fini(&block);
    }
}

static enum err open_packed(struct slice packed, uint32_t from)
{
    Gatehouse__UsageBatch m = a_head(), *opened;
    m.has_packed = m.has_packed_from = true;
    m.packed = (ProtobufCBinaryData){packed.len, (uint8_t *)(uintptr_t)packed.ptr};
    m.packed_from = from;
    enum err e = usage_batch_open(&m, &opened);
    if (e == ERR_OK)
        usage_batch_free(opened);
    return e;
}

/* A record of so many attempts, or of one with so many events, all of them empty. */
static enum err open_parts(size_t attempts, size_t events)
{
    uint8_t wire[1024], *at = wire + 6;
    struct buf block;
    for (size_t i = 0; i < attempts; i++, at += 2)
        memcpy(at, "\x22\x00", 2);
    if (events) {
        *at++ = 0x1a; /* the span */
        *at++ = (uint8_t)(3 * events & 0x7f) | 0x80;
        *at++ = (uint8_t)(3 * events >> 7);
        for (size_t i = 0; i < events; i++, at += 3)
            memcpy(at, "\x92\x02\x00", 3);
    }
    size_t len = (size_t)(at - wire) - 6;
    wire[3] = 0x22;
    wire[4] = (uint8_t)(len & 0x7f) | 0x80;
    wire[5] = (uint8_t)(len >> 7);
    buf_init(&block, sizeof(wire) * 2);
    struct slice batch = slice_of(wire + 3, (size_t)(at - wire) - 3);
    assert_int_equal(compress_block(batch, &block), ERR_OK);
    enum err e = open_packed(buf_slice(&block), (uint32_t)batch.len);
    buf_fini(&block);
    assert_int_equal(usage_batch_check(batch), e);
    return e;
}

static void a_record_of_too_many_parts_is_refused_before_it_is_unpacked(void **state)
{
    (void)state;
    assert_int_equal(open_parts(USAGE_RECORD_PARTS, 0), ERR_OK);
    assert_int_equal(open_parts(USAGE_RECORD_PARTS + 1, 0), ERR_TOO_BIG);
    assert_int_equal(open_parts(0, USAGE_RECORD_PARTS - 1), ERR_OK); /* and the span */
    assert_int_equal(open_parts(0, USAGE_RECORD_PARTS), ERR_TOO_BIG);
}

static void what_is_counted_is_what_the_messages_call_so(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *record = &gatehouse__journal_record__descriptor;
    const ProtobufCMessageDescriptor *span = &gatehouse__span__descriptor;
    assert_string_equal(protobuf_c_message_descriptor_get_field(record, 1)->name, "call_id");
    assert_string_equal(protobuf_c_message_descriptor_get_field(span, 34)->name, "events");
}

static void an_older_plane_s_batch_is_opened_too(void **state)
{
    (void)state;
    Gatehouse__UsageBatch m = a_head(), *opened;
    Gatehouse__JournalRecord record = GATEHOUSE__JOURNAL_RECORD__INIT, *records[] = {&record};
    Gatehouse__Span span = GATEHOUSE__SPAN__INIT;
    span.id = (char *)"abc";
    record.span = &span;
    m.n_records = 1;
    m.records = records;
    assert_int_equal(usage_batch_open(&m, &opened), ERR_OK);
    assert_int_equal(opened->n_records, 1);
    assert_int_equal(opened->first_sequence, 42);
    assert_string_equal(opened->records[0]->span->id, "abc");
    usage_batch_free(opened);
}

static void what_is_no_batch_is_refused(void **state)
{
    (void)state;
    struct buf block;
    buf_init(&block, 1024);
    /* a record of 100 bytes of which two are there */
    assert_int_equal(compress_block(SLICE("\x22\x64\x0a\x10"), &block), ERR_OK);
    assert_int_equal(open_packed(buf_slice(&block), 4), ERR_INVALID);
    assert_int_equal(open_packed(buf_slice(&block), 3), ERR_INVALID);
    assert_int_equal(open_packed(SLICE("\xf0\xff\xff"), 1024), ERR_INVALID);
    assert_int_equal(open_packed(SLICE(""), 1), ERR_INVALID);
    assert_int_equal(open_packed(buf_slice(&block), USAGE_BATCH_MAX + 1), ERR_TOO_BIG);
    assert_int_equal(open_packed(buf_slice(&block), UINT32_MAX), ERR_TOO_BIG);
    buf_fini(&block);
}

static void an_empty_batch_has_no_records(void **state)
{
    (void)state;
    Gatehouse__UsageBatch m = a_head(), *opened;
    assert_int_equal(usage_batch_open(&m, &opened), ERR_OK);
    assert_int_equal(opened->n_records, 0);
    assert_int_equal(opened->first_sequence, 42);
    usage_batch_free(opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_travel_together_and_arrive_in_order),
        cmocka_unit_test(a_full_batch_takes_no_more_and_still_opens),
        cmocka_unit_test(more_records_than_a_batch_holds_are_refused),
        cmocka_unit_test(a_record_of_too_many_parts_is_refused_before_it_is_unpacked),
        cmocka_unit_test(what_is_counted_is_what_the_messages_call_so),
        cmocka_unit_test(an_older_plane_s_batch_is_opened_too),
        cmocka_unit_test(what_is_no_batch_is_refused),
        cmocka_unit_test(an_empty_batch_has_no_records),
    };
    return cmocka_run_group_tests_name("usage_batch", tests, NULL, NULL);
}
