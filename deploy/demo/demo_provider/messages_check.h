/*
 * messages_check — what Anthropic's API refuses with 400.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/json.h"

#define MESSAGES_WHY 200

/* false: `why` says what is wrong, in the API's manner. */
bool messages_check(const json_t *request, char why[static MESSAGES_WHY]);
