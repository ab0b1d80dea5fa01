/*
 * field_value — reads one value: a row each for the types, and lists of them.
 */
#include "controlplane/domain/field_value.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/money.h"
#include "common/base/secret.h"
#include "common/net/egress.h"

static struct slice text_of(const json_t *v)
{
    return slice_of(json_string_value(v), json_string_length(v));
}

/* what a type is called in "must be …" */
static const char *type_words(const struct field *f)
{
    static const char *const words[] = {
        [FIELD_TEXT] = "a string",
        [FIELD_INT] = "an integer",
        [FIELD_NUMBER] = "a number",
        [FIELD_BOOL] = "true or false",
        [FIELD_MONEY] = "dollars, not negative and below a billion, as a number or a decimal "
                        "string of at most nine decimals",
        [FIELD_PRICE] = "dollars per million tokens, not negative and below a billion, as a number "
                        "or a decimal string of at most six decimals",
        [FIELD_TIME] = "an RFC 3339 time",
        [FIELD_WORD] = "one of the known words",
        [FIELD_URL] = "an http or https URL without user information, query or fragment",
        [FIELD_CIDR] = "a network like 127.0.0.0/8 or fd00::/8",
        [FIELD_SECRET] = "a string",
        [FIELD_REF] = "a name or id, as a string",
        [FIELD_OBJECT] = "an object",
        [FIELD_PAIRS] = "an object of strings",
        [FIELD_JSON] = "JSON",
    };
    return words[f->type];
}

static json_t *wrong_type(struct reading *r, const struct field *f, const char *at)
{
    reading_problem(r, at, "must be %s", type_words(f));
    return NULL;
}

static json_t *keep(const json_t *v)
{
    return json_incref((json_t *)(uintptr_t)v);
}

/* As JSON Schema counts them; the text is UTF-8. */
static int64_t count_characters(struct slice text)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += (text.ptr[i] & 0xc0) != 0x80;
    return count;
}

static json_t *read_text(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    if (!json_is_string(v))
        return wrong_type(r, f, at);
    int64_t most = f->max > 0 ? f->max : FIELD_TEXT_MOST;
    int64_t len = count_characters(text_of(v));
    if (len < f->min || len > most) {
        reading_problem(r, at, "must have %lld to %lld characters", (long long)f->min,
                        (long long)most);
        return NULL;
    }
    const char *wrong = f->rule != NULL ? f->rule(text_of(v)) : NULL;
    if (wrong != NULL) {
        reading_problem(r, at, "%s", wrong);
        return NULL;
    }
    return keep(v);
}

/* 5.0 is an integer to JSON Schema, and to a writer of JSON in JavaScript. */
static bool whole_number(const json_t *v, int64_t *ret)
{
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
        return true;
    }
    double d = json_real_value(v);
    if (!json_is_real(v) || d < -9007199254740992.0 || d > 9007199254740992.0 ||
        d != (double)(int64_t)d)
        return false;
    *ret = (int64_t)d;
    return true;
}

static json_t *read_int(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    int64_t n = 0;
    if (!whole_number(v, &n))
        return wrong_type(r, f, at);
    if (n < f->min || n > f->max) {
        reading_problem(r, at, "must lie within %lld to %lld", (long long)f->min,
                        (long long)f->max);
        return NULL;
    }
    return json_integer(n);
}

static json_t *read_number(struct reading *r, const struct field *f, const json_t *v,
                           const char *at)
{
    double d = json_number_value(v);
    if (!json_is_number(v))
        return wrong_type(r, f, at);
    if (!(d >= (double)f->min && d <= (double)f->max)) {
        reading_problem(r, at, "must lie within %lld to %lld", (long long)f->min,
                        (long long)f->max);
        return NULL;
    }
    return keep(v);
}

static json_t *read_bool(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    return json_is_boolean(v) ? keep(v) : wrong_type(r, f, at);
}

/* A number rounded to so many decimals, or a string's own text. An exponent only where a number
 * was, and no more than nine digits before the point. */
static bool decimal_text(const json_t *v, int decimals, char *out, size_t cap)
{
    int n = -1;
    if (json_is_integer(v))
        n = snprintf(out, cap, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v) && json_real_value(v) >= 0 && json_real_value(v) <= FIELD_DOLLARS_MOST)
        n = snprintf(out, cap, "%.*f", decimals, json_real_value(v));
    else if (json_is_string(v) && json_string_length(v) < cap &&
             strspn(json_string_value(v), "0123456789.") == json_string_length(v))
        n = snprintf(out, cap, "%s", json_string_value(v));
    return n > 0 && (size_t)n < cap && strcspn(out, ".") <= 9;
}

