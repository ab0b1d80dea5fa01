/*
 * retention — how long growing tables keep their rows, in days; 0: for ever.
 */
#pragma once

#include <stdint.h>

struct retention {
    uint64_t spans_days;
    uint64_t sessions_days; /* since their last span */
    uint64_t spend_days;
    uint64_t changes_days; /* of change_log */
};
