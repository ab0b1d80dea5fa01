/*
 * change — the steps of a write. A noun's own work (object_hook) runs between them.
 */
#include "controlplane/api/change.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/secret.h"
#include "controlplane/api/etag.h"
#include "controlplane/api/object_view.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/policy/compile.h"
#include "controlplane/store/store_secret.h"

static enum err find_reference(void *arg, const char *noun, struct slice name_or_id, char *ret_id,
                               json_t **ret_spec)
{
    struct change *x = arg;
    OBJECT_AUTO struct object o = {0};
    enum err e = store_object_get(&x->w.tx, noun_find(noun), name_or_id, false, &o);
    if (e != ERR_OK)
        return e;
    snprintf(ret_id, ID_MAX, "%s", o.id);
    if (ret_spec != NULL)
        *ret_spec = json_incref(o.spec);
    return ERR_OK;
}

static enum err find_height(void *arg, const char *noun, struct slice id, unsigned most,
                            unsigned *ret)
{
    struct change *x = arg;
    return store_links_height(&x->w.tx, noun_find(noun), id, most, ret);
}

void change_init(struct change *x, struct call *c)
{
    *x = (struct change){.c = c, .n = c->noun};
    x->lookup = (struct lookup){.find = find_reference, .height = find_height, .arg = x};
    x->reading = (struct reading){
        .lookup = &x->lookup, .is_owner = c->actor.role == ROLE_OWNER, .now_us = clock_wall_us()};
}

void change_fini(struct change *x)
{
    write_cancel(&x->w);
    reading_fini(&x->reading);
    noun_secrets_fini(&x->secrets);
    object_fini(&x->old);
    object_fini(&x->now);
    json_decref(x->before);
    json_decref(x->after);
    json_decref(x->extra);
}

enum err change_result(enum err e)
{
    return e == ERR_CANCELLED ? ERR_OK : e;
}

/* The response is final: the transaction is rolled back. */
static enum err end_with_response(struct change *x, enum err e)
{
    write_cancel(&x->w);
    return e == ERR_OK ? ERR_CANCELLED : e;
}

/* The headers of a kept response are derived from its body. */
static void repeat_headers(struct change *x)
{
    struct call *c = x->c;
    JSON_AUTO json_t *kept = NULL;
    struct json_problem problem;
    if (json_read(buf_slice(&c->response), &kept, &problem) != ERR_OK)
        return;
    int64_t revision = json_integer_value(json_object_get(kept, "revision"));
    call_header(c, "idempotent-replay", "true");
    call_header(c, "etag", "\"%lld\"", (long long)revision);
    if (c->status == 201)
        call_header(c, "location", "/admin/v1/%s/%.*s", x->n->plural,
                    SLICE_ARG(json_text(kept, "id")));
    c->version = x->w.version - 1; /* the newest version, which contains the write */
}

static enum err respond_again(struct change *x)
{
    struct call *c = x->c;
    unsigned status = 0;
    buf_clear(&c->response);
    enum err e =
        store_idempotency_find(&x->w.tx, c->app->seal, &x->idempotency, &status, &c->response);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_CONFLICT)
        return end_with_response(x, call_problem(c, PROBLEM_IDEMPOTENCY_KEY_REUSED,
                                                 "this Idempotency-Key came with another request"));
    if (e != ERR_OK)
        return e;
    c->status = status;
    repeat_headers(x);
    return end_with_response(x, ERR_OK);
}

static void read_idempotency(struct change *x)
{
    const struct call *c = x->c;
    if (c->idempotency_key.ptr == NULL || !slice_eq(c->method, SLICE("POST")))
        return;
    const struct slice parts[] = {c->method, c->path, c->body_bytes};
    x->keeps_response = true;
    x->idempotency = (struct idempotency){.org_id = slice_str(c->actor.org_id),
                                          .actor = slice_str(c->actor.id),
                                          .key = c->idempotency_key};
    digest_sha256_parts(parts, ARRAY_LEN(parts), &x->idempotency.request);
}