static json_t *read_money(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    char text[40], shown[MONEY_TEXT_MAX];
    money m = 0;
    if (!decimal_text(v, 9, text, sizeof(text)) || money_parse(slice_str(text), &m) != ERR_OK)
        return wrong_type(r, f, at);
    return json_from(money_format(m, shown));
}

static json_t *read_price(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    char text[40], shown[MONEY_TEXT_MAX];
    price p = 0;
    if (!decimal_text(v, 6, text, sizeof(text)) || money_parse_price(slice_str(text), &p) != ERR_OK)
        return wrong_type(r, f, at);
    return json_from(money_format_price(p, shown));
}

static json_t *read_time(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    char shown[CLOCK_TEXT_MAX];
    int64_t us = 0;
    if (!json_is_string(v) || clock_parse(text_of(v), &us) != ERR_OK)
        return wrong_type(r, f, at);
    return json_from(clock_format(us, shown));
}

static json_t *read_word(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    char list[200] = "";
    for (const char *const *w = f->words; *w != NULL; w++) {
        if (json_is_string(v) && slice_eq(text_of(v), slice_str(*w)))
            return keep(v);
        size_t n = strlen(list);
        snprintf(list + n, sizeof(list) - n, "%s%s", n > 0 ? ", " : "", *w);
    }
    reading_problem(r, at, "must be one of: %s", list);
    return NULL;
}

static json_t *read_url(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    struct url u;
    char somewhere[FIELD_TEXT_MOST];
    if (!json_is_string(v) || json_string_length(v) > FIELD_TEXT_MOST)
        return wrong_type(r, f, at);
    struct slice text = text_of(v);
    if ((f->flags & FIELD_WITH_REGION) != 0)
        text = url_in_region(text, SLICE("region"), somewhere, sizeof(somewhere));
    if (url_parse(text, &u) != ERR_OK || (u.query.len > 0 && !(f->flags & FIELD_WITH_QUERY)))
        return wrong_type(r, f, at);
    union sockaddr_any literal;
    if ((f->flags & FIELD_WITH_METADATA) == 0 && address_literal(u.host, u.port, &literal) &&
        egress_is_metadata(&literal)) {
        reading_problem(r, at, "is a cloud's metadata address: no data plane ever connects to it");
        return NULL;
    }
    return keep(v);
}

static json_t *read_cidr(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    struct cidr c;
    if (!json_is_string(v) || cidr_parse(text_of(v), &c) != ERR_OK)
        return wrong_type(r, f, at);
    return keep(v);
}

/* A document of a service account, in its compact form: it may have come with line breaks. */
static json_t *read_secret_document(struct slice text)
{
    JSON_AUTO json_t *tree = NULL;
    json_t *kept = NULL;
    struct json_problem problem;
    struct buf compact;
    buf_init(&compact, FIELD_SECRET_MOST);
    if (json_read(text, &tree, &problem) == ERR_OK && json_write(tree, &compact) == ERR_OK)
        kept = json_from(buf_slice(&compact));
    if (compact.data != NULL)
        secret_wipe(compact.data, compact.cap);
    buf_fini(&compact);
    return kept;
}

/* Goes into a header or a request as it is: no byte that could end one. */
static json_t *read_secret(struct reading *r, const struct field *f, const json_t *v,
                           const char *at)
{
    if (!json_is_string(v))
        return wrong_type(r, f, at);
    struct slice s = text_of(v);
    if (s.len == 0 || s.len > FIELD_SECRET_MOST) {
        reading_problem(r, at, "must have 1 to %d bytes", FIELD_SECRET_MOST);
        return NULL;
    }
    json_t *document = s.ptr[0] == '{' ? read_secret_document(s) : NULL;
    if (document != NULL)
        return document;
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f) {
            reading_problem(r, at, "must not contain control characters");
            return NULL;
        }
    }
    return keep(v);
}

static json_t *read_ref(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    if (!json_is_string(v) || json_string_length(v) == 0)
        return wrong_type(r, f, at);
    char id[ID_MAX] = "";
    enum err e = r->lookup->find(r->lookup->arg, f->ref, text_of(v), id, NULL);
    if (e == ERR_OK)
        return json_string(id);
    if (e == ERR_NOT_FOUND)
        reading_problem(r, at, "no %s of this name or id", f->ref);
    else if (e == ERR_EXHAUSTED)
        reading_problem(r, at, "several %ss have this name: use an id", f->ref);
    else if (r->failed == ERR_OK)
        r->failed = e;
    return NULL;
}

