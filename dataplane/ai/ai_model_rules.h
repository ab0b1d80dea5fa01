/*
 * ai_model_rules — what is known of models by their names, where the policy does not say it.
 *
 * Threads  any; constant.
 */
#pragma once

#include "common/base/slice.h"

/* Tokens that an image takes at most, by its detail; of a model that is not known, as many as any
 * but those that are known to take more. */
uint64_t ai_model_image_tokens(struct slice model, bool low);
/* Tokens that the model writes at most; 0: not known. */
uint64_t ai_model_max_output(struct slice model);
