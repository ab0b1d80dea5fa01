/*
 * json_private — json_build: jansson's trees, built from the tokens of json_token instead of by
 * jansson's reader, which takes a hundred instructions for each byte.
 *
 * It takes less than json_read does: what it refuses is not known to be wrong, and jansson reads
 * it anew. What it takes, jansson reads as the same tree.
 *
 * Fails    ERR_INVALID: it is not taken; ERR_NOMEM.
 * Threads  any.
 */
#pragma once

#include "common/base/json.h"

MUST_USE enum err json_build(struct slice text, json_t **ret);
