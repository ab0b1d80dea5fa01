/*
 * embeddings — /v1/embeddings of the demo provider: the same text always has the same unit vector.
 *
 * Threads  one.
 */
#pragma once

#include "deploy/demo/serve.h"

void embeddings_handle(struct visit *v);
