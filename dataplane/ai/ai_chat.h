/*
 * ai_chat — a request for a model's next turn, in no dialect's form.
 *
 * A dialect reads its client's body into it (ai_dialect.parse) where the body must be translated
 * or measured part by part; a provider writes its own body from it (ai_provider.build). Neither
 * knows the other. What a dialect can say and this form cannot is kept by name in `others`, so
 * that a provider leaves it out with a notice, or refuses it.
 *
 * Lists are in the order of the body. A system prompt is the turns of role AI_SYSTEM, wherever they
 * stand. The results of tools are parts of a turn of the user. Consecutive turns of one role are
 * not merged by a dialect; a provider that wants turns to alternate merges them
 * (ai_chat_next_run).
 *
 * Texts are decoded UTF-8. They, and the JSON values, lie in the tree that `root` holds, or in the
 * arena; a slice with .ptr NULL is absent, an empty one is empty.
 *
 * Owns     `root`: ai_chat_fini drops it. All else is the arena's.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/json.h"
#include "dataplane/ai/ai_request.h"

enum ai_part_kind {
    AI_PART_TEXT,        /* text */
    AI_PART_IMAGE,       /* media */
    AI_PART_AUDIO,       /* media */
    AI_PART_VIDEO,       /* media */
    AI_PART_FILE,        /* media; name: the file's. A text document has text in place of data */
    AI_PART_TOOL_CALL,   /* id, name, text: the arguments as JSON text; signature */
    AI_PART_TOOL_RESULT, /* id, name (may be absent), inner, is_error */
    AI_PART_REASONING,   /* text, signature; or redacted */
    AI_PART_REFUSAL,     /* text */
};

/* How long a prompt up to here shall be kept by the provider. */
enum ai_cache_mark { AI_CACHE_NONE, AI_CACHE_SHORT /* minutes */, AI_CACHE_LONG /* an hour */ };

struct ai_part {
    struct ai_part *next;
    enum ai_part_kind kind;
    enum ai_cache_mark cache;
    struct slice text;
    struct slice id, name;
    struct slice signature; /* by which its provider knows it again; opaque */
    struct slice redacted;  /* reasoning that only its provider can read; opaque */
    /* Where the account that made these is known, they are kept here, and stand above only while
     * the request is told that account (ai_chat_show_made). */
    struct slice maker, made_signature, made_redacted;
    /* media: one of data, url and file_id is there */
    struct slice media_type; /* "image/png"; absent where only its provider knows */
    struct slice data;       /* in base64 */
    struct slice url, file_id;
    struct slice detail; /* of an image: "low", "high", "auto" */
    struct slice title;  /* of a file, for citations */
    bool is_error;       /* the tool failed */
    bool cites;          /* of a file: citations are wanted */
    struct ai_part_list *inner;
};

struct ai_part_list {
    struct ai_part *first, *last;
    size_t count;
};

enum ai_role { AI_SYSTEM, AI_USER, AI_ASSISTANT };

struct ai_turn {
    struct ai_turn *next;
    enum ai_role role;
    struct slice name; /* of the speaker; absent in most */
    struct ai_part_list parts;
};

/* A function that the model may call. */
struct ai_function {
    struct ai_function *next;
    struct slice name, description;
    const json_t *schema; /* of the arguments; NULL: none was given */
    bool strict;
    enum ai_cache_mark cache;
};

enum ai_choosing {
    AI_CHOOSE_UNSAID,
    AI_CHOOSE_AUTO,
    AI_CHOOSE_NONE,
    AI_CHOOSE_ANY, /* one of the functions at least */
    AI_CHOOSE_ONE, /* the function of this name */
};

enum ai_effort {
    AI_EFFORT_UNSAID,
    AI_EFFORT_NONE,
    AI_EFFORT_MINIMAL,
    AI_EFFORT_LOW,
    AI_EFFORT_MEDIUM,
    AI_EFFORT_HIGH,
    AI_EFFORT_XHIGH,
    AI_EFFORT_MAX,
};

enum ai_format { AI_FORMAT_TEXT, AI_FORMAT_JSON /* any object */, AI_FORMAT_SCHEMA };

enum ai_tier { AI_TIER_UNSAID, AI_TIER_AUTO, AI_TIER_STANDARD, AI_TIER_FLEX, AI_TIER_PRIORITY };

struct ai_number {
    bool set;
    double value;
};

struct ai_word {
    struct ai_word *next;
    struct slice text;
};

/* A member of the body that has no place above. */
struct ai_other {
    struct ai_other *next;
    const char *name; /* as the client spelt it; in the tree or constant */
    bool binds;       /* leaving it out would change what is asked for: it is refused */
    struct slice why; /* for the refusal: "audio output"; absent: the name says it */
};

