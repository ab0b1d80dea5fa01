/*
 * ai — the AI gate: chat, embeddings and the list of models, in OpenAI's dialect.
 *
 * Bodies are never parsed into trees: one scan finds what gates need, the few bytes that change
 * are spliced, answers are relayed as they come while usage is read.
 *
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/request.h"

extern const struct gate ai_gate;

/* Frees what the gate kept warm in this env; before request_env_fini. */
void ai_fini(struct request_env *env);
