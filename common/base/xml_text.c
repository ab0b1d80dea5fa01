/* xml_text — one pass over the document; the way to the open element is kept as text. */
#include "common/base/xml_text.h"

#include "common/base/utf8.h"

#define NAME_MAX_LEN 128
#define REFERENCE_MAX 10 /* "&#x10FFFF;" */

struct xml_pass {
    struct slice rest;
    char way[XML_WAY_MAX]; /* "a/b/c" */
    size_t way_len;
    size_t ends[XML_DEPTH_MAX]; /* of the way before each open element */
    unsigned depth;
    const char *text; /* behind the last tag that opened an element; NULL: one was closed since */
    bool rooted;
    const char *const *wants;
    size_t n;
    struct slice *ret;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
           (unsigned char)c >= 0x80;
}

static bool is_name(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

static void skip(struct slice *s, size_t n)
{
    *s = slice_from(*s, n);
}

static bool skip_spaces(struct slice *s)
{
    bool any = false;
    for (; s->len && is_space(*s->ptr); any = true)
        skip(s, 1);
    return any;
}

static struct slice take_name(struct slice *s)
{
    size_t n = 0;
    if (!s->len || !is_name_start(*s->ptr))
        return SLICE_NONE;
    while (n < s->len && is_name(s->ptr[n]))
        n++;
    struct slice name = slice_first(*s, n);
    skip(s, n);
    return n <= NAME_MAX_LEN ? name : SLICE_NONE;
}

/* ---- references ---- */

static bool is_character(uint32_t c)
{
    return c == 9 || c == 10 || c == 13 || (c >= 0x20 && c <= 0xD7FF) ||
           (c >= 0xE000 && c <= 0xFFFD) || (c >= 0x10000 && c <= 0x10FFFF);
}

static bool digit_of(char c, unsigned base, uint32_t *ret)
{
    if (c >= '0' && c <= '9')
        *ret = (uint32_t)(c - '0');
    else if (base == 16 && c >= 'a' && c <= 'f')
        *ret = (uint32_t)(c - 'a') + 10;
    else if (base == 16 && c >= 'A' && c <= 'F')
        *ret = (uint32_t)(c - 'A') + 10;
    else
        return false;
    return true;
}

/* between "&#" and ";" */
static bool read_number(struct slice s, uint32_t *ret)
{
    unsigned base = slice_starts(s, SLICE("x")) ? 16 : 10;
    uint32_t value = 0, digit;
    if (base == 16)
        skip(&s, 1);
    if (!s.len)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!digit_of(s.ptr[i], base, &digit))
            return false;
        value = value * base + digit;
        if (value > 0x10FFFF)
            return false;
    }
    *ret = value;
    return is_character(value);
}

/* s begins with "&"; how many bytes the reference has, 0: it is none. */
static size_t take_reference(struct slice s, uint32_t *ret)
{
    static const struct {
        struct slice text;
        char is;
    } named[] = {{{"&amp;", 5}, '&'},
                 {{"&lt;", 4}, '<'},
                 {{"&gt;", 4}, '>'},
                 {{"&quot;", 6}, '"'},
                 {{"&apos;", 6}, '\''}};
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        if (!slice_starts(s, named[i].text))
            continue;
        *ret = (unsigned char)named[i].is;
        return named[i].text.len;
    }
    ptrdiff_t end = slice_find(slice_first(s, REFERENCE_MAX), ';');
    if (end < 0 || !slice_starts(s, SLICE("&#")))
        return 0;
    struct slice number = slice_of(s.ptr + 2, (size_t)end - 2);
    return end > 2 && read_number(number, ret) ? (size_t)end + 1 : 0;
}

/* Behind "<!--"; false: it does not end, or holds "--". */
static bool skip_comment(struct slice *s)
{
    ptrdiff_t end = slice_search(*s, SLICE("--"));
    if (end < 0 || !slice_starts(slice_from(*s, (size_t)end), SLICE("-->")))
        return false;
    skip(s, (size_t)end + 3);
    return true;
}

/* ---- tags ---- */

/* In front of the first attribute, or of the tag's end. */
static bool skip_attributes(struct slice *s)
{
    while (skip_spaces(s) && s->len && is_name_start(*s->ptr)) {
        if (!take_name(s).ptr)
            return false;
        skip_spaces(s);
        if (!slice_starts(*s, SLICE("=")))
            return false;
        skip(s, 1);
        skip_spaces(s);
        char quote = s->len ? *s->ptr : 0;
        if (quote != '"' && quote != '\'')
            return false;
        skip(s, 1);
        ptrdiff_t end = slice_find(*s, quote);
        if (end < 0 || slice_find(slice_first(*s, (size_t)end), '<') >= 0)
            return false;
        skip(s, (size_t)end + 1);
    }
    return true;
}

static enum err note_text(struct xml_pass *x, struct slice text)
{
    struct slice way = slice_of(x->way, x->way_len);
    for (size_t i = 0; i < x->n; i++) {
        if (!slice_eq(way, slice_str(x->wants[i])))
            continue;
        if (!text.ptr || x->ret[i].ptr)
            return ERR_INVALID;
        x->ret[i] = text;
    }
    return ERR_OK;
}

