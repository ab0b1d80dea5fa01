/*
 * crc32c — Castagnoli's checksum (RFC 3720, 12.1): tells a torn record from a whole one. It does
 * not protect against deliberate changes.
 *
 * This polynomial because processors compute it, eight bytes at a time; the journal takes one
 * over each record.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

uint32_t crc32c(struct slice in);
/* the same where the processor has no instruction for it */
uint32_t crc32c_by_table(struct slice in);
