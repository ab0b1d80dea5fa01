/* ceiling_server — reads what the others hold, grants, and writes what this one holds. */
#include "controlplane/ledger/ceiling_server.h"

#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "controlplane/store/store_ceiling.h"

/* What one request works with. */
struct granting {
    struct slice dataplane;
    int64_t now_us;
    struct ceiling_row *rows; /* of all planes, as read */
    size_t row_count;
    struct ceiling_holder *others; /* room for as many */
    struct ceiling_row *own;       /* two for each ask */
    size_t own_count;
};

static bool is_fit(const Gatehouse__CeilingRequest *m)
{
    if (m->n_asks == 0 || m->n_asks > LIMIT_CEILING_ASKS)
        return false;
    for (size_t i = 0; i < m->n_asks; i++)
        if (!m->asks[i]->credential_id || !m->asks[i]->credential_id[0] ||
            strlen(m->asks[i]->credential_id) >= ID_MAX)
            return false;
    return true;
}

/* 0 where there is no limit. */
static uint32_t grant_one(struct granting *g, const char *credential, bool of_tokens,
                          uint32_t limit, const struct ceiling_demand *demand, uint32_t *floor)
{
    size_t n = 0;
    *floor = 0;
    if (!limit)
        return 0;
    for (size_t i = 0; i < g->row_count; i++)
        if (g->rows[i].of_tokens == of_tokens && !strcmp(g->rows[i].credential, credential) &&
            !slice_eq(slice_str(g->rows[i].dataplane), g->dataplane))
            g->others[n++] = g->rows[i].holder;
    struct ceiling_row *own = &g->own[g->own_count++];
    snprintf(own->credential, sizeof(own->credential), "%s", credential);
    own->of_tokens = of_tokens;
    ceiling_share_grant(limit, demand, g->others, n, g->now_us, &own->holder);
    *floor = own->holder.floor;
    return own->holder.share;
}

static void grant(struct granting *g, const Gatehouse__CeilingAsk *a, Gatehouse__CeilingGrant *ret)
{
    const struct ceiling_demand requests = {a->requests, a->waiting, a->rpm_in_force};
    const struct ceiling_demand tokens = {a->tokens, 0, a->tpm_in_force};
    gatehouse__ceiling_grant__init(ret);
    ret->credential_id = a->credential_id;
    ret->has_rpm = ret->has_tpm = ret->has_rpm_floor = ret->has_tpm_floor = ret->has_valid_ms =
        true;
    ret->rpm = grant_one(g, a->credential_id, false, a->rpm, &requests, &ret->rpm_floor);
    ret->tpm = grant_one(g, a->credential_id, true, a->tpm, &tokens, &ret->tpm_floor);
    ret->valid_ms = CEILING_SHARE_MS;
}

static enum err read_rows(struct tx *tx, struct slice org, const Gatehouse__CeilingRequest *m,
                          struct granting *g)
{
    ARRAY_AUTO struct array ids = {0};
    array_init(&ids);
    for (size_t i = 0; i < m->n_asks; i++)
        array_text(&ids, slice_str(m->asks[i]->credential_id));
    return store_ceiling_read(tx, org, &ids, &g->rows, &g->row_count);
}

static enum err make_room(struct granting *g, const Gatehouse__CeilingRequest *m,
                          struct ceiling_reply *ret)
{
    ret->rows = mem_array(m->n_asks, sizeof(*ret->rows));
    ret->reply.grants = mem_array(m->n_asks, sizeof(*ret->reply.grants));
    g->own = mem_array(m->n_asks, 2 * sizeof(*g->own));
    g->others = mem_array(g->row_count + 1, sizeof(*g->others));
    return ret->rows && ret->reply.grants && g->own && g->others ? ERR_OK : ERR_NOMEM;
}

static enum err ask(struct tx *tx, struct slice org, const Gatehouse__CeilingRequest *m,
                    struct granting *g, struct ceiling_reply *ret)
{
    enum err e = read_rows(tx, org, m, g);
    if (!e)
        e = make_room(g, m, ret);
    for (size_t i = 0; !e && i < m->n_asks; i++) {
        grant(g, m->asks[i], &ret->rows[i]);
        ret->reply.grants[ret->reply.n_grants++] = &ret->rows[i];
    }
    return e ? e : store_ceiling_save(tx, org, g->dataplane, g->own, g->own_count);
}

enum err ceiling_server_ask(struct db *db, struct slice org, struct slice dataplane,
                            const Gatehouse__CeilingRequest *request, int64_t now_us,
                            struct ceiling_reply *ret)
{
    TX_AUTO struct tx tx = {0};
    struct granting g = {.dataplane = dataplane, .now_us = now_us};
    *ret = (struct ceiling_reply){.reply = GATEHOUSE__CEILING_REPLY__INIT};
    if (!is_fit(request))
        return ERR_INVALID;
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (!e)
        e = ask(&tx, org, request, &g, ret);
    if (!e)
        e = tx_commit(&tx);
    mem_free(g.rows);
    mem_free(g.others);
    mem_free(g.own);
    if (e)
        ceiling_reply_free(ret);
    return e;
}

void ceiling_reply_free(struct ceiling_reply *r)
{
    mem_free(r->reply.grants);
    mem_free(r->rows);
    *r = (struct ceiling_reply){.reply = GATEHOUSE__CEILING_REPLY__INIT};
}
