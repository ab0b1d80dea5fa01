/*
 * scenario — how the demo provider behaves for one call: what a model's name says behind '?'.
 *
 * `demo-chat?delay_ms=200&chunks=50&chunk_ms=20` is the model demo-chat, slow. So a gateway's
 * target names the behaviour, and nothing else has to be configured.
 *
 *   delay_ms      before the first byte (0)
 *   chunks        pieces of the response, one token each (12)
 *   chunk_ms      between two pieces of a stream (0)
 *   bytes         of one piece (0: a word)
 *   fail_percent  of calls that fail (0), with
 *   fail_status   (500)
 *   cut           the connection is cut behind this piece (0: never)
 *   hang          1: no response ever comes
 *   usage         0: usage is not reported
 *   echo          1: the response holds the credential that was sent
 *
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

struct scenario {
    struct slice name; /* the model's, without its scenario */
    uint64_t delay_ms, chunks, chunk_ms, bytes, fail_percent, fail_status, cut;
    bool hang, usage, echo;
};

void scenario_read(struct slice model, struct scenario *ret);
