/*
 * generate_check — what Gemini's API refuses of a request.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/json.h"

#define GENERATE_WHY 256

/* false: *why says it as the API would. */
bool generate_check(const json_t *request, char why[static GENERATE_WHY]);
