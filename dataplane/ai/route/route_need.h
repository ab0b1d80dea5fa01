/*
 * route_need — what a call needs of its target, as far as it is known before it is sent.
 *
 * Threads  any; pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/model_capability.h"

/* The capabilities whose need can be seen in a body (ai_need). */
#define ROUTE_NEEDS_SEEN                                                                           \
    (CAPABILITY_BIT(CAPABILITY_TOOLS) | CAPABILITY_BIT(CAPABILITY_VISION) |                        \
     CAPABILITY_BIT(CAPABILITY_AUDIO) | CAPABILITY_BIT(CAPABILITY_DOCUMENTS) |                     \
     CAPABILITY_BIT(CAPABILITY_AUDIO_OUTPUT) | CAPABILITY_BIT(CAPABILITY_JSON_MODE) |              \
     CAPABILITY_BIT(CAPABILITY_JSON_SCHEMA) | CAPABILITY_BIT(CAPABILITY_REASONING) |               \
     CAPABILITY_BIT(CAPABILITY_WEB_SEARCH) | CAPABILITY_BIT(CAPABILITY_LOGPROBS))

struct route_need {
    uint64_t prompt;         /* tokens, about */
    uint64_t output_ceiling; /* tokens the client allows; 0: it named none */
    uint32_t capabilities;   /* bits of enum model_capability */
    bool writes;             /* it has output at all */
};
