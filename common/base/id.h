/*
 * id — names that are made, not chosen: a short prefix, an underscore and 22 base62 characters
 * of 128 random bits (`k_4fJ…`). Ids never come back: a recreated thing has a new one.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

#define ID_MAX 32 /* with the NUL */

/* prefix: 1 to 6 lower-case letters */
struct slice id_new(const char *prefix, char out[static ID_MAX]);