enum err change_begin(struct change *x)
{
    enum err e = write_begin(x->c->app->db, slice_str(x->c->actor.org_id), &x->w);
    if (e != ERR_OK)
        return e;
    read_idempotency(x);
    return x->keeps_response ? respond_again(x) : ERR_OK;
}

static enum err load(struct change *x)
{
    struct call *c = x->c;
    enum err e = store_object_get(&x->w.tx, x->n, c->params[0], true, &x->old);
    if (e == ERR_NOT_FOUND)
        return end_with_response(x, call_problem(c, PROBLEM_NOT_FOUND, "no such %s", x->n->name));
    if (e == ERR_EXHAUSTED)
        return end_with_response(x,
                                 call_problem(c, PROBLEM_AMBIGUOUS_NAME,
                                              "several %ss have this name: use an id", x->n->name));
    if (e != ERR_OK)
        return e;
    x->has_old = true;
    if (!etag_matches(c->if_match, x->old.revision)) {
        call_header(c, "etag", "\"%llu\"", (unsigned long long)x->old.revision);
        return end_with_response(x,
                                 call_problem(c, PROBLEM_REVISION_MISMATCH,
                                              "it is at revision %llu, not at the one of If-Match",
                                              (unsigned long long)x->old.revision));
    }
    return object_view(&x->w.tx, x->n, &x->old, &x->before);
}

enum err change_open(struct change *x)
{
    enum err e = change_begin(x);
    return e == ERR_OK ? load(x) : e;
}

void change_keep(struct change *x)
{
    x->now = x->old;
    x->now.spec = json_deep_copy(x->old.spec);
}

/* ---- the document ---- */

/* Removes the members that only the server sets. A client may send them back unchanged; another
 * value is refused. */
static json_t *without_server_members(struct change *x, const json_t *body)
{
    json_t *rest = json_object();
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        if (!object_view_is_server_member(x->n, name)) {
            if (strcmp(name, "name") != 0)
                json_object_set(rest, name, value);
            continue;
        }
        char pointer[80];
        snprintf(pointer, sizeof(pointer), "/%s", name);
        if (!json_equal(value, json_object_get(x->before, name)))
            reading_problem(&x->reading, pointer, "is read-only");
    }
    return rest;
}

static void keep_name(struct change *x, struct slice name)
{
    snprintf(x->now.name, sizeof(x->now.name), "%.*s", SLICE_ARG(name));
}

static void read_name(struct change *x, const json_t *body)
{
    const json_t *given = json_object_get(body, "name");
    if ((x->n->flags & NOUN_UNNAMED) != 0)
        return;
    if (given == NULL || json_is_null(given)) {
        if (x->has_old && (x->n->flags & NOUN_NAME_REPEATS) != 0)
            keep_name(x, slice_str(x->old.name));
        else if ((x->n->flags & NOUN_NAME_REPEATS) == 0)
            reading_problem(&x->reading, "/name", "is required");
        return;
    }
    if (!json_is_string(given)) {
        reading_problem(&x->reading, "/name", "must be a string");
        return;
    }
    struct slice name = slice_of(json_string_value(given), json_string_length(given));
    const char *wrong = x->n->name_rule != NULL ? x->n->name_rule(name) : noun_label_rule(name);
    if (wrong == NULL && x->has_old && x->n->always != NULL &&
        strcmp(x->old.name, x->n->always) == 0 && !slice_eq(name, slice_str(x->old.name)))
        wrong = "always has this name";
    if (wrong == NULL && x->has_old && (x->n->flags & NOUN_NAME_STAYS) != 0 &&
        !slice_eq(name, slice_str(x->old.name)))
        wrong = "is read-only";
    if (wrong != NULL)
        reading_problem(&x->reading, "/name", "%s", wrong);
    else
        keep_name(x, name);
}

static enum err refuse_document(struct change *x)
{
    json_t *extra = json_object();
    json_object_set(extra, "errors", x->reading.problems);
    return end_with_response(x, call_problem_with(x->c, PROBLEM_INVALID_DOCUMENT, &extra,
                                                  "the document does not fit: see errors"));
}