static enum err open_element(struct xml_pass *x, struct slice name)
{
    bool first = x->depth == 0;
    if ((first && x->rooted) || x->depth == XML_DEPTH_MAX ||
        x->way_len + 1 + name.len > sizeof(x->way))
        return ERR_INVALID;
    x->rooted = true;
    x->ends[x->depth++] = x->way_len;
    if (!first)
        x->way[x->way_len++] = '/';
    slice_put(x->way + x->way_len, name);
    x->way_len += name.len;
    return ERR_OK;
}

static void close_element(struct xml_pass *x)
{
    x->way_len = x->ends[--x->depth];
    x->text = NULL;
}

/* Behind "</"; `at` is where the tag begins. */
static enum err end_tag(struct xml_pass *x, const char *at)
{
    struct slice name = take_name(&x->rest);
    skip_spaces(&x->rest);
    if (!name.ptr || !x->depth || !slice_starts(x->rest, SLICE(">")))
        return ERR_INVALID;
    skip(&x->rest, 1);
    size_t from = x->ends[x->depth - 1] + (x->depth > 1);
    if (!slice_eq(name, slice_of(x->way + from, x->way_len - from)))
        return ERR_INVALID;
    struct slice text = x->text ? slice_of(x->text, (size_t)(at - x->text)) : SLICE_NONE;
    enum err e = note_text(x, text);
    close_element(x);
    return e;
}

/* Behind "<". */
static enum err start_tag(struct xml_pass *x)
{
    struct slice name = take_name(&x->rest);
    enum err e = name.ptr && skip_attributes(&x->rest) ? open_element(x, name) : ERR_INVALID;
    if (e)
        return e;
    if (slice_starts(x->rest, SLICE("/>"))) {
        e = note_text(x, slice_of(x->rest.ptr, 0));
        skip(&x->rest, 2);
        close_element(x);
        return e;
    }
    if (!slice_starts(x->rest, SLICE(">")))
        return ERR_INVALID;
    skip(&x->rest, 1);
    x->text = x->rest.ptr;
    return ERR_OK;
}

static bool is_utf8(struct slice s)
{
    while (s.len) {
        size_t n = utf8_char((const unsigned char *)s.ptr, s.len);
        if (!n)
            return false;
        skip(&s, n);
    }
    return true;
}

static enum err take_tag(struct xml_pass *x)
{
    const char *at = x->rest.ptr;
    if (slice_starts(x->rest, SLICE("<!--"))) {
        skip(&x->rest, 4);
        return skip_comment(&x->rest) ? ERR_OK : ERR_INVALID;
    }
    if (slice_starts(x->rest, SLICE("</"))) {
        skip(&x->rest, 2);
        return end_tag(x, at);
    }
    skip(&x->rest, 1);
    return start_tag(x);
}

static enum err take_text(struct xml_pass *x)
{
    uint32_t c;
    if (!x->depth)
        return skip_spaces(&x->rest) ? ERR_OK : ERR_INVALID;
    size_t n = *x->rest.ptr == '&' ? take_reference(x->rest, &c) : 1;
    bool control = (unsigned char)*x->rest.ptr < 0x20 && !is_space(*x->rest.ptr);
    n = control ? 0 : n;
    skip(&x->rest, n);
    return n ? ERR_OK : ERR_INVALID;
}

/* "<?xml …?>", which may stand at the very front. */
static bool skip_declaration(struct slice *s)
{
    if (!slice_starts(*s, SLICE("<?xml")))
        return true;
    skip(s, 5);
    if (!skip_attributes(s) || !slice_starts(*s, SLICE("?>")))
        return false;
    skip(s, 2);
    return true;
}

enum err xml_texts(struct slice document, const char *const *wants, size_t n, struct slice *ret)
{
    struct xml_pass x = {.rest = document, .wants = wants, .n = n, .ret = ret};
    for (size_t i = 0; i < n; i++)
        ret[i] = SLICE_NONE;
    enum err e = is_utf8(document) && skip_declaration(&x.rest) ? ERR_OK : ERR_INVALID;
    while (!e && x.rest.len)
        e = *x.rest.ptr == '<' ? take_tag(&x) : take_text(&x);
    return !e && (x.depth || !x.rooted) ? ERR_INVALID : e;
}

/* ---- the text that is meant ---- */

enum err xml_plain(struct slice raw, char *out, size_t cap, struct slice *ret)
{
    char *to = out;
    if (cap < raw.len)
        return ERR_TOO_BIG;
    while (raw.len) {
        uint32_t c;
        size_t n;
        if (slice_starts(raw, SLICE("<!--"))) {
            skip(&raw, 4);
            if (!skip_comment(&raw))
                return ERR_INVALID;
        } else if (*raw.ptr == '&') {
            n = take_reference(raw, &c);
            if (!n)
                return ERR_INVALID;
            char bytes[4];
            to = slice_put(to, slice_of(bytes, utf8_put(c, bytes))); /* shorter than before */
            skip(&raw, n);
        } else if (*raw.ptr == '<') {
            return ERR_INVALID;
        } else {
            *to++ = *raw.ptr;
            skip(&raw, 1);
        }
    }
    *ret = slice_of(out, (size_t)(to - out));
    return ERR_OK;
}
