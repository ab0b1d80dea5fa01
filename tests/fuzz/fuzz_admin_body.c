/*
 * fuzz_admin_body — a document that is sent to the admin API becomes its normal form or a list of
 * what is wrong with it: the normal form reads as itself, holds no secret, and is a message that
 * packs; merged as a patch over a stored document, it is read too.
 *
 * The first byte chooses the noun; the rest is the body, or a stored document, a NUL, and a patch.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/id.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/policy/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* Every name leads to one object, an agent's to one with a team. */
static enum err find(void *arg, const char *noun, struct slice name, char *ret_id,
                     json_t **ret_spec)
{
    (void)arg;
    if (slice_eq(name, SLICE("nobody")))
        return ERR_NOT_FOUND;
    if (slice_eq(name, SLICE("twins")))
        return ERR_EXHAUSTED;
    snprintf(ret_id, ID_MAX, "%.4s_1", noun);
    if (ret_spec)
        *ret_spec = json_pack("{s:s}", "team", "team_1");
    return ERR_OK;
}

static enum err open_secret(void *arg, const char *owner, const char *slot, struct buf *plain)
{
    (void)arg, (void)owner, (void)slot;
    return buf_append(plain, SLICE("opened"));
}

static const struct lookup lookup = {.find = find};

/* NULL: something is wrong with it. */
static json_t *read_as(const struct noun *n, const json_t *body, const json_t *old)
{
    struct noun_secrets secrets = {.count = 0};
    struct reading r = {
        .lookup = &lookup, .creating = old == NULL, .is_owner = true, .now_us = 1700000000000000};
    json_t *doc = field_read(&r, n->fields, body, old, "");
    if (doc && n->check)
        n->check(&r, old, doc);
    if (doc && !json_array_size(r.problems))
        noun_settle(&r, n, old, doc, &secrets);
    must(secrets.count <= NOUN_SECRETS_MOST, "secrets");
    must(json_array_size(r.problems) <= FIELD_PROBLEMS_MOST, "problems");
    noun_secrets_fini(&secrets);
    if (json_array_size(r.problems)) {
        json_decref(doc);
        doc = NULL;
    }
    reading_fini(&r);
    return doc;
}

static enum err visit(void *arg, const struct field *row, struct slice id)
{
    (void)arg;
    must(row->ref && id.len > 0 && id.len < ID_MAX, "a reference is an id");
    return ERR_OK;
}

static void show(const json_t *t)
{
    json_dumpf(t, stderr, JSON_ENCODE_ANY);
    fputc('\n', stderr);
}

static void build(const struct noun *n, const json_t *doc)
{
    const struct build_row row = {.id = "id_1", .org = "org_1", .name = "n", .spec = doc};
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    struct builder b;
    must(!builder_init(&b, open_secret, NULL), "builder");
    enum err e = build_object(&b, n, &row, &m);
    must(!e || e == ERR_TOO_BIG || e == ERR_NOMEM, "a normal form becomes a message");
    if (!e) {
        size_t len = gatehouse__policy_object__get_packed_size(&m);
        uint8_t *packed = malloc(len + 1);
        must(packed && gatehouse__policy_object__pack(&m, packed) == len, "packed");
        Gatehouse__PolicyObject *again = gatehouse__policy_object__unpack(NULL, len, packed);
        must(again != NULL, "and read by a data plane");
        gatehouse__policy_object__free_unpacked(again, NULL);
        free(packed);
    }
    builder_fini(&b);
}

static bool holds_secret(const struct field *fields, const json_t *doc);

/* A value of the row, or an entry of its list. */
static bool is_secret(const struct field *f, const json_t *value)
{
    if (f->type == FIELD_SECRET)
        return value != NULL;
    return f->type == FIELD_OBJECT && json_is_object(value) && holds_secret(f->fields, value);
}

static bool holds_secret(const struct field *fields, const json_t *doc)
{
    size_t i;
    json_t *entry;
    for (const struct field *f = fields; f->name; f++) {
        const json_t *value = json_object_get(doc, f->name);
        if (!json_is_array(value)) {
            if (is_secret(f, value))
                return true;
            continue;
        }
        json_array_foreach(value, i, entry) if (is_secret(f, entry)) return true;
    }
    return false;
}

static json_t *accept(const struct noun *n, const json_t *body, const json_t *old)
{
    json_t *doc = read_as(n, body, old);
    if (!doc)
        return NULL;
    must(!holds_secret(n->fields, doc), "a secret stays in the document");
    must(!noun_each_ref(n, doc, visit, NULL), "references");
    JSON_AUTO json_t *hints = noun_not_enforced(n, doc);
    must(json_is_array(hints), "what is not enforced");
    JSON_AUTO json_t *same = read_as(n, doc, doc);
    if (!same || !json_equal(doc, same)) {
        show(doc);
        show(same);
        must(false, "a normal form reads as itself");
    }
    if (n->kind)
        build(n, doc);
    return doc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t count;
    const struct noun *const *all = noun_all(&count);
    if (size < 2)
        return -1;
    const struct noun *n = all[data[0] % count];
    struct slice text = slice_of(data + 1, size - 1), patch = SLICE_NONE;
    ptrdiff_t nul = slice_find(text, '\0');
    if (nul >= 0) {
        patch = slice_from(text, (size_t)nul + 1);
        text = slice_first(text, (size_t)nul);
    }
    JSON_AUTO json_t *body = NULL, *change = NULL;
    struct json_problem problem;
    if (json_read(text, &body, &problem) || !json_is_object(body))
        return 0;
    JSON_AUTO json_t *doc = accept(n, body, NULL);
    if (!doc || !patch.ptr || json_read(patch, &change, &problem) || !json_is_object(change))
        return 0;
    JSON_AUTO json_t *merged = noun_merge(doc, change);
    must(merged != NULL, "merged");
    JSON_AUTO json_t *changed = accept(n, merged, doc);
    (void)changed;
    return 0;
}
