/* kind_fault — an outage that is rehearsed: found by the provider that seems to fail, or by the
 * organisation where all of its providers do. */
#include "common/policy/kind.h"

static enum err read_scope(struct kind_decoding *d, const Gatehouse__Fault *m,
                           struct policy_fault *p)
{
    static const char *const words[POLICY_FAULT_SCOPES] = {
        [POLICY_FAULT_OF_TEAM] = "team",
        [POLICY_FAULT_OF_AGENT] = "agent",
        [POLICY_FAULT_OF_KEY] = "key",
    };
    p->subject_id = kind_text(d, m->scope_subject_id);
    p->scope = POLICY_FAULT_OF_ALL;
    if (!m->scope_subject_kind)
        return p->subject_id.len ? ERR_INVALID : ERR_OK;
    for (size_t i = POLICY_FAULT_OF_ALL + 1; i < POLICY_FAULT_SCOPES; i++)
        if (strcmp(m->scope_subject_kind, words[i]) == 0)
            p->scope = (enum policy_fault_scope)i;
    return p->scope != POLICY_FAULT_OF_ALL && p->subject_id.len ? ERR_OK : ERR_INVALID;
}

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Fault *m = d->message->fault;
    struct policy_fault *p = kind_begin(d, sizeof(*p), m->org_id, m->name);
    if (!p)
        return ERR_NOMEM;
    p->share_permille = m->share_permille;
    p->until_us = m->until_us;
    p->status = (uint16_t)m->fault_status;
    p->hangs = m->fault_hang;
    p->latency_ms = m->fault_latency_ms;
    d->object->subject = kind_text(d, m->provider_id ? m->provider_id : m->org_id);
    unsigned said = (p->status != 0) + p->hangs + (p->latency_ms != 0);
    if (said != 1 || m->fault_status > 599 || m->share_permille > 1000 ||
        (m->fault_status && m->fault_status < 400) || !d->object->subject.len)
        return ERR_INVALID;
    return read_scope(d, m, p);
}

const struct policy_kind kind_fault = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_FAULT,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_FAULT,
    .decode = decode,
};
