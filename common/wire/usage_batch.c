/* usage_batch — records side by side, compressed as one block. */
#include "common/wire/usage_batch.h"

#include "common/base/compress.h"
#include "common/base/limits.h"
#include "common/trace/span_attributes.h"
#include "common/wire/proto_read.h"
#include "common/wire/proto_write.h"

/* field numbers of proto/usage.proto */
#define RECORDS_FIELD 4 /* of UsageBatch */
#define CALL_ID_FIELD 1 /* of JournalRecord: the only one that is no message */

void usage_batch_init(struct usage_batch *b)
{
    *b = (struct usage_batch){0};
    buf_init(&b->records, USAGE_BATCH_MAX);
    buf_init(&b->packed, LIMIT_BUS_MESSAGE);
}

void usage_batch_fini(struct usage_batch *b)
{
    buf_fini(&b->records);
    buf_fini(&b->packed);
}

void usage_batch_clear(struct usage_batch *b)
{
    buf_clear(&b->records);
    b->count = 0;
}

enum err usage_batch_add(struct usage_batch *b, struct slice record)
{
    char *space;
    if (b->count == USAGE_BATCH_RECORDS)
        return ERR_TOO_BIG;
    enum err e = buf_room(&b->records, PROTO_HEAD_MAX + record.len, &space);
    if (e != ERR_OK)
        return e;
    struct proto_writer w = {.p = space, .end = space + PROTO_HEAD_MAX + record.len};
    proto_text(&w, RECORDS_FIELD, record);
    buf_commit(&b->records, (size_t)(w.p - space));
    b->count++;
    return ERR_OK;
}

enum err usage_batch_seal(struct usage_batch *b, Gatehouse__UsageBatch *m)
{
    buf_clear(&b->packed);
    enum err e = compress_block(buf_slice(&b->records), &b->packed);
    if (e != ERR_OK)
        return e;
    struct slice packed = buf_slice(&b->packed);
    m->has_packed = m->has_packed_from = true;
    m->packed = (ProtobufCBinaryData){packed.len, (uint8_t *)(uintptr_t)packed.ptr};
    m->packed_from = (uint32_t)b->records.len;
    return ERR_OK;
}

/* How many fields of that number; of all that have a length, where it is 0. */
static enum err count(struct slice message, uint64_t number, size_t *ret)
{
    struct proto_field f;
    enum err e;
    while ((e = proto_take(&message, &f)) == ERR_OK)
        *ret += f.wire_type == 2 && (number == 0 || f.number == number);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err check_record(struct slice record)
{
    struct proto_field f;
    size_t parts = 0;
    enum err e = count(record, 0, &parts);
    while (e == ERR_OK && parts <= USAGE_RECORD_PARTS && proto_take(&record, &f) == ERR_OK)
        if (f.wire_type == 2 && f.number != CALL_ID_FIELD)
            e = count(f.bytes, SPAN_FIELD_events, &parts);
    return e == ERR_OK && parts > USAGE_RECORD_PARTS ? ERR_TOO_BIG : e;
}

enum err usage_batch_check(struct slice packed)
{
    struct proto_field f;
    size_t records = 0;
    enum err e = count(packed, RECORDS_FIELD, &records);
    if (e == ERR_OK && records > USAGE_BATCH_RECORDS)
        e = ERR_TOO_BIG;
    while (e == ERR_OK && proto_take(&packed, &f) == ERR_OK)
        if (f.wire_type == 2 && f.number == RECORDS_FIELD)
            e = check_record(f.bytes);
    return e;
}

static enum err unpack(struct slice records, Gatehouse__UsageBatch **ret)
{
    enum err e = usage_batch_check(records);
    if (e != ERR_OK)
        return e;
    *ret = gatehouse__usage_batch__unpack(NULL, records.len, (const uint8_t *)records.ptr);
    return *ret ? ERR_OK : ERR_INVALID;
}

static enum err pack_again(const Gatehouse__UsageBatch *m, struct buf *out)
{
    size_t len = gatehouse__usage_batch__get_packed_size(m);
    char *space;
    enum err e = buf_room(out, len, &space);
    if (e == ERR_OK)
        buf_commit(out, gatehouse__usage_batch__pack(m, (uint8_t *)space));
    return e;
}

enum err usage_batch_open(const Gatehouse__UsageBatch *m, Gatehouse__UsageBatch **ret)
{
    struct buf records;
    if (m->packed_from > USAGE_BATCH_MAX)
        return ERR_TOO_BIG;
    buf_init(&records, USAGE_BATCH_MAX);
    enum err e = m->has_packed ? decompress_block(slice_of(m->packed.data, m->packed.len),
                                                  m->packed_from, &records)
                               : pack_again(m, &records);
    if (e == ERR_OK)
        e = unpack(buf_slice(&records), ret);
    buf_fini(&records);
    if (e != ERR_OK)
        return e;
    (*ret)->epoch = m->epoch; /* whatever the inner one may say */
    (*ret)->worker = m->worker;
    (*ret)->first_sequence = m->first_sequence;
    return ERR_OK;
}

void usage_batch_free(Gatehouse__UsageBatch *m)
{
    gatehouse__usage_batch__free_unpacked(m, NULL);
}
