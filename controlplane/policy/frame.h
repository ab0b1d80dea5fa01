/*
 * frame — protobuf's outermost bytes by hand: a message is packed once and then only copied.
 *
 * Fields of a protobuf message may stand in any order, so a packed header followed by
 * already packed fields is a whole message (protobuf encoding, "Length-Delimited Records").
 *
 * Threads  any.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "common/base/buf.h"

#define FRAME_OBJECTS 5   /* Push.changes and SnapshotReply.objects */
#define FRAME_SNAPSHOT 11 /* Reply.snapshot */
#define FRAME_HEAD_MAX 12 /* tag of up to 2 bytes, length of up to 10 */

/* Tag and length of an embedded message; returns the bytes written to out[FRAME_HEAD_MAX]. */
size_t frame_head(unsigned field, size_t len, char *out);
/* Appends a packed message. */
MUST_USE enum err frame_pack(const ProtobufCMessage *m, struct buf *out);
