/*
 * build — rows and descriptors are bound once, into a tree of shapes; an object is built by
 * walking the shapes beside its document.
 */
#include "controlplane/policy/build.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/money.h"
#include "common/base/secret.h"
#include "controlplane/domain/nouns.h"

#define SECRET_MAX (2 * FIELD_SECRET_MOST)
#define WIRE_NAME_MAX 64
#define SHAPES_MAX 128
#define BINDINGS_MAX 1024
#define GAP_MAX 160

typedef const ProtobufCFieldDescriptor field_descriptor;

enum source {
    SOURCE_ROW,     /* the document's member */
    SOURCE_INLINE,  /* an object whose members are fields of the message it stands in */
    SOURCE_SET,     /* whether the list of the row was given */
    SOURCE_ORG,     /* the object's organisation */
    SOURCE_NAME,    /* the object's name */
    SOURCE_CREATED, /* when it was made */
    SOURCE_ACCOUNT, /* "<noun>:<id>" */
};

struct shape;

struct binding {
    enum source source;
    const struct field *row;
    field_descriptor *to;
    field_descriptor *kind_to;   /* receives the row's name; NULL: none */
    const struct shape *members; /* of an object */
};

/* One message (or an object laid into one) and where each of its fields comes from. */
struct shape {
    const ProtobufCMessageDescriptor *message;
    const struct binding *bindings;
    size_t count;
};

struct body {
    const struct noun *noun;
    field_descriptor *field; /* in PolicyObject */
    const struct shape *shape;
};

#define BODIES_MAX 64
static struct body bodies[BODIES_MAX];
static size_t body_count;
static struct shape shapes[SHAPES_MAX];
static size_t shape_count;
static struct binding bindings[BINDINGS_MAX];
static size_t binding_count;
static pthread_once_t bound = PTHREAD_ONCE_INIT;

/* ---- binding ---- */

static field_descriptor *field_of(const ProtobufCMessageDescriptor *m, const char *prefix,
                                  const char *name, int name_len, const char *suffix)
{
    char text[WIRE_NAME_MAX];
    int n = snprintf(text, sizeof(text), "%s%.*s%s", prefix, name_len, name, suffix);
    MUST(n > 0 && (size_t)n < sizeof(text));
    return protobuf_c_message_descriptor_get_field_by_name(m, text);
}

/* what the names of a type end with: in the document, and in the message */
static const struct {
    enum field_type type;
    const char *ends, *becomes;
} endings[] = {
    {FIELD_REF, "", "_id"},         {FIELD_TIME, "", "_us"},         {FIELD_MONEY, "_usd", "_nano"},
    {FIELD_PRICE, "_per_mtok", ""}, {FIELD_NUMBER, "", "_permille"},
};

static field_descriptor *find_field(const ProtobufCMessageDescriptor *m, const struct field *f,
                                    const char *prefix)
{
    size_t len = strlen(f->name);
    if (f->wire != NULL)
        return field_of(m, "", f->wire, (int)strlen(f->wire), "");
    field_descriptor *to = field_of(m, prefix, f->name, (int)len, "");
    for (size_t i = 0; to == NULL && i < ARRAY_LEN(endings); i++) {
        size_t cut = strlen(endings[i].ends);
        if (f->type == endings[i].type && (f->flags & FIELD_LIST) == 0 && len > cut &&
            strcmp(f->name + len - cut, endings[i].ends) == 0)
            to = field_of(m, prefix, f->name, (int)(len - cut), endings[i].becomes);
    }
    return to;
}

static const struct shape *bind_shape(const ProtobufCMessageDescriptor *m,
                                      const struct field *fields, const char *prefix,
                                      const struct noun *top);

/* Bindings of one shape lie side by side: they are gathered here, since inner shapes come first. */
struct gathering {
    struct binding rows[64];
    size_t count;
};

static void gather(struct gathering *g, const struct binding *b)
{
    MUST(g->count < ARRAY_LEN(g->rows));
    g->rows[g->count++] = *b;
}

