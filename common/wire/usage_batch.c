/* usage_batch — see the card. */
#include "common/wire/usage_batch.h"

#include "common/base/compress.h"
#include "common/base/limits.h"
#include "common/wire/proto_write.h"

#define RECORDS_FIELD 4 /* of UsageBatch, proto/usage.proto */

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
    char *room;
    if (b->count == USAGE_BATCH_RECORDS)
        return ERR_TOO_BIG;
    enum err e = buf_room(&b->records, PROTO_HEAD_MAX + record.len, &room);
    if (e != ERR_OK)
        return e;
    struct proto_writer w = {.p = room, .end = room + PROTO_HEAD_MAX + record.len};
    proto_text(&w, RECORDS_FIELD, record);
    buf_commit(&b->records, (size_t)(w.p - room));
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

static enum err unpack(struct slice records, Gatehouse__UsageBatch **ret)
{
    Gatehouse__UsageBatch *m =
        gatehouse__usage_batch__unpack(NULL, records.len, (const uint8_t *)records.ptr);
    if (!m)
        return ERR_INVALID;
    if (m->n_records > USAGE_BATCH_RECORDS) {
        usage_batch_free(m);
        return ERR_TOO_BIG;
    }
    *ret = m;
    return ERR_OK;
}

enum err usage_batch_open(const Gatehouse__UsageBatch *m, Gatehouse__UsageBatch **ret)
{
    struct buf records;
    if (m->packed_from > USAGE_BATCH_MAX)
        return ERR_TOO_BIG;
    buf_init(&records, USAGE_BATCH_MAX);
    enum err e = ERR_OK;
    if (m->has_packed)
        e = decompress_block(slice_of(m->packed.data, m->packed.len), m->packed_from, &records);
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
