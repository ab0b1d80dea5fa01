/*
 * fuzz_messages — what a plane or the control plane may be sent: any bytes are unpacked or refused,
 * and what was unpacked packs into bytes that mean the same.
 *
 * The first byte chooses the message.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/slice.h"
#include "proto/channel.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const kinds[] = {
    &gatehouse__request__descriptor,
    &gatehouse__push__descriptor,
    &gatehouse__reply__descriptor,
    &gatehouse__journal_record__descriptor,
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

struct packed {
    uint8_t *bytes;
    size_t len;
};

static struct packed pack(const ProtobufCMessage *m)
{
    struct packed p = {.len = protobuf_c_message_get_packed_size(m)};
    p.bytes = malloc(p.len + 1);
    must(p.bytes != NULL, "memory");
    must(protobuf_c_message_pack(m, p.bytes) == p.len, "a message packs into its packed size");
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > LIMIT_BUS_MESSAGE)
        return -1;
    const ProtobufCMessageDescriptor *kind = kinds[data[0] % ARRAY_LEN(kinds)];
    ProtobufCMessage *first = protobuf_c_message_unpack(kind, NULL, size - 1, data + 1);
    if (!first)
        return 0;
    struct packed one = pack(first);
    ProtobufCMessage *second = protobuf_c_message_unpack(kind, NULL, one.len, one.bytes);
    /* protobuf-c 1.4.1 reads an unknown field 0 that is written long, writes it short and then
     * refuses it; neither plane passes on what it does not know */
    if (second) {
        struct packed two = pack(second);
        must(one.len == two.len && memcmp(one.bytes, two.bytes, one.len) == 0,
             "packing again gives the same bytes");
        free(two.bytes);
    }
    protobuf_c_message_free_unpacked(first, NULL);
    protobuf_c_message_free_unpacked(second, NULL);
    free(one.bytes);
    return 0;
}
