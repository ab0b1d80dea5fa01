/*
 * emitter — where a decoder that goes block by block sends its events.
 *
 * Each event carries the block that the decoder is in.
 *
 * Threads  one at a time.
 */
#pragma once

#include "dataplane/ai/provider/provider.h"

struct emitting {
    struct ai_decoder *d;
    ai_event_fn *fn;
    void *arg;
};

static inline enum err emit(const struct emitting *m, struct ai_event e)
{
    e.block = m->d->block;
    return m->fn(m->arg, &e);
}

/* An empty text is no event. */
static inline enum err emit_text(const struct emitting *m, enum ai_event_kind kind,
                                 struct slice text)
{
    return text.len ? emit(m, (struct ai_event){.kind = kind, .text = text}) : ERR_OK;
}
