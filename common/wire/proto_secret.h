/*
 * proto_secret — unpacks messages that may hold secrets: what protobuf allocated is wiped before it
 * is freed, so that a secret stays in memory no longer than its object.
 *
 * Threads  any; no state.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

/* For gatehouse__…__unpack and the free_unpacked that belongs to it. */
extern ProtobufCAllocator proto_secret;
