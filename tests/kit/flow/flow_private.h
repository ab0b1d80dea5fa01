/*
 * flow_private — what the files of the kit share.
 */
#pragma once

#include "common/base/mem.h"
#include "tests/kit/flow/flow.h"

static inline void flow_unspare(const size_t *left)
{
    mem_fail_resume(*left);
}

/* Until the end of this block no planned failure of an allocation hits the fake. */
#define SPARED size_t spared_ __attribute__((cleanup(flow_unspare), unused)) = mem_fail_pause()

void flow_upstream_open(struct flow *k, size_t i);
void flow_upstream_close(struct flow *k, size_t i);
void flow_client_close(struct flow_client *c);
void flow_account_limit(struct flow *k, const char *id, money limit);
