/* policy_object — a message becomes a typed policy object; a row per kind (kind.h) says how. */
#include "common/policy/policy_object.h"

#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/policy/kind.h"
#include "common/wire/feature.h"
#include "common/wire/policy_digest.h"

/* An object's arena is one piece of the right size: the structs, and its texts twice (decoded, and
 * in the packed form). A hundred thousand keys are a hundred thousand of these. */
#define OBJECT_STRUCTS 512
#define OBJECT_MAX (3u * LIMIT_BUS_MESSAGE) /* no message is larger */

static enum err decode_typed(struct kind_decoding *d, const struct policy_kind *kind)
{
    enum err e = kind->decode(d);
    if (e != ERR_OK)
        return e;
    struct policy_object *p = d->object->policy;
    d->object->kind = kind;
    p->kind = (int)kind->kind;
    p->id = kind_text(d, d->message->id);
    p->revision = d->message->revision;
    if (!kind->named)
        return ERR_OK;
    d->object->scoped =
        arena_printf(d->arena, "%.*s/%.*s", SLICE_ARG(p->org_id), SLICE_ARG(p->name));
    return d->object->scoped.ptr ? ERR_OK : ERR_NOMEM;
}

/* Packed forms that hold secrets are kept in locked memory. */
static enum err keep_packed(struct kind_decoding *d, bool hide)
{
    size_t len = gatehouse__policy_object__get_packed_size(d->message);
    uint8_t *to = hide ? mem_alloc(len + 1) : arena_alloc(d->arena, len + 1);
    if (!to)
        return ERR_NOMEM;
    gatehouse__policy_object__pack(d->message, to);
    if (!hide) {
        d->object->packed = slice_of(to, len);
        return ERR_OK;
    }
    ProtobufCBinaryData plain = {.len = len, .data = to};
    struct secret *kept = kind_secret(d, &plain);
    secret_wipe(to, len);
    mem_free(to);
    if (!kept)
        return ERR_NOMEM;
    d->object->packed = secret_reveal(kept);
    return ERR_OK;
}

/* ---- what is refused ---- */

struct slice object_refused_key(int kind, struct slice id, char out[static OBJECT_REFUSED_KEY_MAX])
{
    int n = snprintf(out, OBJECT_REFUSED_KEY_MAX, "%d:%.*s", kind, SLICE_ARG(id));
    return slice_of(out, n < OBJECT_REFUSED_KEY_MAX ? (size_t)n : OBJECT_REFUSED_KEY_MAX - 1);
}

static bool knows_feature(const char *name)
{
    return feature_parse(slice_str(name)) != FEATURES_NONE;
}

/* The order matters: of an object with an unknown kind nothing else can be said. */
static enum policy_refusal refusal_of(const Gatehouse__PolicyObject *m,
                                      const struct policy_kind *kind)
{
    if (!kind)
        return POLICY_UNKNOWN_KIND;
    for (size_t i = 0; i < m->n_features; i++)
        if (!knows_feature(m->features[i]))
            return POLICY_UNKNOWN_FEATURE;
    return m->body_case == kind->body ? POLICY_TAKEN : POLICY_UNREADABLE;
}

/* Nothing is known about its members: all of it is kept as if it held secrets. */
static enum err decode_refused(struct kind_decoding *d, enum policy_refusal why)
{
    char key[OBJECT_REFUSED_KEY_MAX];
    struct policy_object *p = kind_begin(d, sizeof(*p), "", "");
    if (!p)
        return ERR_NOMEM;
    d->object->refusal = why;
    p->kind = (int)d->message->kind;
    p->id = kind_text(d, d->message->id);
    p->revision = d->message->revision;
    d->object->scoped = arena_copy(d->arena, object_refused_key(p->kind, p->id, key));
    if (!d->object->scoped.ptr)
        return ERR_NOMEM;
    return keep_packed(d, true);
}

static enum err decode(struct kind_decoding *d, enum policy_refusal why)
{
    const struct policy_kind *kind = policy_kind_find((int)d->message->kind);
    if (why != POLICY_TAKEN)
        return decode_refused(d, why);
    enum err e = decode_typed(d, kind);
    if (e == ERR_OK)
        e = keep_packed(d, kind->has_secrets);
    return e;
}

/* One try: as it stands, or refused. ERR_INVALID: it cannot be read, and must be refused. */
static enum err make(const struct kind_decoding *from, enum policy_refusal why, struct object **ret)
{
    size_t packed = gatehouse__policy_object__get_packed_size(from->message);
    struct arena *arena = arena_new(OBJECT_STRUCTS + 2 * packed, OBJECT_MAX);
    if (!arena)
        return ERR_NOMEM;
    struct object *object = arena_zalloc(arena, sizeof(*object));
    if (!object) {
        arena_free(arena);
        return ERR_NOMEM;
    }
    atomic_init(&object->refs, 1);
    object->arena = arena;
    struct kind_decoding d = *from;
    d.arena = arena;
    d.object = object;
    enum err e = decode(&d, why);
    if (d.short_of_memory)
        e = ERR_NOMEM;
    if (e != ERR_OK) {
        arena_free(arena);
        return e;
    }
    policy_digest_row(object->policy->kind, object->policy->id, object->policy->revision,
                      &object->row);
    *ret = object;
    return ERR_OK;
}

enum err object_new(const Gatehouse__PolicyObject *message, const struct object *old,
                    struct registry *registry, struct object **ret)
{
    if (!message->id || message->id[0] == '\0' || message->kind <= 0 ||
        strlen(message->id) > OBJECT_REFUSED_KEY_MAX / 2)
        return ERR_INVALID;
    const struct kind_decoding from = {.old = old, .registry = registry, .message = message};
    enum policy_refusal why = refusal_of(message, policy_kind_find((int)message->kind));
    enum err e = make(&from, why, ret);
    if (e != ERR_OK && e != ERR_NOMEM && why == POLICY_TAKEN)
        e = make(&from, POLICY_UNREADABLE, ret);
    return e;
}

void object_hold(void *object)
{
    atomic_fetch_add_explicit(&((struct object *)object)->refs, 1, memory_order_relaxed);
}

void object_drop(void *object)
{
    struct object *o = object;
    if (o && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
        arena_free(o->arena);
}