static void bind_row(struct gathering *g, const ProtobufCMessageDescriptor *m,
                     const struct field *f, const char *prefix)
{
    struct binding b = {.source = SOURCE_ROW, .row = f, .to = find_field(m, f, prefix)};
    if (b.to != NULL && b.to->type == PROTOBUF_C_TYPE_MESSAGE && f->type == FIELD_OBJECT)
        b.members = bind_shape(b.to->descriptor, f->fields, "", NULL);
    if (b.to != NULL && f->wire_kind != NULL)
        b.kind_to = field_of(m, "", f->wire_kind, (int)strlen(f->wire_kind), "");
    if (b.to == NULL && f->type == FIELD_OBJECT && (f->flags & FIELD_LIST) == 0) {
        char inner[WIRE_NAME_MAX];
        snprintf(inner, sizeof(inner), "%s%s_", prefix, f->name);
        b.source = SOURCE_INLINE;
        b.members = bind_shape(m, f->fields, inner, NULL);
        if (b.members->count == 0)
            return;
    }
    if (b.to != NULL || b.source == SOURCE_INLINE)
        gather(g, &b);
    b.to = field_of(m, prefix, f->name, (int)strlen(f->name), "_set");
    if ((f->flags & FIELD_LIST) != 0 && b.to != NULL) {
        b.source = SOURCE_SET;
        gather(g, &b);
    }
}

static bool is_fed(const struct gathering *g, field_descriptor *to)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->rows[i].to == to)
            return true;
    return false;
}

static const struct {
    const char *name;
    enum source source;
    bool of_top; /* stands in the body itself; else in a message within it */
} sources[] = {
    {"org_id", SOURCE_ORG, true},
    {"name", SOURCE_NAME, true},
    {"created_at_us", SOURCE_CREATED, true},
    {"account", SOURCE_ACCOUNT, false},
};

static void bind_sources(struct gathering *g, const ProtobufCMessageDescriptor *m, bool top)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct binding b = {.source = sources[i].source,
                            .to =
                                field_of(m, "", sources[i].name, (int)strlen(sources[i].name), "")};
        if (sources[i].of_top == top && b.to != NULL && !is_fed(g, b.to))
            gather(g, &b);
    }
}

static const struct shape *bind_shape(const ProtobufCMessageDescriptor *m,
                                      const struct field *fields, const char *prefix,
                                      const struct noun *top)
{
    struct gathering g = {.count = 0};
    for (const struct field *f = fields; f->name != NULL; f++)
        bind_row(&g, m, f, prefix);
    if (prefix[0] == '\0')
        bind_sources(&g, m, top != NULL);
    MUST(shape_count < SHAPES_MAX && binding_count + g.count <= BINDINGS_MAX);
    struct shape *s = &shapes[shape_count++];
    *s = (struct shape){.message = m, .bindings = &bindings[binding_count], .count = g.count};
    memcpy(&bindings[binding_count], g.rows, g.count * sizeof(*g.rows));
    binding_count += g.count;
    return s;
}

static void bind_noun(const struct noun *n)
{
    char name[WIRE_NAME_MAX];
    snprintf(name, sizeof(name), "%s", n->name);
    for (char *p = name; *p != '\0'; p++)
        if (*p == '-')
            *p = '_';
    field_descriptor *body = protobuf_c_message_descriptor_get_field_by_name(
        &gatehouse__policy_object__descriptor, name);
    MUST(body != NULL && body->type == PROTOBUF_C_TYPE_MESSAGE && body_count < BODIES_MAX);
    bodies[body_count++] = (struct body){
        .noun = n, .field = body, .shape = bind_shape(body->descriptor, n->fields, "", n)};
}

static void bind_all(void)
{
    size_t count = 0;
    const struct noun *const *nouns = noun_all(&count);
    for (size_t i = 0; i < count; i++)
        if (nouns[i]->kind != 0)
            bind_noun(nouns[i]);
}

static const struct body *body_of(const struct noun *n)
{
    pthread_once(&bound, bind_all);
    for (size_t i = 0; i < body_count; i++)
        if (bodies[i].noun == n)
            return &bodies[i];
    MUST(false && "only what data planes know is built");
    return NULL;
}

/* ---- the builder ---- */

