/*
 * store_audit — audit records, chained so that a changed or missing record is found.
 */
#include "controlplane/store/store_audit.h"

#include <stdio.h>

#include "common/base/clock.h"

#define DOCUMENT_MAX (4u * 1024 * 1024)
#define VERIFY_STEP 1000 /* records held at once */

struct audit_record {
    struct slice org_id, seq, at, actor, actor_role, source, action, noun, object_id, object_name,
        version, before, after;
};

static void audit_hash(const struct digest *prev, const struct audit_record *a, struct digest *ret)
{
    const struct slice parts[] = {
        slice_of(prev->bytes, DIGEST_LEN),
        a->org_id,
        a->seq,
        a->at,
        a->actor,
        a->actor_role,
        a->source,
        a->action,
        a->noun,
        a->object_id,
        a->object_name,
        a->version,
        a->before,
        a->after,
    };
    digest_sha256_parts(parts, ARRAY_LEN(parts), ret);
}

static enum err last_of_chain(struct write *w, int64_t *ret_seq, struct digest *ret_hash)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = tx_query(&w->tx,
                          "SELECT seq, encode(hash, 'hex') FROM audit WHERE org_id = $1"
                          " ORDER BY seq DESC LIMIT 1",
                          DB_PARAMS(DB_TEXT(slice_str(w->org_id))), &r);
    if (e != ERR_OK)
        return e;
    *ret_seq = 0;
    *ret_hash = (struct digest){0};
    if (db_rows(r) == 0)
        return ERR_OK;
    size_t len = 0;
    *ret_seq = db_int(r, 0, 0);
    return digest_unhex(db_text(r, 0, 1), ret_hash->bytes, DIGEST_LEN, &len);
}

static enum err insert_record(struct write *w, const struct audit_record *a, int64_t seq,
                              int64_t at_us, const struct digest *prev, const struct digest *hash)
{
    struct slice before = a->before.len > 0 ? a->before : SLICE_NONE;
    struct slice after = a->after.len > 0 ? a->after : SLICE_NONE;
    return tx_query(&w->tx,
                    "INSERT INTO audit (org_id, seq, at, actor, actor_role, source, action, noun,"
                    " object_id, object_name, version, before, after, prev, hash) VALUES"
                    " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
                    DB_PARAMS(DB_TEXT(a->org_id), DB_INT(seq), DB_TIME(at_us), DB_TEXT(a->actor),
                              DB_TEXT(a->actor_role), DB_TEXT(a->source), DB_TEXT(a->action),
                              DB_TEXT(a->noun), DB_TEXT(a->object_id), DB_TEXT(a->object_name),
                              DB_INT((int64_t)w->version), DB_TEXT(before), DB_TEXT(after),
                              DB_BYTES(slice_of(prev->bytes, DIGEST_LEN)),
                              DB_BYTES(slice_of(hash->bytes, DIGEST_LEN))),
                    NULL);
}

static enum err append(struct write *w, const struct audit_entry *x, struct slice before,
                       struct slice after)
{
    int64_t seq = 0, at_us = clock_wall_us();
    struct digest prev, hash;
    enum err e = last_of_chain(w, &seq, &prev);
    if (e != ERR_OK)
        return e;
    char at[CLOCK_TEXT_MAX], seq_text[24], version[24];
    seq++;
    snprintf(seq_text, sizeof(seq_text), "%lld", (long long)seq);
    snprintf(version, sizeof(version), "%llu", (unsigned long long)w->version);
    struct audit_record a = {
        .org_id = slice_str(w->org_id),
        .seq = slice_str(seq_text),
        .at = clock_format(at_us, at),
        .actor = slice_str(x->actor),
        .actor_role = slice_str(x->actor_role),
        .source = slice_str(x->source),
        .action = slice_str(x->action),
        .noun = slice_str(x->noun),
        .object_id = slice_str(x->object_id),
        .object_name = slice_str(x->object_name),
        .version = slice_str(version),
        .before = before,
        .after = after,
    };
    audit_hash(&prev, &a, &hash);
    return insert_record(w, &a, seq, at_us, &prev, &hash);
}

enum err write_audit(struct write *w, const struct audit_entry *entry)
{
    struct buf before, after;
    buf_init(&before, DOCUMENT_MAX);
    buf_init(&after, DOCUMENT_MAX);
    enum err e = entry->before != NULL ? json_write_sorted(entry->before, &before) : ERR_OK;
    if (e == ERR_OK && entry->after != NULL)
        e = json_write_sorted(entry->after, &after);
    if (e == ERR_OK)
        e = append(w, entry, buf_slice(&before), buf_slice(&after));
    buf_fini(&before);
    buf_fini(&after);
    return e;
}

#define RECORD_COLUMNS                                                                             \
    "org_id, seq, at, actor, actor_role, source, action, noun, object_id, object_name, version,"   \
    " before, after, encode(prev, 'hex'), encode(hash, 'hex')"

