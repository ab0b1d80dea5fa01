/*
 * control_link — how a part of a data plane sends a request to the control plane and learns that
 * every worker has ended a turn. The plane fills it; the lease client, the shipper, the policy
 * sync and the listing client use it.
 *
 * Threads  the main thread's.
 */
#pragma once

#include <stdbool.h>

#include "common/base/err.h"

struct control_link {
    /* request: Gatehouse__Request *, which gets its number here unless it has one: the number of an
     * earlier request says that this is the same one, whose reply was lost. done gets const
     * Gatehouse__Reply *, NULL on an error. */
    enum err (*request)(void *arg, void *request,
                        void (*done)(void *done_arg, enum err e, const void *reply),
                        void *done_arg);
    bool (*is_connected)(void *arg);
    void (*after_turns)(void *arg, void (*fn)(void *fn_arg), void *fn_arg);
    void *arg;
};
