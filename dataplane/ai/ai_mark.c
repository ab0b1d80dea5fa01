/*
 * ai_mark — marks behind values.
 */
#include "dataplane/ai/ai_mark.h"

#include "common/base/secret.h"

#define CODE_LEN (AI_MARK_LEN - 3 - AI_ACCOUNT_LEN)

static const struct slice sign = {"_gh", 3};

void ai_marker_init(struct ai_marker *m, const struct snapshot *policy, struct slice owner)
{
    uint8_t key[DIGEST_LEN];
    struct slice master = snapshot_session_seal(policy);
    *m = (struct ai_marker){.owner = owner};
    if (!master.len)
        return;
    digest_hkdf(master, SLICE(""), SLICE("marks of stored things"), key, sizeof(key));
    digest_hmac_ready(slice_of(key, sizeof(key)), &m->key);
    secret_wipe(key, sizeof(key));
    m->ready = true;
}

void ai_account_of(struct slice provider, struct slice credential, struct ai_account *ret)
{
    struct digest d;
    const struct slice parts[] = {provider, credential};
    char text[2 * DIGEST_LEN];
    digest_sha256_parts(parts, ARRAY_LEN(parts), &d);
    digest_base64url(slice_of(d.bytes, AI_ACCOUNT_LEN * 3 / 4), text);
    memcpy(ret->text, text, AI_ACCOUNT_LEN + 1);
}

bool ai_account_eq(const struct ai_account *a, const struct ai_account *b)
{
    return memcmp(a->text, b->text, AI_ACCOUNT_LEN) == 0;
}

static void code_of(const struct ai_marker *m, struct slice account, struct slice value,
                    char out[static CODE_LEN + 1])
{
    const struct slice parts[] = {m->owner, account, value};
    struct digest whole, code;
    char text[2 * DIGEST_LEN];
    digest_sha256_parts(parts, ARRAY_LEN(parts), &whole);
    digest_hmac_by(&m->key, slice_of(whole.bytes, DIGEST_LEN), &code);
    digest_base64url(slice_of(code.bytes, CODE_LEN * 3 / 4), text);
    memcpy(out, text, CODE_LEN + 1);
}

bool ai_mark_write(const struct ai_marker *m, const struct ai_account *account, struct slice value,
                   char out[static AI_MARK_LEN])
{
    char code[CODE_LEN + 1];
    struct slice of = slice_of(account->text, AI_ACCOUNT_LEN);
    if (!m->ready || !account->text[0])
        return false;
    code_of(m, of, value, code);
    slice_put(slice_put(slice_put(out, sign), of), slice_of(code, CODE_LEN));
    return true;
}

bool ai_mark_split(struct slice marked, struct slice *value, struct ai_account *account)
{
    if (marked.len <= AI_MARK_LEN)
        return false;
    struct slice mark = slice_from(marked, marked.len - AI_MARK_LEN);
    if (!slice_starts(mark, sign))
        return false;
    *value = slice_first(marked, marked.len - AI_MARK_LEN);
    memcpy(account->text, mark.ptr + sign.len, AI_ACCOUNT_LEN);
    account->text[AI_ACCOUNT_LEN] = '\0';
    return true;
}

bool ai_mark_read(const struct ai_marker *m, struct slice marked, struct slice *value,
                  struct ai_account *account)
{
    char code[CODE_LEN + 1];
    struct slice inner;
    struct ai_account of;
    if (!m->ready || !ai_mark_split(marked, &inner, &of))
        return false;
    code_of(m, slice_of(of.text, AI_ACCOUNT_LEN), inner, code);
    if (!digest_equal(slice_from(marked, marked.len - CODE_LEN), slice_of(code, CODE_LEN)))
        return false;
    *value = inner;
    *account = of;
    return true;
}
