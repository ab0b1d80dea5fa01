/*
 * openai_objects — places in the bodies by which things are made that OpenAI keeps.
 *
 * Threads  any; constant.
 */
#pragma once

#include "dataplane/ai/dialect/dialect.h"

/* The places of ai_request.hits. */
enum openai_object_hit {
    OBJECT_INPUT_FILE, /* of a batch */
    OBJECT_ENDPOINT,
    OBJECT_LINES, /* of a file that is to be a batch: its content; .raw.ptr NULL: it is another */
    OBJECT_HITS
};

/* What the lines of a batch may ask for: whatever names nothing that is kept. */
#define OBJECT_BATCH_PATHS 4
extern const struct slice openai_batch_paths[OBJECT_BATCH_PATHS];
