/*
 * noun — a kind of resource as one descriptor: table, path, fields, rules.
 *
 * The generic engine (api/api_object) serves every noun of the table below; what is special
 * about one stands in its own file as data or as a small pure `check`.
 *
 * Owns     nothing; constant.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/money.h"
#include "controlplane/domain/field.h"

enum noun_flags {
    NOUN_UNNAMED = 1 << 0,      /* its id serves as name: grants, blocks */
    NOUN_NAME_REPEATS = 1 << 1, /* the name is a label, and may be left out: keys */
    NOUN_NO_CREATE = 1 << 2,
    NOUN_NO_DELETE = 1 << 3,
    NOUN_NAME_STAYS = 1 << 4, /* it is given from outside: a tool's */
    NOUN_NAME_LIVE = 1 << 5,  /* with NAME_REPEATS: of those that are not revoked, one has it */
};

struct noun {
    const char *name;      /* "mcp-server" */
    const char *plural;    /* "mcp-servers": the path */
    const char *table;     /* "mcp_servers" */
    const char *id_prefix; /* "mcp" */
    int kind;              /* ObjectKind; 0: data planes need not know */
    unsigned flags;
    unsigned write_roles;                         /* set of enum role */
    const char *(*name_rule)(struct slice text);  /* NULL: noun_label_rule */
    feature_set (*name_needs)(struct slice name); /* NULL: no name needs a feature */
    const char *always; /* the row of this name exists, unrenamed, for ever */
    const struct field *fields;
    /* Rules over several fields; may complete doc. old is NULL on create. */
    void (*check)(struct reading *r, const json_t *old, json_t *doc);
    const char *help;
};

/* 1 to 128 bytes, printable, no space at either end */
const char *noun_label_rule(struct slice text);
/* [a-z0-9][a-z0-9-]{0,30}: stands in paths and header names */
const char *noun_slug_rule(struct slice text);
const char *
noun_header_rule(struct slice text); /* an RFC 9110 token that is no hop-by-hop or framing field */
const char *noun_path_rule(struct slice text); /* a route's path: "/customers/" and a star or two */
const char *noun_model_rule(struct slice text); /* exact name, "prefix/" and a star, or a star */
const char *noun_exact_rule(struct slice text); /* a label without a star */
const char *noun_tool_rule(struct slice text);  /* a tool's exact name, or a star */

/* A rule above as a regular expression of ECMA-262: what it takes and nothing else, but for names
 * that are reserved, and lengths in bytes. NULL: none is known. */
const char *noun_rule_pattern(const char *(*rule)(struct slice text));

/* Rows that several nouns have. */
#define NOUN_DESCRIPTION                                                                           \
    {                                                                                              \
        .name = "description", .type = FIELD_TEXT, .flags = FIELD_LOCAL, .help = "for people"      \
    }
extern const struct field noun_timeout_fields[];
/* deadlines of a call, in milliseconds */
#define NOUN_TIMEOUTS(text)                                                                        \
    {                                                                                              \
        .name = "timeouts", .type = FIELD_OBJECT, .fields = noun_timeout_fields, .help = text      \
    }
#define NOUN_ALLOW_CIDRS                                                                           \
    {                                                                                              \
        .name = "allow_cidrs", .type = FIELD_CIDR, .flags = FIELD_LIST | FIELD_OWNER_ONLY,         \
        .most = 64, .help = "private networks it may lie in"                                       \
    }
#define NOUN_POOLS                                                                                 \
    {                                                                                              \
        .name = "pools", .type = FIELD_REF, .flags = FIELD_LIST | FIELD_POOLS, .ref = "pool",      \
        .most = 64, .help = "whose data planes are given it; absent: all; [] none"                 \
    }
#define NOUN_ENABLED                                                                               \
    {                                                                                              \
        .name = "enabled", .type = FIELD_BOOL, .flags = FIELD_SWITCH,                              \
        .help = "false switches it off, whatever refers to it; absent: true"                       \
    }
#define NOUN_MODELS(said)                                                                          \
    {                                                                                              \
        .name = "models", .type = FIELD_TEXT, .flags = FIELD_LIST, .min = 1,                       \
        .rule = noun_model_rule, .help = said                                                      \
    }

/* Shared rows: budgets, limits, routes, injected credentials. */
extern const struct field noun_budget_fields[];
extern const struct field noun_limits_fields[];
extern const struct field noun_route_fields[];
extern const struct field noun_credential_fields[];
extern const struct field noun_price_fields[];
/* Its tiers rise. */
void noun_price_check(struct reading *r, const json_t *prices, const char *pointer);

/* Where the secret of an object lies: under the slot of the object, another than its first one
 * (`secret`) with its name behind that. */
#define NOUN_SLOT_MAX 64
const char *noun_slot(const char *of_object, const struct field *secret,
                      char out[static NOUN_SLOT_MAX]);

/* A sealed value that a write brings. */
struct noun_secret {
    char slot[NOUN_SLOT_MAX];
    bool drop;          /* the stored one is deleted */
    struct slice value; /* points into the tree's string; wiped by noun_secrets_fini */
    json_t *holder;     /* keeps the string alive */
};
#define NOUN_SECRETS_MOST 128
struct noun_secrets {
    struct noun_secret rows[NOUN_SECRETS_MOST];
    size_t count;
};

/* Gives entries with FIELD_IDENTITY their ids, moves secrets out of doc into *ret, sets
 * `<name>_set`, and clears what a changed host must not get. A missing secret is a problem. */
void noun_settle(struct reading *r, const struct noun *n, const json_t *old, json_t *doc,
                 struct noun_secrets *ret);
void noun_secrets_fini(struct noun_secrets *s);

/* dotted names of the fields in doc that are stored but not yet enforced; new array */
json_t *noun_not_enforced(const struct noun *n, const json_t *doc);

/* Calls visit for every reference in a normal form. Stops at the first ERR_*. */
enum err noun_each_ref(const struct noun *n, const json_t *doc,
                       enum err (*visit)(void *arg, const struct field *row, struct slice id),
                       void *arg);

/* Features that a plane must have to be given this document under this name. */
feature_set noun_needs(const struct noun *n, struct slice name, const json_t *doc);

/* RFC 7396: a new tree, target with patch applied */
json_t *noun_merge(const json_t *target, const json_t *patch);
