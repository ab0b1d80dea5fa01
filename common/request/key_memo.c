/*
 * key_memo — a direct-mapped table under one policy.
 */
#include "common/request/key_memo.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/secret.h"

#define PLACES 1024 /* keys one worker hears at once, 40 KiB */

struct place {
    struct sip_tag tag;
    struct principal who; /* .key NULL: empty */
};

struct key_memo {
    uint64_t key[2];               /* of the tags */
    const struct snapshot *policy; /* held; NULL: all places are empty */
    struct place places[PLACES];
};

struct key_memo *key_memo_new(void)
{
    struct key_memo *m = mem_zalloc(sizeof(*m));
    if (m)
        digest_random(m->key, sizeof(m->key));
    return m;
}

void key_memo_free(struct key_memo *m)
{
    if (!m)
        return;
    key_memo_forget(m);
    secret_wipe(m->key, sizeof(m->key));
    mem_free(m);
}

struct sip_tag key_memo_tag(const struct key_memo *m, struct slice credential)
{
    return sip_tag(m->key, credential);
}

static size_t place_of(struct sip_tag tag)
{
    return (size_t)(tag.words[0] % PLACES);
}

const struct principal *key_memo_find(const struct key_memo *m, const struct snapshot *policy,
                                      struct sip_tag tag)
{
    const struct place *p = &m->places[place_of(tag)];
    /* without a branch between the halves: how much of a tag fits does not show in the time */
    uint64_t differs = (p->tag.words[0] ^ tag.words[0]) | (p->tag.words[1] ^ tag.words[1]);
    return p->who.key && !differs && m->policy == policy ? &p->who : NULL;
}

void key_memo_keep(struct key_memo *m, const struct snapshot *policy, struct sip_tag tag,
                   const struct principal *who)
{
    if (m->policy != policy) {
        key_memo_forget(m);
        m->policy = snapshot_hold(policy);
    }
    m->places[place_of(tag)] = (struct place){tag, *who};
}

void key_memo_forget(struct key_memo *m)
{
    if (!m->policy)
        return;
    memset(m->places, 0, sizeof(m->places));
    snapshot_drop(m->policy);
    m->policy = NULL;
}
