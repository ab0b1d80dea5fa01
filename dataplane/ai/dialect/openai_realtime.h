/*
 * openai_realtime — OpenAI's realtime dialect: events of JSON over a WebSocket, both ways.
 *
 * What is read of an event is what rights, money and usage need; every event goes on as it came,
 * but for the model's name in `session`.
 *
 * Threads  any; pure.
 */
#pragma once

#include "dataplane/ai/ai_usage.h"
#include "dataplane/ai/dialect/dialect.h"

#define REALTIME_NAME_MAX 256 /* bytes of a model's name */

enum realtime_client_kind {
    REALTIME_SAYS_OTHER,
    REALTIME_SAYS_AUDIO,   /* input_audio_buffer.append: its bytes are mostly sound */
    REALTIME_SAYS_COMMIT,  /* input_audio_buffer.commit: what was appended is said */
    REALTIME_SAYS_CREATE,  /* response.create: the model shall respond */
    REALTIME_SAYS_SESSION, /* session.update */
};

/* One event of a client. */
struct realtime_said {
    enum realtime_client_kind kind;
    struct json_hit model; /* session.model, as it stands; ABSENT: it is not named */
    char model_name[REALTIME_NAME_MAX];
    size_t model_len;
    char transcriber[REALTIME_NAME_MAX]; /* the model that writes down what the user says */
    size_t transcriber_len;              /* 0: none is named */
    bool reads_more; /* a stored prompt, items by reference, or tools that the provider itself
                        calls: how long the prompt gets is not seen here */
    bool aside;      /* CREATE: its response may be no part of the conversation */
    bool own_prompt; /* CREATE: its prompt may be another one than the conversation's */
    unsigned images; /* pieces of an item whose tokens their bytes do not show */
};

/* ERR_INVALID: *why says what is wrong; valid until the next call of this thread. */
MUST_USE enum err realtime_read_said(struct slice text, struct realtime_said *ret,
                                     struct slice *why);

enum realtime_server_kind {
    REALTIME_HEARD_OTHER,
    REALTIME_HEARD_SESSION,     /* session.created, session.updated */
    REALTIME_HEARD_CREATED,     /* response.created */
    REALTIME_HEARD_DONE,        /* response.done */
    REALTIME_HEARD_REFUSED,     /* an error: a response.create is not taken */
    REALTIME_HEARD_COMMITTED,   /* what was appended is of the conversation now */
    REALTIME_HEARD_EMPTY,       /* an error: nothing was there to be committed */
    REALTIME_HEARD_TEXT,        /* a piece of text, of a transcript, of arguments */
    REALTIME_HEARD_SOUND,       /* a piece of sound, in base64 */
    REALTIME_HEARD_TRANSCRIBED, /* what the user said was written down */
};

/* One event of an upstream. One that cannot be read is OTHER: it goes on, and says nothing. */
struct realtime_heard {
    enum realtime_server_kind kind;
    uint64_t bytes; /* of a piece, as it stands */
    /* of CREATED and DONE: */
    bool aside;           /* it is no part of the conversation */
    bool unsaid_of_aside; /* whether it is one is not said */
    /* of SESSION, as it is now: */
    bool automatic;   /* the provider may begin responses by itself */
    bool reads_more;  /* as of realtime_said */
    bool transcribes; /* what the user says is written down, by another model: */
    char transcriber[REALTIME_NAME_MAX];
    size_t transcriber_len;
    struct ai_usage usage; /* of DONE and TRANSCRIBED; AI_USAGE_NONE: it says none */
    bool by_duration;      /* TRANSCRIBED: seconds are billed, and no tokens */
};

void realtime_read_heard(struct slice text, struct realtime_heard *ret);

/* An event of ours that tells an error. */
MUST_USE enum err realtime_write_error(struct buf *out, const struct ai_error *e);

/* Does the client ask for a WebSocket as RFC 6455 section 4.2.1 wants it? */
bool realtime_is_asked(const struct http_head *h);
/* The credential that browsers put among the subprotocols; SLICE_NONE: there is none. */
struct slice realtime_credential(const struct http_head *h);
/* The subprotocol by which browsers ask for the dialect as it was before it was final. */
bool realtime_wants_beta(const struct http_head *h);
