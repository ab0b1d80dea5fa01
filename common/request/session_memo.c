/*
 * session_memo — a direct-mapped table.
 */
#include "common/request/session_memo.h"

#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/request/request.h"

#define PLACES 1024 /* conversations one worker has at once, some 250 KiB */
#define OWNER_MAX 40
#define SECRET_LEN 32

struct place {
    char kind; /* 0: empty */
    uint8_t owner_len, name_len;
    char owner[OWNER_MAX];
    char name[LIMIT_SESSION_LABEL];
    char id[SESSION_ID_LEN + 1];
};

struct session_memo {
    struct secret *secret; /* everything here was derived under it; NULL: nothing yet */
    struct place places[PLACES];
};

struct session_memo *session_memo_new(void)
{
    return mem_zalloc(sizeof(struct session_memo));
}

void session_memo_free(struct session_memo *m)
{
    if (m)
        secret_drop(m->secret);
    mem_free(m);
}

static bool is_under(const struct session_memo *m, const struct session_key *k)
{
    return m->secret && slice_eq(secret_reveal(m->secret), k->secret);
}

/* Under another one nothing here is worth keeping. */
static bool begin_under(struct session_memo *m, const struct session_key *k)
{
    secret_drop(m->secret);
    memset(m, 0, sizeof(*m));
    m->secret = secret_new(k->secret);
    return m->secret;
}

static bool fits(const struct session_memo *m, const struct session_key *k)
{
    return m && k->secret.len == SECRET_LEN && k->owner.len <= OWNER_MAX &&
           k->name.len <= LIMIT_SESSION_LABEL;
}

static size_t place_of(const struct session_key *k)
{
    return (size_t)((map_hash(k->name) ^ (map_hash(k->owner) << 1)) % PLACES);
}

static bool is_same(const struct place *p, const struct session_key *k)
{
    return p->kind == k->kind && slice_eq(slice_of(p->name, p->name_len), k->name) &&
           slice_eq(slice_of(p->owner, p->owner_len), k->owner);
}

const char *session_memo_find(const struct session_memo *m, const struct session_key *k)
{
    if (!fits(m, k) || !is_under(m, k))
        return NULL;
    const struct place *p = &m->places[place_of(k)];
    return is_same(p, k) ? p->id : NULL;
}

void session_memo_keep(struct session_memo *m, const struct session_key *k, const char *id)
{
    if (!fits(m, k) || (!is_under(m, k) && !begin_under(m, k)))
        return;
    struct place *p = &m->places[place_of(k)];
    p->kind = k->kind;
    p->owner_len = (uint8_t)k->owner.len;
    p->name_len = (uint8_t)k->name.len;
    memcpy(p->owner, k->owner.ptr, k->owner.len);
    memcpy(p->name, k->name.ptr, k->name.len);
    memcpy(p->id, id, sizeof(p->id));
}
