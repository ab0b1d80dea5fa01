/* kind_key — a virtual key: found by its digest; its meter outlives its revisions. */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/policy/kind.h"

static void drop_meter(void *guest)
{
    meter_drop(guest);
}

/* What was counted against a key stays counted when the key is changed. */
static struct meter *meter_from(struct kind_decoding *d, uint32_t rpm)
{
    const struct policy_key *old =
        d->old ? (const struct policy_key *)(const void *)d->old->policy : NULL;
    struct meter *m = old ? meter_hold(old->scope.meter) : meter_new();
    if (!m || arena_adopt(d->arena, m, drop_meter) != ERR_OK) {
        d->short_of_memory = true;
        return NULL;
    }
    meter_set_rpm(m, rpm, clock_mono_us());
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
    p->expires_at_us = m->expires_at_us;
    p->revoked = m->revoked;
    p->blocked = m->blocked;
    p->scope = (struct scope){.kind = "key",
                              .name = p->o.name.len > 0 ? p->o.name : p->public_part,
                              .account = kind_account(d, m->budget)};
    if (m->limits)
        p->scope.limits = (struct scope_limits){
            .rpm = m->limits->rpm, .tpm = m->limits->tpm, .parallel = m->limits->parallel};
    p->scope.meter = meter_from(d, p->scope.limits.rpm);
    return ERR_OK;
}

const struct policy_kind kind_key = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_KEY,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_KEY,
    .decode = decode,
};
