/*
 * ai — the AI wing: chat, embeddings and the list of models, in OpenAI's dialect.
 *
 * Bodies are never parsed into trees: one scan finds what gates need, the few bytes that change
 * are spliced, answers are relayed as they come while usage is read.
 *
 * Threads  its worker's loop.
 */
#pragma once

#include "common/journey/journey.h"

extern const struct wing ai_wing;

/* Frees what the wing kept warm in this env; before journey_env_fini. */
void ai_fini(struct journey_env *env);
