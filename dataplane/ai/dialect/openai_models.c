/*
 * openai_models — the list of models. It has no body to read and nothing to relay; only its errors
 * are the dialect's.
 */
#include "dataplane/ai/dialect/openai_error.h"

const struct ai_dialect dialect_openai_models = {
    .name = "openai_models",
    .write_error = openai_write_error,
    .write_stream_error = openai_write_stream_error,
    .is_error = openai_is_error,
};