enum err builder_init(struct builder *b,
                      enum err (*open)(void *arg, const char *owner, const char *slot,
                                       struct buf *plain),
                      void *arg)
{
    *b = (struct builder){.open = open, .arg = arg};
    b->arena = arena_new(LIMIT_ARENA_CHUNK, LIMIT_ARENA_MAX);
    return b->arena ? ERR_OK : ERR_NOMEM;
}

void builder_reset(struct builder *b)
{
    for (size_t i = 0; i < b->secret_count; i++)
        secret_wipe(b->secrets[i].data, b->secrets[i].len);
    b->secret_count = 0;
    arena_reset(b->arena);
}

void builder_fini(struct builder *b)
{
    builder_reset(b);
    arena_free(b->arena);
}

enum err builder_keep(struct builder *b, struct slice plain, ProtobufCBinaryData *ret)
{
    if (b->secret_count == BUILDER_SECRETS)
        return ERR_TOO_BIG;
    struct slice copy = arena_copy(b->arena, plain);
    if (!copy.ptr)
        return ERR_NOMEM;
    *ret = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)copy.ptr, .len = copy.len};
    b->secrets[b->secret_count++] = *ret;
    return ERR_OK;
}

/* ---- writing into a message ---- */

struct building {
    struct builder *b;
    const struct noun *noun;
    const struct build_row *row;
    const char *slot; /* of the secrets in the object at hand */
};

static void *place(void *message, field_descriptor *to)
{
    return (char *)message + to->offset;
}

/* Marks an optional number, bool or bytes as present; texts and messages are by their pointer. */
static void mark(void *message, field_descriptor *to)
{
    if (to->label == PROTOBUF_C_LABEL_OPTIONAL && to->quantifier_offset != 0)
        *(protobuf_c_boolean *)((char *)message + to->quantifier_offset) = true;
}

static enum err put_int(void *message, field_descriptor *to, int64_t value)
{
    switch (to->type) {
    case PROTOBUF_C_TYPE_UINT32:
        *(uint32_t *)place(message, to) = (uint32_t)value;
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
        *(int32_t *)place(message, to) = (int32_t)value;
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
        *(int64_t *)place(message, to) = value;
        break;
    default:
        return ERR_INVALID;
    }
    mark(message, to);
    return ERR_OK;
}

/* A share from 0 to 1 may be a whole number of thousandths there. */
static enum err put_number(void *message, field_descriptor *to, double value)
{
    if (to->type == PROTOBUF_C_TYPE_UINT32)
        return put_int(message, to, (int64_t)(value * 1000 + 0.5));
    if (to->type != PROTOBUF_C_TYPE_DOUBLE)
        return ERR_INVALID;
    *(double *)place(message, to) = value;
    mark(message, to);
    return ERR_OK;
}

static enum err put_bool(void *message, field_descriptor *to, bool value, bool always)
{
    if (to->type != PROTOBUF_C_TYPE_BOOL)
        return ERR_INVALID;
    if (value || always) {
        *(protobuf_c_boolean *)place(message, to) = value;
        mark(message, to);
    }
    return ERR_OK;
}

static enum err put_text(void *message, field_descriptor *to, const char *text)
{
    if (to->type != PROTOBUF_C_TYPE_STRING)
        return ERR_INVALID;
    *(const char **)place(message, to) = text;
    return ERR_OK;
}

/* Hexadecimal digits of a digest. */
static enum err put_hex(struct building *x, void *message, field_descriptor *to, struct slice hex)
{
    size_t len = 0;
    uint8_t *bytes = arena_alloc(x->b->arena, DIGEST_LEN);
    if (!bytes)
        return ERR_NOMEM;
    enum err e = digest_unhex(hex, bytes, DIGEST_LEN, &len);
    if (e != ERR_OK || len != DIGEST_LEN)
        return ERR_INVALID;
    *(ProtobufCBinaryData *)place(message, to) = (ProtobufCBinaryData){.data = bytes, .len = len};
    mark(message, to);
    return ERR_OK;
}

