/*
 * api_keys — a key's text is in one response and nowhere else: its digest is stored.
 */
#include "controlplane/api/api_keys.h"

#include <stdio.h>

#include "common/base/secret.h"
#include "common/wire/keyprint.h"

static void set_digest(json_t *spec, const struct digest *d, const char *kind)
{
    char hex[DIGEST_HEX_MAX];
    digest_hex(slice_of(d->bytes, DIGEST_LEN), hex);
    json_object_set_new(spec, "digest", json_string(hex));
    json_object_set_new(spec, "digest_kind", json_string(kind));
}

/* Makes a fresh key for x->now and puts it into the response. */
static void make_fresh(struct change *x)
{
    char key[KEYPRINT_KEY_LEN + 1], secret[KEYPRINT_AWS_SECRET_LEN + 1];
    struct digest d;
    struct slice text = slice_of(key, KEYPRINT_KEY_LEN);
    keyprint_make(key);
    keyprint_hmac(secret_reveal(x->c->app->key_hmac), text, &d);
    set_digest(x->now.spec, &d, "hmac");
    json_object_set_new(x->now.spec, "public_part", json_from(keyprint_public_part(text)));
    if (x->now.name[0] == '\0')
        snprintf(x->now.name, sizeof(x->now.name), "gh-%.*s",
                 SLICE_ARG(keyprint_public_part(text)));
    x->extra = json_object();
    json_object_set_new(x->extra, "key", json_from(text));
    keyprint_aws_secret(secret_reveal(x->c->app->key_hmac), &d, secret);
    json_object_set_new(x->extra, "access_key_id", json_string(x->now.id));
    json_object_set_new(x->extra, "secret_access_key", json_string(secret));
    secret_wipe(secret, sizeof(secret));
    secret_wipe(key, sizeof(key));
}

enum err api_keys_make(struct change *x)
{
    if (json_object_get(x->now.spec, "digest") == NULL)
        make_fresh(x);
    else if (x->now.name[0] == '\0')
        snprintf(x->now.name, sizeof(x->now.name), "imported-%.12s",
                 json_string_value(json_object_get(x->now.spec, "digest")));
    return ERR_OK;
}

/* Sets one flag of the stored document; no version is made where it has that value already. */
static enum err set_flag(struct call *c, const char *action, const char *flag, bool value)
{
    CHANGE_AUTO struct change x = {0};
    change_init(&x, c);
    enum err e = change_open(&x);
    if (e != ERR_OK)
        return change_result(e);
    if (json_is_true(json_object_get(x.old.spec, flag)) == value)
        return change_nothing(&x, 200);
    change_keep(&x);
    json_object_set_new(x.now.spec, flag, json_boolean(value));
    e = change_store(&x);
    if (e == ERR_OK)
        e = change_end(&x, action, 200);
    return change_result(e);
}

enum err api_keys_revoke(struct call *c)
{
    return set_flag(c, "revoke", "revoked", true);
}

enum err api_keys_block(struct call *c)
{
    return set_flag(c, "block", "blocked", true);
}

enum err api_keys_unblock(struct call *c)
{
    return set_flag(c, "unblock", "blocked", false);
}

/* Gives the key object a new text; data planes refuse the old text from this version on. */
enum err api_keys_rotate(struct call *c)
{
    CHANGE_AUTO struct change x = {0};
    change_init(&x, c);
    enum err e = change_open(&x);
    if (e == ERR_OK && json_is_true(json_object_get(x.old.spec, "revoked"))) {
        e = call_problem(c, PROBLEM_KEY_REVOKED, "a revoked key stays revoked: create another");
        return e;
    }
    if (e != ERR_OK)
        return change_result(e);
    change_keep(&x);
    make_fresh(&x);
    e = change_store(&x);
    if (e == ERR_OK)
        e = change_end(&x, "rotate", 200);
    return change_result(e);
}
