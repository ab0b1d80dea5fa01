/*
 * flow_private — what the files of the kit share.
 */
#pragma once

#include "tests/kit/flow/flow.h"
#include "tests/kit/spared.h"

void flow_upstream_open(struct flow *k, size_t i);
void flow_upstream_close(struct flow *k, size_t i);
void flow_client_close(struct flow_client *c);
