/*
 * field — one member of a document as a row: type, bounds, default, help. From the rows come
 * the check of what is sent, the normal form that is stored, the response, the OpenAPI schema, and
 * the message that data planes are given (policy/build.h).
 *
 * Normal form: references are ids, money has nine decimals, times are UTC, defaults are
 * written out. Reading a normal form gives the same again.
 *
 * Owns     nothing; tables are constant.
 * Threads  any; pure. References are looked up in the store through struct lookup.
 */
#pragma once

#include "common/base/json.h"
#include "common/base/slice.h"
#include "common/wire/feature.h"

enum field_type {
    FIELD_TEXT,   /* min..max characters; `rule` beyond that */
    FIELD_INT,    /* min..max */
    FIELD_NUMBER, /* min..max, with a fraction */
    FIELD_BOOL,
    FIELD_MONEY,  /* dollars: number or text, nine decimals in responses */
    FIELD_PRICE,  /* dollars per million tokens: number or text */
    FIELD_TIME,   /* RFC 3339 */
    FIELD_WORD,   /* one of `words` */
    FIELD_URL,    /* http or https, no credentials in it */
    FIELD_CIDR,   /* a network: 127.0.0.0/8 */
    FIELD_SECRET, /* text that is sealed and never shown; `<name>_set` stands for it */
    FIELD_REF,    /* name or id of a `ref` */
    FIELD_OBJECT, /* of `fields` */
    FIELD_PAIRS, /* an object of texts: names by `rule`, min..max characters, least..most of them */
    FIELD_JSON,  /* anything; written by the server only */
};

enum field_flags {
    FIELD_REQUIRED = 1 << 0,
    FIELD_LIST = 1 << 1,          /* an array of the type; least..most entries, no value twice */
    FIELD_READ_ONLY = 1 << 2,     /* set by the server; a client may only repeat it */
    FIELD_ON_CREATE = 1 << 3,     /* may be given by POST, then stays */
    FIELD_OWNER_ONLY = 1 << 4,    /* only the owner role may set or change it */
    FIELD_NOT_ENFORCED = 1 << 5,  /* stored, shown, and named in not_enforced */
    FIELD_GUARDS_SECRET = 1 << 6, /* a URL: when its host changes, secrets beside it are cleared */
    FIELD_IDENTITY = 1 << 7,      /* entries of this list have ids of their own, kept by name */
    FIELD_HIDDEN = 1 << 8,        /* stored, never shown: digests */
    FIELD_COMPUTED = 1 << 9,      /* shown, never stored; what is sent of it has no effect */
    FIELD_FILTER = 1 << 10,       /* a word that lists may be filtered by */
    FIELD_LOCAL = 1 << 11,        /* stays in the control plane: not sent to data planes */
    FIELD_WIRE_ALWAYS = 1 << 12,  /* to planes also where it is absent: false, or 0; of a list: that
                                   * it is absent */
    FIELD_POOLS = 1 << 13,        /* the pools whose planes are given the object; absent: all */
    FIELD_SWITCH = 1 << 14,       /* a bool: false withholds the object from every plane */

    /* The effect on an object whose referenced object is not given to a plane. Without one of these
     * flags it is withheld as well: withheld means denied, never an absent
     * restriction. */
    FIELD_NARROWS = 1 << 15,       /* the entry only permits: the object is given without it */
    FIELD_ONE_OF = 1 << 16,        /* the object is given as long as one of the list's entries is */
    FIELD_WITH_QUERY = 1 << 20,    /* a URL that may have a query */
    FIELD_OPTIONAL = 1 << 18,      /* a secret that an entry may lack */
    FIELD_WITH_REGION = 1 << 19,   /* a URL whose host may contain "{region}" */
    FIELD_WITH_METADATA = 1 << 21, /* a URL that may be a cloud's metadata address */
    FIELD_RESTRICTS = 1 << 17, /* the object restricts the one that is named: it stands alone, and
                                * where it is withheld for a feature, the named one is withheld */
};

/* A word that not every data plane understands. */
struct field_word_needs {
    const char *word;
    feature_set needs;
};