/* A secret that was cleared (its host changed) is absent, not an error. */
static enum err put_secret(struct building *x, const struct field *row, void *message,
                           field_descriptor *to)
{
    struct buf plain;
    char slot[NOUN_SLOT_MAX];
    if (!x->slot || to->type != PROTOBUF_C_TYPE_BYTES)
        return ERR_INVALID;
    buf_init(&plain, SECRET_MAX);
    enum err e = x->b->open(x->b->arg, x->row->id, noun_slot(x->slot, row, slot), &plain);
    if (e == ERR_OK)
        e = builder_keep(x->b, buf_slice(&plain), place(message, to));
    if (e == ERR_OK)
        mark(message, to);
    if (plain.data)
        secret_wipe(plain.data, plain.cap);
    buf_fini(&plain);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err fill(struct building *x, const struct shape *s, const json_t *doc, void *message);

static enum err new_message(struct building *x, const ProtobufCMessageDescriptor *d, void **ret)
{
    void *m = arena_alloc(x->b->arena, d->sizeof_message);
    if (!m)
        return ERR_NOMEM;
    d->message_init(m);
    *ret = m;
    return ERR_OK;
}

/* The entry's secrets lie under its id where it has one of its own, else under the row's name. */
static enum err build_entry(struct building *x, const struct binding *b, const json_t *v,
                            void **ret)
{
    struct building inner = *x;
    if (!json_is_object(v))
        return ERR_INVALID;
    inner.slot = (b->row->flags & FIELD_IDENTITY) != 0 ? json_string_value(json_object_get(v, "id"))
                                                       : b->row->name;
    enum err e = new_message(x, b->members->message, ret);
    return e == ERR_OK ? fill(&inner, b->members, v, *ret) : e;
}

static enum err texts_of(struct building *x, const json_t *list, char ***ret)
{
    size_t count = json_array_size(list);
    char **texts = arena_alloc(x->b->arena, (count + 1) * sizeof(char *));
    if (!texts)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        texts[i] = (char *)json_string_value(json_array_get(list, i));
        if (!texts[i])
            return ERR_INVALID;
    }
    *ret = texts;
    return ERR_OK;
}

static enum err put_names(struct building *x, field_descriptor *to, const json_t *list, void *at)
{
    Gatehouse__NameList *names = NULL;
    if (to->descriptor != &gatehouse__name_list__descriptor)
        return ERR_INVALID;
    enum err e = new_message(x, to->descriptor, (void **)&names);
    if (e == ERR_OK)
        e = texts_of(x, list, &names->names);
    if (e != ERR_OK)
        return e;
    names->has_set = names->set = true;
    names->n_names = json_array_size(list);
    *(void **)at = names;
    return ERR_OK;
}

static enum err entries_of(struct building *x, const struct binding *b, const json_t *list,
                           void ***ret)
{
    size_t count = json_array_size(list);
    void **rows = arena_alloc(x->b->arena, (count + 1) * sizeof(*rows));
    enum err e = rows ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; i < count && e == ERR_OK; i++)
        e = build_entry(x, b, json_array_get(list, i), &rows[i]);
    *ret = rows;
    return e;
}

static enum err put_list(struct building *x, const struct binding *b, const json_t *list,
                         void *message)
{
    field_descriptor *to = b->to;
    if (!json_is_array(list))
        return ERR_INVALID;
    if (to->label != PROTOBUF_C_LABEL_REPEATED)
        return to->type == PROTOBUF_C_TYPE_MESSAGE ? put_names(x, to, list, place(message, to))
                                                   : ERR_INVALID;
    enum err e = ERR_INVALID;
    if (to->type == PROTOBUF_C_TYPE_STRING)
        e = texts_of(x, list, place(message, to));
    else if (b->members != NULL)
        e = entries_of(x, b, list, place(message, to));
    if (e == ERR_OK)
        *(size_t *)((char *)message + to->quantifier_offset) = json_array_size(list);
    return e;
}

