/*
 * catalogue_import — prices as LiteLLM keeps them (model_prices_and_context_window.json), as the
 * entries of a catalogue file.
 *
 * Each of its entries is one model: dollars per token, the vendor in `litellm_provider`, the name
 * with or without the vendor before a slash. Entries of vendors that are not ours, without a price
 * of tokens, or that describe no model are left out.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/json.h"

bool catalogue_is_litellm(const json_t *file);
/* A new array of {"name","source","models"}; NULL: out of memory. *left_out: entries that are not
 * in it. */
json_t *catalogue_from_litellm(const json_t *file, size_t *left_out);
