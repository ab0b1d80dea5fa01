/* kind_read — how the members that nouns have in common are read. */
#include "common/base/mem.h"
#include "common/policy/kind.h"

void *kind_begin(struct kind_decoding *d, size_t size, const char *org_id, const char *name)
{
    struct policy_object *p = kind_rows(d, 1, size);
    if (!p)
        return NULL;
    d->object->policy = p;
    p->org_id = kind_text(d, org_id);
    p->name = kind_text(d, name);
    return p;
}

void *kind_rows(struct kind_decoding *d, size_t count, size_t size)
{
    void *p = arena_zalloc(d->arena, count * size + 1);
    if (!p)
        d->short_of_memory = true;
    return p;
}

struct slice kind_text(struct kind_decoding *d, const char *from)
{
    struct slice copy = arena_copy(d->arena, slice_str(from ? from : ""));
    if (!copy.ptr)
        d->short_of_memory = true;
    return copy;
}

struct slice *kind_texts(struct kind_decoding *d, char *const *from, size_t n)
{
    struct slice *out = kind_rows(d, n, sizeof(*out));
    for (size_t i = 0; out && i < n; i++)
        out[i] = kind_text(d, from[i]);
    return out;
}

struct name_list kind_names(struct kind_decoding *d, const Gatehouse__NameList *from)
{
    if (!from || !from->set)
        return (struct name_list){0};
    return (struct name_list){
        .set = true, .count = from->n_names, .names = kind_texts(d, from->names, from->n_names)};
}

static void drop_secret(void *guest)
{
    secret_drop(guest);
}

static void drop_account(void *guest)
{
    account_drop(guest);
}

struct secret *kind_secret(struct kind_decoding *d, const ProtobufCBinaryData *from)
{
    if (from->len == 0)
        return NULL;
    struct secret *s = secret_new(slice_of(from->data, from->len));
    if (!s || arena_adopt(d->arena, s, drop_secret) != ERR_OK) {
        d->short_of_memory = true;
        return NULL;
    }
    return s;
}

struct account *kind_account(struct kind_decoding *d, const Gatehouse__Budget *budget)
{
    if (!budget || !budget->account)
        return NULL;
    struct account *a = registry_account(d->registry, slice_str(budget->account));
    if (!a || arena_adopt(d->arena, a, drop_account) != ERR_OK) {
        d->short_of_memory = true;
        return NULL;
    }
    registry_configure(d->registry, a, budget->limit_nano,
                       slice_str(budget->period ? budget->period : ""));
    return a;
}

enum err kind_networks(struct kind_decoding *d, char *const *from, size_t n, struct cidr **ret)
{
    struct cidr *out = kind_rows(d, n, sizeof(*out));
    for (size_t i = 0; out && i < n; i++) {
        if (cidr_parse(slice_str(from[i]), &out[i]) != ERR_OK)
            return ERR_INVALID;
    }
    *ret = out;
    return ERR_OK;
}

struct policy_route *kind_routes(struct kind_decoding *d, Gatehouse__Route *const *from, size_t n)
{
    struct policy_route *out = kind_rows(d, n, sizeof(*out));
    for (size_t i = 0; out && i < n; i++) {
        out[i].methods = kind_texts(d, from[i]->methods, from[i]->n_methods);
        out[i].method_count = from[i]->n_methods;
        out[i].path = kind_text(d, from[i]->path);
        out[i].opaque = from[i]->opaque;
    }
    return out;
}

enum err kind_bits(char *const *from, size_t n, const char *const *words, size_t count,
                   uint32_t *ret)
{
    enum err e = ERR_OK;
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        while (at < count && strcmp(from[i], words[at]) != 0)
            at++;
        if (at < count)
            *ret |= UINT32_C(1) << at;
        else
            e = ERR_INVALID;
    }
    return e;
}

uint32_t kind_capabilities(char *const *from, size_t n)
{
    static const char *const words[] = {
#define CAPABILITY_WORD(name, word) word,
        MODEL_CAPABILITY_TABLE(CAPABILITY_WORD)
#undef CAPABILITY_WORD
    };
    uint32_t bits = 0;
    (void)kind_bits(from, n, words, ARRAY_LEN(words), &bits);
    return bits;
}

enum err kind_data_policy(char *const *from, size_t n, uint32_t *ret)
{
    static const char *const words[] = {
#define DATA_POLICY_WORD(name, word) word,
        DATA_POLICY_TABLE(DATA_POLICY_WORD)
#undef DATA_POLICY_WORD
    };
    return kind_bits(from, n, words, ARRAY_LEN(words), ret);
}

uint32_t kind_weight(protobuf_c_boolean has, uint32_t value)
{
    return has ? value : 1;
}

struct policy_timeouts kind_timeouts(const Gatehouse__Timeouts *from)
{
    if (!from)
        return (struct policy_timeouts){0};
    return (struct policy_timeouts){.connect_ms = from->connect_ms,
                                    .first_byte_ms = from->first_byte_ms,
                                    .between_ms = from->between_ms,
                                    .total_ms = from->total_ms};
}
