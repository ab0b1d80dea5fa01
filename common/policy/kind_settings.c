/*
 * kind_settings — the installation's own secrets. There is one object of this kind; the snapshot
 * keeps its members where requests find them.
 */
#include "common/base/mem.h"
#include "common/policy/kind.h"
#include "common/policy/snapshot_private.h"
#include "common/wire/proto_secret.h"

/* The members are read from the packed form when the object enters the snapshot: they lie in
 * locked memory there. */
static enum err decode(struct kind_decoding *d)
{
    return kind_begin(d, sizeof(struct policy_object), "", "") ? ERR_OK : ERR_NOMEM;
}

static struct secret *make_ready(struct slice key)
{
    struct digest_hmac_key ready;
    digest_hmac_ready(key, &ready);
    struct secret *s = secret_new(slice_of(&ready, sizeof(ready)));
    secret_wipe(&ready, sizeof(ready));
    return s;
}

static void leave(struct snapshot *s)
{
    secret_drop(s->key_hmac);
    secret_drop(s->key_ready);
    secret_drop(s->session_seal);
    s->key_hmac = s->key_ready = s->session_seal = NULL;
}

static enum err enter(struct snapshot *s, const struct object *o)
{
    Gatehouse__PolicyObject *m = gatehouse__policy_object__unpack(&proto_secret, o->packed.len,
                                                                  (const uint8_t *)o->packed.ptr);
    if (!m)
        return ERR_NOMEM; /* it was packed here */
    if (!m->settings) {
        gatehouse__policy_object__free_unpacked(m, &proto_secret);
        return ERR_INVALID;
    }
    struct slice hmac = slice_of(m->settings->key_hmac.data, m->settings->key_hmac.len);
    struct slice seal = slice_of(m->settings->session_seal.data, m->settings->session_seal.len);
    leave(s);
    s->key_hmac = secret_new(hmac);
    s->key_ready = make_ready(hmac);
    s->session_seal = secret_new(seal);
    gatehouse__policy_object__free_unpacked(m, &proto_secret);
    return s->key_hmac && s->key_ready && s->session_seal ? ERR_OK : ERR_NOMEM;
}

const struct policy_kind kind_settings = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_SETTINGS,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_SETTINGS,
    .decode = decode,
    .has_secrets = true,
    .enter = enter,
    .leave = leave,
};
