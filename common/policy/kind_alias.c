/* kind_alias — a name by which clients ask for a model: found by whose it is and by the name. */
#include "common/policy/kind.h"

/* The subject's id has no line break in it. */
static struct slice lookup_of(struct arena *a, struct slice subject, struct slice name)
{
    return arena_printf(a, "%.*s\n%.*s", SLICE_ARG(subject), SLICE_ARG(name));
}

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Alias *m = d->message->alias;
    struct policy_alias *p = kind_begin(d, sizeof(*p), m->org_id, m->name);
    if (!p)
        return ERR_NOMEM;
    p->model = kind_text(d, m->model);
    d->object->subject = kind_text(d, m->subject_id ? m->subject_id : m->org_id);
    if (!p->o.name.len || !p->model.len || !d->object->subject.len)
        return ERR_INVALID;
    d->object->lookup = lookup_of(d->arena, d->object->subject, p->o.name);
    return d->object->lookup.ptr ? ERR_OK : ERR_NOMEM;
}

const struct policy_kind kind_alias = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_ALIAS,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_ALIAS,
    .decode = decode,
};
