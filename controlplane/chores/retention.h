/*
 * retention — how long what grows is kept: settings of the control plane, in days; 0: for ever.
 */
#pragma once

#include <stdint.h>

struct retention {
    uint64_t spans_days;
    uint64_t sessions_days; /* since their last span */
    uint64_t spend_days;
    uint64_t changes_days; /* of change_log */
};
