/*
 * proto_read — protobuf's wire form, field by field, before anything is unpacked.
 *
 * A message of a few kilobytes may unpack into hundreds of megabytes, as each empty submessage
 * becomes a struct: so what an unknown sender sends is counted first.
 *
 * Owns     nothing.
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

struct proto_field {
    uint64_t number;
    unsigned wire_type;
    struct slice bytes; /* of a length-delimited field; else none */
};

static inline bool proto_take_varint(struct slice *rest, uint64_t *ret)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < rest->len && i < 10; i++) {
        n |= (uint64_t)(rest->ptr[i] & 0x7F) << (7 * i);
        if (!(rest->ptr[i] & 0x80)) {
            *rest = slice_from(*rest, i + 1);
            *ret = n;
            return true;
        }
    }
    return false;
}

/* Takes the next field off the front. ERR_NOT_FOUND: there is none; ERR_INVALID: no protobuf. */
static inline enum err proto_take(struct slice *rest, struct proto_field *ret)
{
    uint64_t tag, len;
    if (rest->len == 0)
        return ERR_NOT_FOUND;
    if (!proto_take_varint(rest, &tag))
        return ERR_INVALID;
    *ret = (struct proto_field){.number = tag >> 3, .wire_type = tag & 7};
    switch (ret->wire_type) {
    case 0:
        return proto_take_varint(rest, &len) ? ERR_OK : ERR_INVALID;
    case 1:
        len = 8;
        break;
    case 2:
        if (!proto_take_varint(rest, &len))
            return ERR_INVALID;
        break;
    case 5:
        len = 4;
        break;
    default:
        return ERR_INVALID;
    }
    if (len > rest->len)
        return ERR_INVALID;
    if (ret->wire_type == 2)
        ret->bytes = slice_first(*rest, len);
    *rest = slice_from(*rest, len);
    return ERR_OK;
}
