/*
 * kind — the nouns of the policy, as rows: one file kind_<noun>.c and one line of the table each.
 *
 * A row says how a message of its kind becomes the typed struct of snapshot.h, which tables its
 * objects stand in, and whether its packed form holds secrets. A noun of which nothing is kept but
 * its texts needs a `decode` of some ten lines; see kind_task.c.
 *
 * How an object is found follows from what `decode` fills in:
 *   object.lookup   a key that belongs to one object of the kind (a virtual key's digest)
 *   object.subject  a key that several objects share (the grants of one agent)
 * and by (organisation, name) where the row says `named`. Every object is found by its id.
 *
 * Private to common/policy.
 *
 * Owns     nothing; what a helper allocates lies in the object's arena.
 * Fails    decode says ERR_INVALID where a member cannot be read: the object is refused and the
 *          rest of the policy applied. The helpers note a lack of memory in the decoding.
 * Threads  the main thread's.
 */
#pragma once

#include "common/policy/policy_object.h"
#include "common/wire/feature.h"

/* One object on its way from the message to the typed struct. */
struct kind_decoding {
    struct arena *arena;
    struct object *object;
    const struct object *old; /* the revision before, whose meter is carried over; may be NULL */
    struct registry *registry;
    const Gatehouse__PolicyObject *message;
    bool short_of_memory;
};

struct policy_kind {
    Gatehouse__ObjectKind kind;
    Gatehouse__PolicyObject__BodyCase body;
    enum err (*decode)(struct kind_decoding *d);
    bool named;       /* found by organisation and name too */
    bool has_secrets; /* its packed form is kept in locked memory */
    /* What the snapshot keeps of the only object of this kind; NULL: nothing. */
    enum err (*enter)(struct snapshot *s, const struct object *o);
    void (*leave)(struct snapshot *s); /* the object is gone; NULL where enter is */
};

/* NULL: this plane does not know the kind. */
const struct policy_kind *policy_kind_find(int kind);
/* What the control plane must hear so that it gives this plane the kinds of the table. */
feature_set policy_kind_features(void);

/* Every noun that this plane knows: each is defined in its own file as kind_<name>. */
#define POLICY_KIND_TABLE(ROW)                                                                     \
    ROW(settings)    /* installation key, master of sealed session ids */                          \
    ROW(team)        /* models, budget */                                                          \
    ROW(agent)       /* team, tasks, models */                                                     \
    ROW(task)        /* a name */                                                                  \
    ROW(key)         /* digest, owner, models, tasks, budget, limits, expiry */                    \
    ROW(provider)    /* address, credentials */                                                    \
    ROW(model)       /* targets, prices */                                                         \
    ROW(catalogue)   /* what a vendor's models cost */                                             \
    ROW(alias)       /* a name of a model, for an org, a team, an agent or a key */                \
    ROW(mcp_server)  /* address, credential */                                                     \
    ROW(api_service) /* address, credential, routes */                                             \
    ROW(grant)       /* agent or team to server, service or models */                              \
    ROW(fault)       /* an outage that is rehearsed */                                             \
    ROW(block)       /* what may do nothing at all */

#define POLICY_KIND_ROW(name) extern const struct policy_kind kind_##name;
POLICY_KIND_TABLE(POLICY_KIND_ROW)
#undef POLICY_KIND_ROW

/* ---- what decoders use ---- */

/* The typed struct of this message; its first member is a struct policy_object, whose texts are
 * filled here. NULL: no memory. */
void *kind_begin(struct kind_decoding *d, size_t size, const char *org_id, const char *name);
void *kind_rows(struct kind_decoding *d, size_t count, size_t size); /* zeroed; NULL: no memory */
struct slice kind_text(struct kind_decoding *d, const char *from);   /* NULL becomes empty */
struct slice *kind_texts(struct kind_decoding *d, char *const *from, size_t n);
struct name_list kind_names(struct kind_decoding *d, const Gatehouse__NameList *from);
/* NULL where there is none. */
struct secret *kind_secret(struct kind_decoding *d, const ProtobufCBinaryData *from);
struct account *kind_account(struct kind_decoding *d, const Gatehouse__Budget *budget);
MUST_USE enum err kind_networks(struct kind_decoding *d, char *const *from, size_t n,
                                struct cidr **ret);
struct policy_route *kind_routes(struct kind_decoding *d, Gatehouse__Route *const *from, size_t n);
/* NULL: no price is known. */
MUST_USE enum err kind_price(const Gatehouse__Price *from, struct price_sheet *ret);
struct policy_timeouts kind_timeouts(const Gatehouse__Timeouts *from); /* NULL: the defaults */
uint32_t kind_weight(protobuf_c_boolean has, uint32_t value);          /* absent: an equal share */
/* Bit n for the word n of `words`. ERR_INVALID: some are none of these; the rest is set. */
enum err kind_bits(char *const *from, size_t n, const char *const *words, size_t count,
                   uint32_t *ret);
uint32_t kind_capabilities(char *const *from, size_t n); /* unknown words count for nothing */
/* Words of common/base/data_policy.h, as kind_bits. */
enum err kind_data_policy(char *const *from, size_t n, uint32_t *ret);
/* NULL: always. */
MUST_USE enum err kind_when(struct kind_decoding *d, const Gatehouse__When *from,
                            const struct policy_when **ret);