struct ai_marker;
struct ai_chat {
    json_t *root;
    struct arena *arena;
    struct ai_turn *first, *last;
    size_t turn_count;
    struct ai_function *functions, *last_function;
    enum ai_choosing choosing;
    struct slice chosen;     /* AI_CHOOSE_ONE */
    struct ai_word *allowed; /* the functions that may be called now; NULL: all */
    bool one_call_at_a_time; /* no parallel calls */
    uint64_t output_limit;   /* tokens; 0: none was named */
    uint64_t choices;        /* 1 at least */
    struct ai_number temperature, top_p, top_k, presence_penalty, frequency_penalty, seed;
    struct ai_word *stops, *last_stop;
    enum ai_effort effort;
    uint64_t reasoning_budget; /* tokens; 0: none was named */
    bool reasoning_shown;      /* a summary of the reasoning is wanted */
    enum ai_format format;
    struct slice format_name, format_description;
    const json_t *format_schema;
    bool format_strict;
    struct slice user;      /* who the end user is */
    struct slice verbosity; /* "low", "medium", "high" */
    enum ai_tier tier;
    bool stream;
    uint64_t dimensions; /* of embeddings, whose inputs are the turns; 0: the model's own */
    bool as_base64;      /* vectors, as float32 */
    struct ai_other *others, *last_other;
    struct ai_part_list ignored; /* parts that have no place in their turn; measured all the same */
    uint64_t other_bytes;  /* of members that have no place above, as JSON (ai_chat_json_bytes) */
    const char *unbounded; /* why what it costs cannot be bounded; NULL: it can */
    /* ERR_INVALID of parse, and what a refusal is about */
    const char *param;
    struct slice why;
};

/* Additions at the end. NULL: no memory in `chat->arena`. */
struct ai_turn *ai_chat_add_turn(struct ai_chat *c, enum ai_role role);
struct ai_part *ai_chat_add_part(struct ai_chat *c, struct ai_part_list *to, enum ai_part_kind k);
struct ai_function *ai_chat_add_function(struct ai_chat *c, struct slice name);
MUST_USE enum err ai_chat_add_stop(struct ai_chat *c, struct slice text);
/* `value` is counted in other_bytes; NULL: it is no member of the body's own. */
MUST_USE enum err ai_chat_add_other(struct ai_chat *c, const char *name, bool binds,
                                    struct slice why, const json_t *value);
MUST_USE enum err ai_chat_allow(struct ai_chat *c, struct slice function);
bool ai_chat_allows(const struct ai_chat *c, struct slice function);
/* Sets param and why, and returns ERR_INVALID. */
enum err ai_chat_wrong(struct ai_chat *c, const char *param, struct slice why);

/* Turns of one side that follow each other, those of AI_SYSTEM left out: false at the end. `r` is
 * zeroed before the first, but for is_told: turns that have no part which a provider tells are left
 * out too, and those on either side of them are one run. Of the turns from first to before end,
 * those of its role are its own. */
struct ai_run {
    enum ai_role role;
    const struct ai_turn *first, *end;
    bool begun;
    bool (*is_told)(const struct ai_part *p); /* NULL: every turn is */
};
bool ai_chat_next_run(const struct ai_chat *c, struct ai_run *r);

/* The function that a result's call was of: by the result's name, or by its id in earlier turns.
 * .ptr NULL: none. */
struct slice ai_chat_function_of(const struct ai_chat *c, const struct ai_part *result);

bool ai_text_is_blank(struct slice text); /* nothing but white space */
/* Would Claude's APIs take the part? Not a blank text, nor reasoning without its signature. */
bool ai_part_is_told(const struct ai_part *p);

/* "data:image/png;base64,…" → its type and data; false: it is none. */
bool ai_read_data_url(struct slice url, struct slice *type, struct slice *data);

/* How large the prompt is: the same for equal prompts, whichever dialect said it. Beside the bytes
 * of its texts, each thing counts for what providers write around it. */
#define AI_MEASURE_CHAT 32 /* a prompt */
#define AI_MEASURE_TURN 16 /* a turn, but one of nothing but results */
#define AI_MEASURE_PART 8  /* a part of a turn, or of a result */
#define AI_MEASURE_TOOL 32 /* a function, a call of one, or its result, beside its part */
void ai_chat_measure(const struct ai_chat *c, struct ai_prompt *ret);

/* Bytes of a value as JSON, however it was spelt: white space and escapes count nothing, equal
 * numbers count the same. */
uint64_t ai_chat_json_bytes(const json_t *v);
uint64_t ai_chat_number_bytes(double v); /* of one that is not a short integer */

/* What an account made is for it alone; an account that is not known made what has no mark. The
 * part is reasoning, with all that the client sent of it. */
MUST_USE enum err ai_chat_take_mark(struct ai_chat *c, const struct ai_marker *m,
                                    struct ai_part *p);
/* Signatures that an account made are for it alone. */
void ai_chat_show_made(struct ai_chat *c, struct slice account);

void ai_chat_fini(struct ai_chat *c); /* all zero is fine */
