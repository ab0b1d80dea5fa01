/*
 * escape — any bytes as the inside of a JSON string, one character at a time.
 *
 * Beyond what RFC 8259 section 7 demands, DEL and the C1 controls are escaped too, so the
 * text cannot steer a terminal. A byte that is no UTF-8 becomes U+FFFD.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

#define ESCAPE_MAX 6

/* how many bytes at the front of s may stand as they are */
size_t escape_plain(struct slice s);
/* Takes one character off the front of *rest (not empty) and writes its escaped form. */
size_t escape_json(struct slice *rest, char out[static ESCAPE_MAX]);
