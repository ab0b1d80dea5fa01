/*
 * ai_gate — the AI gate: chat, embeddings and the list of models.
 *
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/request.h"

extern const struct gate ai_gate;

/* Frees what the gate kept warm in this env; before request_env_fini. */
void ai_fini(struct request_env *env);