/* A script that runs twice must not leave two active keys of one name. */
static enum err check_name_live(struct change *x)
{
    bool taken = false;
    if (x->now.name[0] == '\0' || json_is_true(json_object_get(x->now.spec, "revoked")))
        return ERR_OK;
    enum err e = store_object_name_live(&x->w.tx, x->n, slice_str(x->now.name), x->old.id, &taken);
    if (e != ERR_OK || !taken)
        return e;
    return end_with_response(
        x, call_problem(x->c, PROBLEM_NAME_TAKEN,
                        "another %s has this name: revoke, rotate or delete it first", x->n->name));
}

static enum err check_name_free(struct change *x)
{
    bool living = false, taken = false;
    if ((x->n->flags & NOUN_NAME_LIVE) != 0)
        return check_name_live(x);
    if ((x->n->flags & (NOUN_UNNAMED | NOUN_NAME_REPEATS)) != 0)
        return ERR_OK;
    enum err e =
        store_object_name_taken(&x->w.tx, x->n, slice_str(x->now.name), x->old.id, &living, &taken);
    if (e != ERR_OK || !taken)
        return e;
    return end_with_response(
        x, living ? call_problem(x->c, PROBLEM_NAME_TAKEN, "another %s has this name", x->n->name)
                  : call_problem(x->c, PROBLEM_NAME_RESERVED,
                                 "a deleted %s had this name: it is free again after %d days",
                                 x->n->name, OBJECT_RESERVED_DAYS));
}

static void judge(struct change *x, const json_t *body)
{
    struct reading *r = &x->reading;
    const json_t *old = x->has_old ? x->old.spec : NULL;
    JSON_AUTO json_t *rest = without_server_members(x, body);
    r->creating = !x->has_old;
    read_name(x, body);
    r->name = slice_str(x->now.name);
    r->id = slice_str(x->now.id);
    x->now.spec = field_read(r, x->n->fields, rest, old, "");
    if (x->now.spec == NULL)
        r->failed = ERR_NOMEM;
    if (r->failed == ERR_OK && x->n->check != NULL)
        x->n->check(r, old, x->now.spec);
    if (r->failed == ERR_OK && json_array_size(r->problems) == 0)
        noun_settle(r, x->n, old, x->now.spec, &x->secrets);
}

enum err change_document(struct change *x, const json_t *body)
{
    if (!json_is_object(body)) {
        reading_problem(&x->reading, "", "must be an object");
        return refuse_document(x);
    }
    snprintf(x->now.org_id, sizeof(x->now.org_id), "%s", x->c->actor.org_id);
    if (x->has_old)
        snprintf(x->now.id, sizeof(x->now.id), "%s", x->old.id);
    else
        id_new(x->n->id_prefix, x->now.id);
    judge(x, body);
    if (x->reading.failed != ERR_OK)
        return x->reading.failed;
    if (json_array_size(x->reading.problems) > 0)
        return refuse_document(x);
    return check_name_free(x);
}

/* ---- storing ---- */

static enum err store_secrets(struct change *x)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < x->secrets.count && e == ERR_OK; i++) {
        const struct noun_secret *s = &x->secrets.rows[i];
        struct slice owner = slice_str(x->now.id), slot = slice_str(s->slot);
        if (s->drop)
            e = store_secret_drop(&x->w.tx, owner, slot);
        else
            e = store_secret_put(&x->w.tx, x->c->app->seal, slice_str(x->now.org_id), owner, slot,
                                 s->value);
    }
    return e;
}

/* The schema refused the row; the names of the constraints are in the migrations. */
static enum err refused_by_schema(struct change *x, enum err e)
{
    struct call *c = x->c;
    if (e == ERR_EXISTS && strcmp(x->w.tx.error.constraint, "keys_digest") == 0)
        return end_with_response(
            x, call_problem(c, PROBLEM_DIGEST_TAKEN, "a key with this digest exists"));
    if (e == ERR_EXISTS)
        return end_with_response(
            x, call_problem(c, PROBLEM_NAME_TAKEN, "another %s has this name", x->n->name));
    if (e == ERR_CONFLICT || e == ERR_INVALID)
        return end_with_response(x, call_problem(c, PROBLEM_INVALID_DOCUMENT,
                                                 "the database refused the document (%s)",
                                                 x->w.tx.error.constraint));
    return e;
}

