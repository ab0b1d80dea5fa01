/*
 * anthropic — what other services that run Anthropic's models have in common with its own.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/provider/provider.h"

enum err anthropic_decode(struct ai_decoder *d, const struct sse_event *e, ai_event_fn *fn,
                          void *arg);
enum err anthropic_decode_whole(struct ai_decoder *d, struct slice body, ai_event_fn *fn,
                                void *arg);
void anthropic_read_error(unsigned status, struct slice body, struct arena *a,
                          struct ai_fault *ret);
