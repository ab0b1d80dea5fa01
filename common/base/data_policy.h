/*
 * data_policy — what a provider promises of the data it is sent, and a team may demand. A set of
 * them is a uint32_t with bit n for promise n.
 *
 * Threads  any; constant.
 */
#pragma once

#include <stdint.h>

#define DATA_POLICY_TABLE(X)                                                                       \
    X(NO_TRAINING, "no_training")                                                                  \
    X(ZERO_RETENTION, "zero_retention")

enum data_policy {
#define DATA_POLICY_ENUM(name, word) DATA_POLICY_##name,
    DATA_POLICY_TABLE(DATA_POLICY_ENUM)
#undef DATA_POLICY_ENUM
        DATA_POLICY_COUNT
};

#define DATA_POLICY_BIT(p) (UINT32_C(1) << (p))
