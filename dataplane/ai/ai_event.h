/*
 * ai_event — the normal form in which what a model says passes from a provider to a dialect.
 *
 * A provider decodes its bytes into events, a dialect writes them as its own stream or gathers them
 * into a whole response; neither knows the other. Texts are decoded UTF-8 and are lent for the
 * call. `raw` is what the event came in: where client and provider speak one dialect and nothing
 * changed the event, it goes out instead of being written anew.
 *
 * `block` tells the blocks of a choice apart: one number for all events of a block, in no order. A
 * block is of one kind.
 *
 * A response is START, then for each block TEXT, REASONING, REFUSAL … or TOOL_START,
 * TOOL_ARGUMENTS, TOOL_END, with USAGE wherever the provider reports some of it, then one FINISH
 * for each choice, and END. ERROR ends it at any place.
 *
 * Threads  any; data.
 */
#pragma once

#include "dataplane/ai/ai_usage.h"

enum ai_event_kind {
    AI_START,      /* id, name: the model's */
    AI_TEXT,       /* text */
    AI_REASONING,  /* text, signature: either, or both; or id: what only its provider can read */
    AI_TOOL_START, /* id, name; signature where the provider has one */
    AI_TOOL_ARGUMENTS, /* text: a piece of JSON */
    AI_TOOL_END,
    AI_REFUSAL,  /* text */
    AI_CITATION, /* not written by any dialect yet */
    AI_MEDIA,    /* name: its media type, text: base64; or a vector of an embedding */
    AI_BLOCK_END,
    AI_USAGE,  /* usage: what this report says */
    AI_FINISH, /* finish; text: the stop sequence that it ended at, if the provider said one */
    AI_ERROR,  /* text: a sentence; name: the provider's word for it; failure */
    AI_END,
    AI_OTHER, /* a comment, a ping: nothing of the response */
};

/* Why a choice ended. */
enum ai_finish {
    AI_FINISH_NONE,
    AI_FINISH_STOP,
    AI_FINISH_LENGTH,
    AI_FINISH_TOOLS,
    AI_FINISH_FILTER,
};

/* What a dialect calls it. */
struct ai_stop_words {
    const char *stop, *sequence /* of the client's own */, *length, *tools, *filter;
};

/* What a turn consisted of says more than some providers do: a refusal is a filter's, and one that
 * calls tools stops for them. */
const char *ai_stop_word(const struct ai_stop_words *w, enum ai_finish f, bool refused,
                         bool has_calls, bool has_stop);

/* What a response, or an error inside one, means for the call. */
enum ai_verdict {
    AI_OK,
    AI_RETRY,          /* it failed; another target may not */
    AI_LIMITED,        /* the same, and the provider named a wait */
    AI_CREDENTIAL_BAD, /* it does not take this credential, or its account has no money */
    AI_TOO_LONG,       /* the prompt does not fit the model's context */
    AI_CONTENT,        /* the provider's own filter refused the content */
    AI_FATAL,          /* the request is wrong: no target would take it */
};

struct ai_event {
    enum ai_event_kind kind;
    unsigned choice, block;
    struct slice text, id, name;
    struct slice signature; /* by which its provider knows a block again; opaque */
    enum ai_finish finish;
    enum ai_verdict verdict;
    struct ai_usage usage;
    struct slice raw;
    bool plain; /* it is known that text needs no escape in JSON */
};

/* Does it add words to a block, and say nothing else? */
static inline bool ai_event_is_words(const struct ai_event *e)
{
    bool adds = e->kind == AI_TEXT || e->kind == AI_REASONING || e->kind == AI_REFUSAL ||
                e->kind == AI_TOOL_ARGUMENTS;
    return adds && e->text.len && !e->id.len && !e->name.len && !e->signature.len;
}

typedef enum err ai_event_fn(void *arg, const struct ai_event *e);

/* For dialects whose calls have no place for a signature: that of a call is told before it, as
 * reasoning which only its maker can read. Clients send that back, as they must with all of what a
 * model thought. An ai_event_fn, whose argument says where the events go on. */
struct ai_sealing {
    ai_event_fn *fn;
    void *arg;
};
enum err ai_event_seal(void *sealing, const struct ai_event *e);
