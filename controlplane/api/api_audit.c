/*
 * api_audit — records carry what is needed to verify them elsewhere (store_audit.h says how).
 */
#include "controlplane/api/api_audit.h"

#include "controlplane/api/cursor.h"
#include "controlplane/store/store_audit.h"

static enum err respond_with_page(struct call *c, json_t *items, size_t limit)
{
    json_t *next = json_null();
    size_t found = json_array_size(items);
    if (found > limit) {
        char cursor[CURSOR_TEXT_MAX];
        const json_t *last = json_array_get(items, limit - 1);
        int64_t seq = json_integer_value(json_object_get(last, "seq"));
        next = json_from(cursor_format(seq, "audit", cursor));
        json_array_remove(items, found - 1);
    }
    json_t *page = json_pack("{s:o,s:o}", "items", items, "next", next);
    return call_respond(c, 200, &page);
}

enum err api_audit_list(struct call *c)
{
    struct page page;
    if (cursor_page(c, &page) != ERR_OK)
        return ERR_OK;
    TX_AUTO struct tx tx = {0};
    json_t *items = NULL;
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = store_audit_page(&tx, page.at_us, page.limit, call_query(c, "object"), &items);
    return e == ERR_OK ? respond_with_page(c, items, page.limit) : e;
}

enum err api_audit_verify(struct call *c)
{
    TX_AUTO struct tx tx = {0};
    int64_t count = 0, broken = 0;
    struct slice org = slice_str(c->actor.org_id);
    enum err e = tx_begin(c->app->db, org, &tx);
    if (e == ERR_OK)
        e = store_audit_verify(&tx, org, &count, &broken);
    if (e != ERR_OK)
        return e;
    json_t *t = json_pack("{s:b,s:I}", "intact", broken == 0, "records", (json_int_t)count);
    if (broken != 0)
        json_object_set_new(t, "first_broken", json_integer(broken));
    return call_respond(c, 200, &t);
}
