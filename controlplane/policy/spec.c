/* spec — small readers, one per shape. */
#include "controlplane/policy/spec.h"

#include "common/base/clock.h"

char *spec_text(const json_t *o, const char *name)
{
    return (char *)json_string_value(json_object_get(o, name));
}

bool spec_true(const json_t *o, const char *name)
{
    return json_is_true(json_object_get(o, name));
}

uint32_t spec_u32(const json_t *o, const char *name, protobuf_c_boolean *has)
{
    const json_t *v = json_object_get(o, name);
    *has = json_is_integer(v);
    return *has ? (uint32_t)json_integer_value(v) : 0;
}

enum err spec_texts(struct arena *a, const json_t *list, char ***ret, size_t *ret_count)
{
    size_t count = json_array_size(list);
    char **texts = arena_alloc(a, (count + 1) * sizeof(char *));
    if (!texts)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        texts[i] = (char *)json_string_value(json_array_get(list, i));
        if (!texts[i])
            return ERR_INVALID;
    }
    *ret = texts;
    *ret_count = count;
    return ERR_OK;
}

enum err spec_names(struct arena *a, const json_t *o, const char *name, Gatehouse__NameList **ret)
{
    const json_t *list = json_object_get(o, name);
    if (!json_is_array(list))
        return ERR_OK;
    Gatehouse__NameList *m = arena_alloc(a, sizeof(*m));
    if (!m)
        return ERR_NOMEM;
    gatehouse__name_list__init(m);
    m->has_set = m->set = true;
    enum err e = spec_texts(a, list, &m->names, &m->n_names);
    if (e == ERR_OK)
        *ret = m;
    return e;
}

enum err spec_budget(struct arena *a, const json_t *o, const char *kind, const char *id,
                     Gatehouse__Budget **ret)
{
    const json_t *budget = json_object_get(o, "budget");
    if (!json_is_object(budget))
        return ERR_OK;
    Gatehouse__Budget *m = arena_alloc(a, sizeof(*m));
    if (!m)
        return ERR_NOMEM;
    gatehouse__budget__init(m);
    m->account = (char *)arena_printf(a, "%s%s", kind, id).ptr;
    m->period = spec_text(budget, "period");
    m->has_limit_nano = true;
    if (!m->account)
        return ERR_NOMEM;
    enum err e = money_parse(json_text(budget, "limit_usd"), &m->limit_nano);
    if (e == ERR_OK)
        *ret = m;
    return e;
}

enum err spec_limits(struct arena *a, const json_t *o, Gatehouse__Limits **ret)
{
    const json_t *limits = json_object_get(o, "limits");
    if (!json_is_object(limits))
        return ERR_OK;
    Gatehouse__Limits *m = arena_alloc(a, sizeof(*m));
    if (!m)
        return ERR_NOMEM;
    gatehouse__limits__init(m);
    m->rpm = spec_u32(limits, "rpm", &m->has_rpm);
    m->tpm = spec_u32(limits, "tpm", &m->has_tpm);
    m->parallel = spec_u32(limits, "parallel", &m->has_parallel);
    *ret = m;
    return ERR_OK;
}

static enum err one_price(const json_t *o, const char *name, int64_t *ret, protobuf_c_boolean *has)
{
    struct slice text = json_text(o, name);
    *has = text.ptr != NULL;
    return *has ? money_parse_price(text, ret) : ERR_OK;
}

enum err spec_price(struct arena *a, const json_t *o, Gatehouse__Price **ret)
{
    const json_t *row = json_object_get(o, "price");
    if (!json_is_object(row))
        return ERR_OK;
    Gatehouse__Price *m = arena_alloc(a, sizeof(*m));
    if (!m)
        return ERR_NOMEM;
    gatehouse__price__init(m);
    enum err e = one_price(row, "input_per_mtok", &m->input, &m->has_input);
    if (e == ERR_OK)
        e = one_price(row, "output_per_mtok", &m->output, &m->has_output);
    if (e == ERR_OK)
        e = one_price(row, "cache_read_per_mtok", &m->cache_read, &m->has_cache_read);
    if (e == ERR_OK)
        e = one_price(row, "cache_write_per_mtok", &m->cache_write, &m->has_cache_write);
    if (e == ERR_OK)
        *ret = m;
    return e;
}

enum err spec_routes(struct arena *a, const json_t *o, Gatehouse__Route ***ret, size_t *ret_count)
{
    const json_t *list = json_object_get(o, "routes");
    size_t count = json_array_size(list);
    Gatehouse__Route **routes = arena_alloc(a, (count + 1) * sizeof(Gatehouse__Route *));
    enum err e = routes ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; i < count && e == ERR_OK; i++) {
        const json_t *row = json_array_get(list, i);
        Gatehouse__Route *m = arena_alloc(a, sizeof(*m));
        if (!m)
            return ERR_NOMEM;
        gatehouse__route__init(m);
        m->path = spec_text(row, "path");
        m->opaque = m->has_opaque = json_is_true(json_object_get(row, "opaque"));
        e = spec_texts(a, json_object_get(row, "methods"), &m->methods, &m->n_methods);
        routes[i] = m;
    }
    if (e == ERR_OK) {
        *ret = routes;
        *ret_count = count;
    }
    return e;
}

enum err spec_time(const json_t *o, const char *name, int64_t *ret_us)
{
    struct slice text = json_text(o, name);
    return text.ptr ? clock_parse(text, ret_us) : ERR_OK;
}
