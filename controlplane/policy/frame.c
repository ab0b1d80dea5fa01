/* frame — base-128 varints, low groups first. */
#include "controlplane/policy/frame.h"

static size_t varint(uint64_t value, char *out)
{
    size_t n = 0;
    while (value >= 0x80) {
        out[n++] = (char)(value | 0x80);
        value >>= 7;
    }
    out[n++] = (char)value;
    return n;
}

size_t frame_head(unsigned field, size_t len, char *out)
{
    size_t n = varint((uint64_t)field << 3 | 2, out);
    return n + varint(len, out + n);
}

enum err frame_pack(const ProtobufCMessage *m, struct buf *out)
{
    size_t len = protobuf_c_message_get_packed_size(m);
    char *at;
    enum err e = buf_room(out, len, &at);
    if (e != ERR_OK)
        return e;
    buf_commit(out, protobuf_c_message_pack(m, (uint8_t *)at));
    return ERR_OK;
}
