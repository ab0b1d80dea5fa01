/*
 * ai_request — what the gate, its filters and the providers need to know of a client's body.
 *
 * The dialect of the path reads it by one validating scan and keeps the places of members, so that
 * the same body can go upstream with only those bytes changed that must be.
 *
 * Owns     nothing: places lie in the body, other texts in the request's arena.
 * Threads  any.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/json_scan.h"
#include "dataplane/ai/ai_mark.h"

#define AI_HITS 24 /* members of a body that a dialect wants to know the place of */

/* How large a prompt is, whatever way its body is spelt. */
struct ai_prompt {
    uint64_t text;       /* bytes of all that is text: no less than its tokens */
    uint32_t images_low; /* images whose detail is "low", */
    uint32_t images;     /* and the others */
    uint32_t files;
    uint64_t audio_bytes;  /* in base64 */
    bool kept_long;        /* the client wants some of it kept in a cache for an hour */
    const char *unbounded; /* why its cost cannot be bounded; NULL: it can */
};

struct ai_request {
    struct json_hit hits[AI_HITS]; /* which is which is the dialect's own enum */
    struct slice model;
    bool stream;
    bool wants_usage;        /* the client wants the stream's usage for itself */
    uint64_t choices;        /* alternatives that the model shall write */
    uint64_t output_ceiling; /* tokens the client allows for each; 0: it named none */
    struct slice session_id, prompt_cache_key; /* SLICE_NONE: absent */
    const char *session_named_by; /* the member that session_id stands in; NULL: OpenAI's */
    struct ai_prompt prompt;      /* measured before anything is reserved */
    /* Accounts that the body's stored ids and encrypted contents name (ai_mark.h). */
    struct ai_account stays;   /* no other has what it names; empty: any target may serve it */
    struct ai_account prefers; /* others would be told less */
    struct slice object, object_query; /* a kept thing's id as its provider knows it; "?…" */
    struct slice transcriber;          /* of a realtime session: a second model; empty: none */
    bool is_form;                      /* its body is a form, of which hits are fields */
    bool kept;         /* its response may be asked for later, where its provider keeps any */
    const char *param; /* the member that a refusal is about; NULL: the body */
};

/* What of a body is changed for one target. */
struct ai_marker;
struct ai_account;
struct ai_changes {
    /* what is marked as this account's goes to it without its mark; NULL: nothing is known */
    const struct ai_marker *marker;
    const struct ai_account *maker;
    struct slice model;
    uint64_t output_limit;  /* put in where the body names none; 0: nothing is put in */
    const char *limit_name; /* the member it is put in as */
    bool no_usage_option;   /* the target takes no request for a stream's usage */
};

/* A body in pieces: what is changed is the arena's, all else lies in the client's body. */
#define AI_REQUEST_PIECES 7
