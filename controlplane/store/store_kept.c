/* store_kept — one statement each. */
#include "controlplane/store/store_kept.h"

#include "common/base/id.h"
#include "common/base/log.h"
#include "controlplane/store/clean.h"

#define ACCOUNT_MAX 32

static const struct log_ctx kept_log = {.component = "store"};

static bool is_plain(const char *text, size_t max)
{
    struct slice s = slice_str(text);
    return s.len > 0 && s.len < max && clean_is_plain(s);
}

static bool is_kind(const char *text)
{
    struct slice s = slice_str(text);
    return slice_eq(s, SLICE("file")) || slice_eq(s, SLICE("batch"));
}

enum err store_kept_note(struct tx *tx, struct slice org, int64_t at,
                         const Gatehouse__KeptObject *m)
{
    if (!is_plain(m->owner, ID_MAX) || !is_kind(m->kind) || !is_plain(m->account, ACCOUNT_MAX) ||
        !is_plain(m->id, KEPT_ID_MAX)) {
        log_warn(&kept_log, "kept_object_unreadable", "org=%.*s", SLICE_ARG(org));
        return ERR_OK;
    }
    return tx_query(tx,
                    "INSERT INTO kept_objects AS k (org_id, owner_id, kind, account, id, made_at,"
                    " gone_at) VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN now() END)"
                    " ON CONFLICT (org_id, owner_id, kind, account, id) DO UPDATE SET gone_at ="
                    " excluded.gone_at WHERE $7 AND k.gone_at IS NULL",
                    DB_PARAMS(DB_TEXT(org), DB_TEXT(slice_str(m->owner)),
                              DB_TEXT(slice_str(m->kind)), DB_TEXT(slice_str(m->account)),
                              DB_TEXT(slice_str(m->id)), DB_TIME(clean_time(at)),
                              DB_BOOL(m->has_gone && m->gone)),
                    NULL);
}

/* $1 org, $2 owner, $3 kind, $4 and $5 the object to go on from, $6 how many */
#define LIST(sign, order)                                                                          \
    "SELECT account, id FROM kept_objects WHERE org_id = $1 AND owner_id = $2 AND kind = $3"       \
    " AND gone_at IS NULL AND ($5::text IS NULL OR (made_at, account, id) " sign                   \
    " (SELECT made_at, account, id FROM kept_objects WHERE org_id = $1 AND owner_id = $2"          \
    " AND kind = $3 AND account = $4 AND id = $5))"                                                \
    " ORDER BY made_at " order ", account " order ", id " order " LIMIT $6"

static enum err find_start(struct tx *tx, struct slice org, const Gatehouse__KeptAsk *m, bool *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e =
        tx_query(tx,
                 "SELECT 1 FROM kept_objects WHERE org_id = $1 AND owner_id = $2"
                 " AND kind = $3 AND account = $4 AND id = $5",
                 DB_PARAMS(DB_TEXT(org), DB_TEXT(slice_str(m->owner)), DB_TEXT(slice_str(m->kind)),
                           DB_TEXT(slice_str(m->after_account)), DB_TEXT(slice_str(m->after_id))),
                 &r);
    *ret = e == ERR_OK && db_rows(r) == 1;
    return e;
}

static size_t page_size(const Gatehouse__KeptAsk *m)
{
    return m->has_limit && m->limit > 0 && m->limit < KEPT_PAGE_MAX ? m->limit : KEPT_PAGE_MAX;
}

static void fill(struct kept_page *p, size_t limit)
{
    size_t rows = db_rows(p->rows), n = rows < limit ? rows : limit;
    for (size_t i = 0; i < n; i++) {
        gatehouse__kept_object__init(&p->objects[i]);
        p->objects[i].account = (char *)(uintptr_t)db_cstr(p->rows, i, 0);
        p->objects[i].id = (char *)(uintptr_t)db_cstr(p->rows, i, 1);
        p->list[i] = &p->objects[i];
    }
    p->reply.objects = p->list;
    p->reply.n_objects = n;
    p->reply.has_more = true;
    p->reply.more = rows > limit;
}

enum err store_kept_list(struct tx *tx, struct slice org, const Gatehouse__KeptAsk *m,
                         struct kept_page *ret)
{
    size_t limit = page_size(m);
    bool known = true;
    gatehouse__kept_reply__init(&ret->reply);
    ret->rows = NULL;
    if (!is_plain(m->owner, ID_MAX) || !is_kind(m->kind) ||
        (m->after_id &&
         (!is_plain(m->after_account, ACCOUNT_MAX) || !is_plain(m->after_id, KEPT_ID_MAX))))
        return ERR_INVALID;
    enum err e = m->after_id ? find_start(tx, org, m, &known) : ERR_OK;
    if (e == ERR_OK && !known) {
        ret->reply.has_unknown = ret->reply.unknown = true;
        return ERR_OK;
    }
    if (e == ERR_OK)
        e = tx_query(tx, m->has_ascending && m->ascending ? LIST(">", "ASC") : LIST("<", "DESC"),
                     DB_PARAMS(DB_TEXT(org), DB_TEXT(slice_str(m->owner)),
                               DB_TEXT(slice_str(m->kind)), DB_TEXT(slice_str(m->after_account)),
                               DB_TEXT(slice_str(m->after_id)), DB_INT((int64_t)limit + 1)),
                     &ret->rows);
    if (e == ERR_OK)
        fill(ret, limit);
    return e;
}

void kept_page_fini(struct kept_page *p)
{
    db_result_free(p->rows);
    p->rows = NULL;
}

enum err store_kept_drop(struct tx *tx, int64_t before, size_t *ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(
        tx,
        "DELETE FROM kept_objects WHERE ctid = ANY (ARRAY (SELECT ctid FROM kept_objects k"
        " WHERE k.gone_at < $1 OR (k.made_at < $1"
        " AND NOT EXISTS (SELECT 1 FROM keys o WHERE o.id = k.owner_id AND o.deleted_at IS NULL)"
        " AND NOT EXISTS (SELECT 1 FROM agents o WHERE o.id = k.owner_id"
        " AND o.deleted_at IS NULL)) LIMIT $2))",
        DB_PARAMS(DB_TIME(before), DB_INT(STORE_CHORE_ROWS)), &r);
    if (e == ERR_OK)
        *ret = db_affected(r);
    return e;
}
