/*
 * crc32 — CRC-32 of ISO-HDLC (IEEE 802.3, reflected 0xEDB88320), as AWS's event streams have it.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

uint32_t crc32_ieee(struct slice data);