/* at: a buffer for the time as text, because the hash covers that form and not the row's */
static void record_of_row(const struct db_result *r, size_t row, struct audit_record *a,
                          char at[static CLOCK_TEXT_MAX])
{
    *a = (struct audit_record){
        .org_id = db_text(r, row, 0),
        .seq = db_text(r, row, 1),
        .at = clock_format(db_time(r, row, 2), at),
        .actor = db_text(r, row, 3),
        .actor_role = db_text(r, row, 4),
        .source = db_text(r, row, 5),
        .action = db_text(r, row, 6),
        .noun = db_text(r, row, 7),
        .object_id = db_text(r, row, 8),
        .object_name = db_text(r, row, 9),
        .version = db_text(r, row, 10),
        .before = db_text(r, row, 11),
        .after = db_text(r, row, 12),
    };
}

static json_t *tree_of(struct slice text)
{
    json_t *tree = NULL;
    struct json_problem problem;
    if (text.ptr == NULL || json_read(text, &tree, &problem) != ERR_OK)
        return json_null();
    return tree;
}

static json_t *tree_of_row(const struct db_result *r, size_t row)
{
    struct audit_record a;
    char at[CLOCK_TEXT_MAX];
    record_of_row(r, row, &a, at);
    json_t *t = json_object();
    json_object_set_new(t, "seq", json_integer(db_int(r, row, 1)));
    json_set_text(t, "org_id", a.org_id);
    json_set_text(t, "at", a.at);
    json_set_text(t, "actor", a.actor);
    json_set_text(t, "actor_role", a.actor_role);
    json_set_text(t, "source", a.source);
    json_set_text(t, "action", a.action);
    json_set_text(t, "noun", a.noun);
    json_set_text(t, "object_id", a.object_id);
    json_set_text(t, "object_name", a.object_name);
    json_object_set_new(t, "version", json_integer(db_int(r, row, 10)));
    json_object_set_new(t, "before", tree_of(a.before));
    json_object_set_new(t, "after", tree_of(a.after));
    json_set_text(t, "prev", db_text(r, row, 13));
    json_set_text(t, "hash", db_text(r, row, 14));
    return t;
}

enum err store_audit_page(struct tx *tx, int64_t after_seq, size_t limit, struct slice object_id,
                          json_t **ret)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e =
        tx_query(tx,
                 "SELECT " RECORD_COLUMNS " FROM audit WHERE seq > $1 AND org_id ="
                 " current_setting('gatehouse.org_id') AND ($2::text IS NULL OR object_id = $2)"
                 " ORDER BY seq LIMIT $3",
                 DB_PARAMS(DB_INT(after_seq), DB_TEXT(object_id), DB_INT((int64_t)limit + 1)), &r);
    if (e != ERR_OK)
        return e;
    json_t *list = json_array();
    for (size_t i = 0; i < db_rows(r); i++)
        json_array_append_new(list, tree_of_row(r, i));
    *ret = list;
    return ERR_OK;
}

/* Whether the row continues the chain after `prev`. Advances *prev and *seq. */
static bool fits(const struct db_result *r, size_t row, struct digest *prev, int64_t *seq)
{
    struct audit_record a;
    char at[CLOCK_TEXT_MAX], prev_hex[DIGEST_HEX_MAX], hash_hex[DIGEST_HEX_MAX];
    struct digest hash;
    record_of_row(r, row, &a, at);
    audit_hash(prev, &a, &hash);
    digest_hex(slice_of(prev->bytes, DIGEST_LEN), prev_hex);
    digest_hex(slice_of(hash.bytes, DIGEST_LEN), hash_hex);
    bool good = db_int(r, row, 1) == *seq + 1 &&
                slice_eq(db_text(r, row, 13), slice_str(prev_hex)) &&
                slice_eq(db_text(r, row, 14), slice_str(hash_hex));
    *prev = hash;
    *seq = db_int(r, row, 1);
    return good;
}

enum err store_audit_verify(struct tx *tx, struct slice org_id, int64_t *ret_count,
                            int64_t *ret_broken)
{
    struct digest prev = {0};
    int64_t seq = 0, broken = 0;
    size_t rows = VERIFY_STEP;
    while (rows == VERIFY_STEP && broken == 0) {
        DB_AUTO struct db_result *r = NULL;
        enum err e = tx_query(tx,
                              "SELECT " RECORD_COLUMNS
                              " FROM audit WHERE org_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
                              DB_PARAMS(DB_TEXT(org_id), DB_INT(seq), DB_INT(VERIFY_STEP)), &r);
        if (e != ERR_OK)
            return e;
        rows = db_rows(r);
        for (size_t i = 0; i < rows && broken == 0; i++)
            if (!fits(r, i, &prev, &seq))
                broken = db_int(r, i, 1);
    }
    *ret_count = seq;
    *ret_broken = broken;
    return ERR_OK;
}