static enum err put_scalar(struct building *x, const struct binding *b, const json_t *v,
                           void *message)
{
    const struct field *f = b->row;
    struct slice text = slice_of(json_string_value(v), json_string_length(v));
    int64_t number = 0;
    enum err e;
    switch (f->type) {
    case FIELD_INT:
        return json_is_integer(v) ? put_int(message, b->to, json_integer_value(v)) : ERR_INVALID;
    case FIELD_NUMBER:
        return json_is_number(v) ? put_number(message, b->to, json_number_value(v)) : ERR_INVALID;
    case FIELD_BOOL:
        return put_bool(message, b->to, json_is_true(v), (f->flags & FIELD_WIRE_ALWAYS) != 0);
    case FIELD_MONEY:
        e = money_parse(text, &number);
        return e == ERR_OK ? put_int(message, b->to, number) : e;
    case FIELD_PRICE:
        e = money_parse_price(text, &number);
        return e == ERR_OK ? put_int(message, b->to, number) : e;
    case FIELD_TIME:
        e = clock_parse(text, &number);
        return e == ERR_OK ? put_int(message, b->to, number) : e;
    default:
        break;
    }
    if (!json_is_string(v))
        return ERR_INVALID;
    if (b->to->type == PROTOBUF_C_TYPE_BYTES)
        return put_hex(x, message, b->to, text);
    if (f->wire_word != NULL)
        return put_bool(message, b->to, slice_eq(text, slice_str(f->wire_word)),
                        (f->flags & FIELD_WIRE_ALWAYS) != 0);
    if (b->kind_to != NULL && (e = put_text(message, b->kind_to, f->name)) != ERR_OK)
        return e;
    return put_text(message, b->to, json_string_value(v));
}

/* An object of texts: a message with `name` and `value` for each. */
static enum err put_pairs(struct building *x, const struct binding *b, const json_t *v,
                          void *message)
{
    const ProtobufCMessageDescriptor *d = b->to->descriptor;
    field_descriptor *name_to = field_of(d, "", "name", 4, ""),
                     *to = field_of(d, "", "value", 5, "");
    size_t count = json_object_size(v), at = 0;
    void **rows = arena_alloc(x->b->arena, (count + 1) * sizeof(*rows));
    const char *name;
    json_t *value;
    enum err e = !rows ? ERR_NOMEM : json_is_object(v) && name_to && to ? ERR_OK : ERR_INVALID;
    json_object_foreach((json_t *)(uintptr_t)v, name, value)
    {
        if (e == ERR_OK)
            e = new_message(x, d, &rows[at]);
        if (e == ERR_OK)
            e = put_text(rows[at], name_to, name);
        if (e == ERR_OK)
            e = json_is_string(value) ? put_text(rows[at++], to, json_string_value(value))
                                      : ERR_INVALID;
    }
    if (e != ERR_OK)
        return e;
    *(void ***)place(message, b->to) = rows;
    *(size_t *)((char *)message + b->to->quantifier_offset) = count;
    return ERR_OK;
}

/* What a row that is always sent says where the document has none of it: 0 or false. */
static enum err put_absent(const struct binding *b, void *message)
{
    if ((b->row->flags & FIELD_WIRE_ALWAYS) == 0 || (b->row->flags & FIELD_LIST) != 0)
        return ERR_OK;
    if (b->to->type == PROTOBUF_C_TYPE_BOOL)
        return put_bool(message, b->to, false, true);
    return put_int(message, b->to, 0);
}

static enum err put_row(struct building *x, const struct binding *b, const json_t *doc,
                        void *message)
{
    const json_t *v = json_object_get(doc, b->row->name);
    char set[FIELD_SET_NAME_MAX];
    if (b->row->type == FIELD_SECRET && (b->row->flags & FIELD_OPTIONAL) != 0 &&
        !json_is_true(json_object_get(doc, field_set_name(b->row, set))))
        return ERR_OK;
    if (b->row->type == FIELD_SECRET)
        return put_secret(x, b->row, message, b->to);
    if (v == NULL || json_is_null(v))
        return put_absent(b, message);
    if (b->row->type == FIELD_PAIRS)
        return put_pairs(x, b, v, message);
    if ((b->row->flags & FIELD_LIST) != 0)
        return put_list(x, b, v, message);
    if (b->members != NULL)
        return build_entry(x, b, v, place(message, b->to));
    return put_scalar(x, b, v, message);
}

static enum err put_inline(struct building *x, const struct binding *b, const json_t *doc,
                           void *message)
{
    const json_t *v = json_object_get(doc, b->row->name);
    struct building inner = *x;
    inner.slot = b->row->name;
    return json_is_object(v) ? fill(&inner, b->members, v, message) : ERR_OK;
}

