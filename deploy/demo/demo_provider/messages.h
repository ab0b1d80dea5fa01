/*
 * messages — /v1/messages of the demo provider: Anthropic's dialect, plain, streamed, with tools
 * and thinking. It refuses what the real API refuses.
 *
 * Threads  one.
 */
#pragma once

#include "deploy/demo/serve.h"

void messages_handle(struct visit *v);