/* An object that cannot be sent to data planes is refused: they would treat it as deleted. */
static enum err check_size(struct change *x)
{
    size_t size = 0;
    enum err e = compile_measure(&x->w.tx, x->c->app->seal, x->n, slice_str(x->now.id), &size);
    if (e == ERR_OK && size <= LIMIT_POLICY_OBJECT)
        return ERR_OK;
    if (e == ERR_INVALID || e == ERR_NOT_FOUND)
        return ERR_OK; /* an older secret does not open: that is no error of this write */
    if (e != ERR_OK && e != ERR_TOO_BIG)
        return e;
    reading_problem(&x->reading, "", "is too large for data planes: at most %u bytes, packed",
                    LIMIT_POLICY_OBJECT);
    return refuse_document(x);
}

enum err change_store(struct change *x)
{
    struct tx *tx = &x->w.tx;
    enum err e = x->has_old ? store_object_update(tx, x->n, &x->now)
                            : store_object_insert(tx, x->n, &x->now);
    if (e == ERR_EXISTS || e == ERR_CONFLICT || e == ERR_INVALID)
        return refused_by_schema(x, e);
    if (e == ERR_OK)
        e = store_links_put(tx, x->n, &x->now);
    if (e == ERR_OK)
        e = store_secrets(x);
    if (e == ERR_OK)
        e = check_size(x);
    if (e == ERR_OK)
        e = write_change(&x->w, x->n->kind, slice_str(x->now.id), false);
    return e;
}

static enum err write_record(struct change *x, const char *action)
{
    const struct object *o = x->now.id[0] != '\0' ? &x->now : &x->old;
    struct audit_entry entry = {
        .actor = x->c->actor.name,
        .actor_role = role_name(x->c->actor.role),
        .source = x->c->actor.source,
        .action = action,
        .noun = x->n->name,
        .object_id = o->id,
        .object_name = o->name,
        .before = x->before,
        .after = x->after,
    };
    return write_audit(&x->w, &entry);
}

static enum err show_computed(struct change *x, json_t *tree)
{
    if (x->show == NULL)
        return ERR_OK;
    JSON_AUTO json_t *views = json_array();
    json_array_append(views, tree);
    return x->show(&x->w.tx, views);
}

static enum err respond_with(struct change *x, unsigned status, const struct object *o,
                             json_t *view)
{
    struct call *c = x->c;
    json_t *tree = json_copy(view);
    enum err e = show_computed(x, tree);
    if (e != ERR_OK) {
        json_decref(tree);
        return e;
    }
    if (x->extra != NULL)
        json_object_update(tree, x->extra);
    call_header(c, "etag", "\"%llu\"", (unsigned long long)o->revision);
    if (status == 201)
        call_header(c, "location", "/admin/v1/%s/%s", x->n->plural, o->id);
    return call_respond(c, status, &tree);
}

enum err change_end(struct change *x, const char *action, unsigned status)
{
    enum err e = ERR_OK;
    if (x->now.id[0] != '\0')
        e = object_view(&x->w.tx, x->n, &x->now, &x->after);
    if (e == ERR_OK)
        e = write_record(x, action);
    if (e == ERR_OK && x->after != NULL)
        e = respond_with(x, status, &x->now, x->after);
    if (e == ERR_OK && x->keeps_response)
        e = store_idempotency_put(&x->w.tx, x->c->app->seal, &x->idempotency, status,
                                  buf_slice(&x->c->response));
    if (e == ERR_OK)
        e = write_commit(&x->w);
    if (e != ERR_OK)
        return e;
    x->c->status = status;
    x->c->version = x->w.version;
    return ERR_OK;
}

enum err change_nothing(struct change *x, unsigned status)
{
    enum err e = respond_with(x, status, &x->old, x->before);
    if (e == ERR_OK)
        x->c->version = x->w.version - 1; /* the newest version: this write makes none */
    write_cancel(&x->w);
    return e;
}
