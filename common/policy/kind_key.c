/* kind_key — a virtual key: found by its digest; its meter outlives its revisions. */
#include "common/base/mem.h"
#include "common/policy/kind.h"
#include "common/scope/meter.h"

static void drop_meter(void *guest)
{
    meter_drop(guest);
}

/* What was counted against a key stays counted when the key is changed. */
static struct meter *meter_from(struct kind_decoding *d)
{
    const struct policy_key *old =
        d->old ? (const struct policy_key *)(const void *)d->old->policy : NULL;
    struct meter *m = old ? meter_hold(old->meter) : meter_new();
    if (!m || arena_adopt(d->arena, m, drop_meter) != ERR_OK) {
        d->short_of_memory = true;
        return NULL;
    }
    return m;
}

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Key *m = d->message->key;
    if (m->digest.len != DIGEST_LEN)
        return ERR_INVALID;
    struct policy_key *p = kind_begin(d, sizeof(*p), m->org_id, m->name);
    if (!p)
        return ERR_NOMEM;
    memcpy(p->digest.bytes, m->digest.data, DIGEST_LEN);
    d->object->lookup = slice_of(p->digest.bytes, DIGEST_LEN);
    p->digest_is_sha256 = m->digest_kind && strcmp(m->digest_kind, "sha256") == 0;
    p->public_part = kind_text(d, m->public_part);
    p->agent_id = kind_text(d, m->agent_id);
    p->team_id = kind_text(d, m->team_id);
    p->models = kind_names(d, m->models);
    p->tasks = kind_names(d, m->tasks);
    if (m->limits) {
        p->limits = (struct policy_limits){
            .rpm = m->limits->rpm, .tpm = m->limits->tpm, .parallel = m->limits->parallel};
    }
    p->expires_at_us = m->expires_at_us;
    p->revoked = m->revoked;
    p->blocked = m->blocked;
    p->account = kind_account(d, m->budget);
    p->meter = meter_from(d);
    return ERR_OK;
}

const struct policy_kind kind_key = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_KEY,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_KEY,
    .decode = decode,
};
