/* kind_block — a principal or session that may do nothing at all; found as "kind:id". */
#include "common/policy/kind.h"

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Block *m = d->message->block;
    if (!kind_begin(d, sizeof(struct policy_block), m->org_id, ""))
        return ERR_NOMEM;
    if (!m->subject_kind || !m->subject_id)
        return ERR_INVALID;
    d->object->subject = arena_printf(d->arena, "%s:%s", m->subject_kind, m->subject_id);
    return d->object->subject.ptr ? ERR_OK : ERR_NOMEM;
}

const struct policy_kind kind_block = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_BLOCK,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_BLOCK,
    .decode = decode,
};
