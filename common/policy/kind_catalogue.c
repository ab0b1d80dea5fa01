/* kind_catalogue — what a vendor's models cost, found by patterns of their names. */
#include "common/policy/kind.h"

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Catalogue *m = d->message->catalogue;
    struct policy_catalogue *p = kind_begin(d, sizeof(*p), m->org_id, m->name);
    if (!p)
        return ERR_NOMEM;
    p->models = kind_rows(d, m->n_models, sizeof(*p->models));
    enum err e = p->models ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; !e && i < m->n_models; i++) {
        const Gatehouse__CatalogueModel *from = m->models[i];
        struct policy_catalogue_model *to = &p->models[i];
        to->patterns = kind_texts(d, from->match, from->n_match);
        to->pattern_count = from->n_match;
        to->context_tokens = from->context_tokens;
        to->max_output_tokens = from->max_output_tokens;
        to->capabilities = kind_capabilities(from->capabilities, from->n_capabilities);
        to->capabilities_known = from->capabilities_set || from->n_capabilities;
        e = kind_price(from->price, &to->price);
        p->model_count++;
    }
    return e;
}

const struct policy_kind kind_catalogue = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_CATALOGUE,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_CATALOGUE,
    .decode = decode,
    .named = true,
};

/* ---- by name ---- */

static bool is_letter_eq(char a, char b)
{
    if (a >= 'A' && a <= 'Z')
        a = (char)(a + 32);
    if (b >= 'A' && b <= 'Z')
        b = (char)(b + 32);
    return a == b;
}

static bool is_one(char pattern, char ch)
{
    return pattern == '#' ? ch >= '0' && ch <= '9' : is_letter_eq(pattern, ch);
}

/* The last star takes one character more each time what follows it does not fit: no star before
 * it has to be tried again. */
static bool fits_part(struct slice pattern, struct slice name)
{
    size_t p = 0, n = 0, star = SIZE_MAX, taken = 0;
    while (n < name.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            taken = n;
        } else if (p < pattern.len && is_one(pattern.ptr[p], name.ptr[n])) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            n = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

bool policy_pattern_fits(struct slice pattern, struct slice name)
{
    const struct slice both = SLICE(" & ");
    for (;;) {
        ptrdiff_t at = slice_search(pattern, both);
        struct slice part = at < 0 ? pattern : slice_first(pattern, (size_t)at);
        bool not = part.len && part.ptr[0] == '!';
        if (fits_part(slice_from(part, not ), name) == not )
            return false;
        if (at < 0)
            return true;
        pattern = slice_from(pattern, (size_t)at + both.len);
    }
}

const struct policy_catalogue_model *policy_catalogue_find(const struct policy_catalogue *c,
                                                           struct slice name)
{
    for (size_t i = 0; i < c->model_count; i++)
        for (size_t j = 0; j < c->models[i].pattern_count; j++)
            if (policy_pattern_fits(c->models[i].patterns[j], name))
                return &c->models[i];
    return NULL;
}
