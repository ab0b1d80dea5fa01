/* kind_notice — a sample noun: its text, found by name. */
#include "common/policy/kind.h"

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Notice *m = d->message->notice;
    struct policy_notice *n = kind_begin(d, sizeof(*n), m->org_id, m->name);
    if (!n)
        return ERR_NOMEM;
    n->text = kind_text(d, m->text);
    n->weight = kind_weight(m->has_weight, m->weight);
    return ERR_OK;
}

const struct policy_kind kind_notice = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_NOTICE,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_NOTICE,
    .decode = decode,
    .named = true,
};
