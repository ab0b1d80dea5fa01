/*
 * spared — a fake in the middle of what is tested, which no planned failure of an allocation hits.
 */
#pragma once

#include "common/base/mem.h"

static inline void spared_end(const size_t *left)
{
    mem_fail_resume(*left);
}

/* Until the end of this block. */
#define SPARED size_t spared_ __attribute__((cleanup(spared_end), unused)) = mem_fail_pause()
