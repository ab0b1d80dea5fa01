/*
 * pace — does the other side still move bytes, and enough of them?
 *
 * A deadline between two pieces alone lets a peer hold a connection and its buffers for days with
 * a byte now and then. So time is cut into windows, and each window must see LIMIT_PACE bytes a
 * second or be the last. The window is the deadline between two pieces, so that a peer that stops
 * altogether is found no later than by that.
 *
 * Owns     nothing.
 * Threads  its owner's.
 */
#pragma once

#include "common/base/slice.h"

struct pace {
    uint64_t since_us; /* this window began */
    uint64_t seen;     /* bytes that had been moved then */
    bool running;
};

void pace_begin(struct pace *p, uint64_t now_us, uint64_t moved);
void pace_stop(struct pace *p); /* nothing is due: waiting costs the peer no window */
/* moved: bytes so far. Begins where it was stopped. false: the window passed, with too few. */
bool pace_is_kept(struct pace *p, uint64_t now_us, unsigned window_ms, uint64_t moved);