struct field {
    const char *name;
    const char *with, *without; /* the row counts only where this member stands, or does not: so two
                                 * rows may have one name */
    enum field_type type;
    unsigned flags;
    int64_t min, max;                       /* of a number, or of a text's length */
    int64_t least, most;                    /* entries of a list; most 0: FIELD_LIST_MOST */
    const char *const *words;               /* NULL-terminated */
    const char *(*rule)(struct slice text); /* NULL, or what is wrong: "must …" */
    const char *pattern; /* the same as a regular expression (ECMA-262), where the rule is this
                          * noun's own; of shared rules noun_rule_pattern knows it */
    const char *ref;     /* a noun's name */
    const char *through; /* a filter by this reference also finds objects that have none, and whose
                          * reference of this name leads to one with the same: an agent's team */
    const char *beside;  /* of a secret that may be left out: the member it belongs to; where that
                          * one changes and no new secret comes, the old secret is dropped */
    const char *unless;  /* of a secret: it may be left out where this member stands */
    const char *default_json;   /* NULL: absent stays absent */
    const struct field *fields; /* of an object; ends with a row without name */
    const char *id_prefix;      /* with FIELD_IDENTITY */
    const char *help;

    /* to data planes */
    const char *wire;      /* the message's field, where it does not follow from the name */
    const char *wire_word; /* of a word that is a bool there: the one that is true */
    const char *wire_kind; /* a text field that receives the row's name, where this row is set */
    feature_set needs;     /* features that an object with this member needs */
    const struct field_word_needs *word_needs; /* ends with a row without word */
};

#define FIELD_END                                                                                  \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define FIELD_LIST_MOST 1000
#define FIELD_TEXT_MOST 2048
#define FIELD_DOLLARS_MOST 999999999 /* of money and prices: nine digits before the point */
#define FIELD_SECRET_MOST 16384      /* service account documents are pasted as secrets */
#define FIELD_PROBLEMS_MOST 32       /* of one document; more are not listed */

/* How a reference is turned into an id, and what refers to an object. */
struct lookup {
    /* ERR_NOT_FOUND, ERR_EXHAUSTED (several of that name), or what the store said.
     * ret_spec may be NULL; else a new reference. */
    enum err (*find)(void *arg, const char *noun, struct slice name_or_id, char *ret_id,
                     json_t **ret_spec);
    /* How many objects of the noun stand above this one, each referring to the next; cut at
     * `most`. */
    enum err (*height)(void *arg, const char *noun, struct slice id, unsigned most, unsigned *ret);
    void *arg;
};

/* One document being read: the rights of the caller, and what was wrong. */
struct reading {
    const struct lookup *lookup;
    struct slice name; /* of the object; empty: it has none */
    struct slice id;   /* of the object; empty: it has none yet */
    bool creating;
    bool is_owner;
    int64_t now_us;   /* wall */
    json_t *problems; /* array of {"pointer","detail"}; made when first needed */
    enum err failed;  /* the lookup itself failed: the document was not checked */
};

/* Adds a problem at the JSON pointer; cut at FIELD_PROBLEMS_MOST. */
void reading_problem(struct reading *r, const char *pointer, const char *fmt, ...) PRINTF(3, 4);
void reading_fini(struct reading *r);

/* Reads `body` (an object) by the rows into a new normal form. Problems are gathered, so that
 * all are returned at once; NULL only when out of memory. `old`, the stored form, may be NULL. */
json_t *field_read(struct reading *r, const struct field *fields, const json_t *body,
                   const json_t *old, const char *pointer);

/* "secret_set": the member that stands for a secret. */
#define FIELD_SET_NAME_MAX 48
const char *field_set_name(const struct field *secret, char out[static FIELD_SET_NAME_MAX]);

/* Lists may be filtered by it: scalar references, and words that say so. */
bool field_filters(const struct field *f);
/* Whether the row counts in this document. */
bool field_counts(const struct field *f, const json_t *doc);
/* The row of that name, or NULL. */
const struct field *field_find(const struct field *fields, const char *name);
