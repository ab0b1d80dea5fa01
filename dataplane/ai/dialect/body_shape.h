/*
 * body_shape — what a model's policy takes out of a body and puts into it: members that are
 * dropped, parameters, a system prompt; in the words of the dialect that the body is in.
 *
 * A dialect says where each parameter stands in its bodies, and in which form a system prompt does
 * (struct body_words). All that is not named by the policy stays as it came, byte by byte. What the
 * dialect has no word for is left to the normal form (body_shape_chat), which providers of other
 * dialects are told.
 *
 * Fails    ERR_INVALID with *why; ERR_TOO_BIG, ERR_NOMEM.
 * Threads  any; the tables are constant.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/policy/snapshot.h"
#include "dataplane/ai/ai_chat.h"

/* Where a dialect has a parameter. */
struct body_word {
    enum policy_parameter_id parameter;
    const char *in;   /* the object that it is a member of; NULL: the body */
    const char *name; /* as it is put in */
    const char *too;  /* another spelling that clients may use; NULL: none */
    /* Of the output's limit: targets differ in its name. What stands in the body is overridden;
     * where nothing does, output_default is told each target by its own name. */
    bool by_target;
};

/* The form of a system prompt. */
enum body_system {
    BODY_SYSTEM_NONE,    /* nothing of the kind can be said */
    BODY_SYSTEM_MESSAGE, /* the first of "messages" */
    BODY_SYSTEM_BLOCKS,  /* "system": a text, or blocks with a type */
    BODY_SYSTEM_TEXT,    /* "instructions": a text */
    BODY_SYSTEM_CONTENT, /* "systemInstruction": an object with parts */
    BODY_SYSTEM_UNTYPED, /* "system": blocks without a type */
    BODY_SYSTEM_PROMPT,  /* "prompt": a text that is gone on with, or several */
};

struct body_words {
    const struct body_word *words;
    size_t count;
    enum body_system system;
    const char *in_too; /* another spelling of the object that parameters are members of */
};

extern const struct body_words words_openai_chat, words_openai_completions, words_openai_responses,
    words_openai_responses_count, words_anthropic, words_anthropic_count, words_gemini,
    words_bedrock, words_cohere;

struct body_shaping {
    const struct policy_model *model;
    const struct body_words *words; /* NULL: a dialect in which no parameters are said */
    struct arena *arena;
    struct buf *body;  /* changed */
    struct buf *spare; /* memory; cleared */
    /* what came of it */
    const char *dropped[2 * LIMIT_MODEL_DROPS]; /* what the client had said, as it spelt it */
    size_t dropped_count;
    uint64_t output_default; /* tokens that its target is told where the body names none; 0: none */
    struct slice why;
};

const char *policy_parameter_name(enum policy_parameter_id id); /* OpenAI's */
bool body_has_word(const struct body_words *w, enum policy_parameter_id id);

MUST_USE enum err body_shape(struct body_shaping *s);
/* The same parameters in the normal form of a body that was shaped. */
MUST_USE enum err body_shape_chat(const struct policy_model *m, struct ai_chat *c);
