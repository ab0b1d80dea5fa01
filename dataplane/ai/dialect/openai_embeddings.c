/*
 * openai_embeddings — OpenAI's embeddings, as clients speak it. There are no streams.
 */
#include "dataplane/ai/dialect/openai_body.h"
#include "dataplane/ai/dialect/openai_error.h"
#include "dataplane/ai/dialect/openai_measure.h"

const struct ai_dialect dialect_openai_embeddings = {
    .name = "openai_embeddings",
    .read = openai_read_embeddings,
    .measure = openai_measure,
    .splice = openai_splice,
    .write_error = openai_write_error,
    .write_stream_error = openai_write_stream_error,
    .is_error = openai_is_error,
};