static enum err put_account(struct building *x, void *message, field_descriptor *to)
{
    struct slice text = arena_printf(x->b->arena, "%s:%s", x->noun->name, x->row->id);
    return text.ptr ? put_text(message, to, text.ptr) : ERR_NOMEM;
}

static enum err put(struct building *x, const struct binding *b, const json_t *doc, void *message)
{
    switch (b->source) {
    case SOURCE_ROW:
        return field_counts(b->row, doc) ? put_row(x, b, doc, message) : ERR_OK;
    case SOURCE_INLINE:
        return put_inline(x, b, doc, message);
    case SOURCE_SET:
        return put_bool(message, b->to, json_is_array(json_object_get(doc, b->row->name)),
                        (b->row->flags & FIELD_WIRE_ALWAYS) != 0);
    case SOURCE_ORG:
        return put_text(message, b->to, x->row->org);
    case SOURCE_NAME:
        return put_text(message, b->to, x->row->name);
    case SOURCE_CREATED:
        return put_int(message, b->to, x->row->created_at);
    case SOURCE_ACCOUNT:
        return put_account(x, message, b->to);
    }
    return ERR_INVALID;
}

static enum err fill(struct building *x, const struct shape *s, const json_t *doc, void *message)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < s->count && e == ERR_OK; i++)
        e = put(x, &s->bindings[i], doc, message);
    return e;
}

enum err build_object(struct builder *b, const struct noun *n, const struct build_row *row,
                      Gatehouse__PolicyObject *m)
{
    const struct body *body = body_of(n);
    struct building x = {.b = b, .noun = n, .row = row};
    void *message = NULL;
    m->has_kind = true;
    m->kind = (Gatehouse__ObjectKind)n->kind;
    m->id = (char *)(uintptr_t)row->id;
    enum err e = new_message(&x, body->shape->message, &message);
    if (e == ERR_OK)
        e = fill(&x, body->shape, row->spec, message);
    if (e != ERR_OK)
        return e;
    /* a oneof: its quantifier is the case member, which holds the field's number */
    *(uint32_t *)((char *)m + body->field->quantifier_offset) = body->field->id;
    *(void **)place(m, body->field) = message;
    return ERR_OK;
}

/* ---- gaps ---- */

static _Thread_local char gap[GAP_MAX];

static bool shape_feeds(const struct shape *s, field_descriptor *to)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct binding *b = &s->bindings[i];
        if (b->to == to || b->kind_to == to ||
            (b->source == SOURCE_INLINE && shape_feeds(b->members, to)))
            return true;
    }
    return false;
}

static const struct binding *binding_of(const struct shape *s, const struct field *row)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->bindings[i].row == row && s->bindings[i].source != SOURCE_SET)
            return &s->bindings[i];
    return NULL;
}

/* `part`: the shape's rows are only some of its message's fields. */
static const char *gap_in(const struct shape *s, const struct field *fields, bool part)
{
    for (const struct field *f = fields; f->name != NULL; f++) {
        const struct binding *b = binding_of(s, f);
        if (b == NULL && (f->flags & (FIELD_LOCAL | FIELD_NOT_ENFORCED | FIELD_COMPUTED |
                                      FIELD_POOLS | FIELD_SWITCH)) == 0) {
            snprintf(gap, sizeof(gap), "%s has no field for \"%s\"", s->message->name, f->name);
            return gap;
        }
        if (b != NULL && b->members != NULL &&
            gap_in(b->members, f->fields, b->source == SOURCE_INLINE) != NULL)
            return gap;
    }
    for (unsigned i = 0; !part && i < s->message->n_fields; i++) {
        if (shape_feeds(s, &s->message->fields[i]))
            continue;
        snprintf(gap, sizeof(gap), "nothing fills %s.%s", s->message->name,
                 s->message->fields[i].name);
        return gap;
    }
    return NULL;
}

const char *build_gap(const struct noun *n)
{
    const struct body *body = body_of(n);
    return gap_in(body->shape, n->fields, false);
}