static json_t *read_object(struct reading *r, const struct field *f, const json_t *v,
                           const json_t *old, const char *at)
{
    if (!json_is_object(v))
        return wrong_type(r, f, at);
    return field_read(r, f->fields, v, json_is_object(old) ? old : NULL, at);
}

static bool fits_pair(struct reading *r, const struct field *f, const char *name,
                      const json_t *value, const char *at)
{
    const char *wrong = f->rule != NULL ? f->rule(slice_str(name)) : NULL;
    int64_t len = json_is_string(value) ? count_characters(text_of(value)) : -1;
    if (wrong != NULL)
        reading_problem(r, at, "its name %s", wrong);
    else if (len < 0)
        reading_problem(r, at, "must be a string");
    else if (len < f->min || len > f->max)
        reading_problem(r, at, "must have %lld to %lld characters", (long long)f->min,
                        (long long)f->max);
    else
        return true;
    return false;
}

static json_t *read_pairs(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    const char *name;
    json_t *value;
    int64_t size = (int64_t)json_object_size(v);
    if (!json_is_object(v))
        return wrong_type(r, f, at);
    if (size < f->least || size > f->most) {
        reading_problem(r, at, "must have %lld to %lld members", (long long)f->least,
                        (long long)f->most);
        return NULL;
    }
    json_t *pairs = json_object();
    json_object_foreach((json_t *)(uintptr_t)v, name, value)
    {
        char here[FIELD_POINTER_MAX];
        field_pointer(at, name, here);
        if (fits_pair(r, f, name, value, here))
            json_object_set(pairs, name, value);
    }
    return pairs;
}

static json_t *read_one(struct reading *r, const struct field *f, const json_t *v,
                        const json_t *old, const char *at)
{
    switch (f->type) {
    case FIELD_TEXT:
        return read_text(r, f, v, at);
    case FIELD_INT:
        return read_int(r, f, v, at);
    case FIELD_NUMBER:
        return read_number(r, f, v, at);
    case FIELD_BOOL:
        return read_bool(r, f, v, at);
    case FIELD_MONEY:
        return read_money(r, f, v, at);
    case FIELD_PRICE:
        return read_price(r, f, v, at);
    case FIELD_TIME:
        return read_time(r, f, v, at);
    case FIELD_WORD:
        return read_word(r, f, v, at);
    case FIELD_URL:
        return read_url(r, f, v, at);
    case FIELD_CIDR:
        return read_cidr(r, f, v, at);
    case FIELD_SECRET:
        return read_secret(r, f, v, at);
    case FIELD_REF:
        return read_ref(r, f, v, at);
    case FIELD_OBJECT:
        return read_object(r, f, v, old, at);
    case FIELD_PAIRS:
        return read_pairs(r, f, v, at);
    case FIELD_JSON:
        return keep(v);
    }
    return NULL;
}

static bool holds(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), value))
            return true;
    return false;
}

static json_t *read_list(struct reading *r, const struct field *f, const json_t *v, const char *at)
{
    int64_t most = f->most > 0 ? f->most : FIELD_LIST_MOST;
    int64_t size = (int64_t)json_array_size(v);
    if (!json_is_array(v)) {
        reading_problem(r, at, "must be an array");
        return NULL;
    }
    if (size < f->least || size > most) {
        reading_problem(r, at, "must have %lld to %lld entries", (long long)f->least,
                        (long long)most);
        return NULL;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < (size_t)size; i++) {
        char index[24], here[FIELD_POINTER_MAX];
        snprintf(index, sizeof(index), "%zu", i);
        field_pointer(at, index, here);
        json_t *one = read_one(r, f, json_array_get(v, i), NULL, here);
        if (one != NULL && holds(list, one))
            reading_problem(r, here, "stands twice in the list");
        if (one != NULL)
            json_array_append_new(list, one);
    }
    return list;
}

json_t *field_read_value(struct reading *r, const struct field *f, const json_t *given,
                         const json_t *old, const char *at)
{
    if ((f->flags & FIELD_LIST) != 0)
        return read_list(r, f, given, at);
    return read_one(r, f, given, old, at);
}
