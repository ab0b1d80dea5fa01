/*
 * chat — /v1/chat/completions of the demo provider: plain, streamed, with tool calls.
 *
 * Threads  one.
 */
#pragma once

#include "deploy/demo/demo_provider/ledger.h"
#include "deploy/demo/serve.h"

struct provider {
    struct ledger *ledger;
    uint64_t calls;
};

void chat_handle(struct visit *v);
/* {"error":{…}} in OpenAI's form */
void chat_error(struct visit *v, unsigned status, const char *type, const char *message);
