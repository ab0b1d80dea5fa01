/*
 * json_scan — the walk over a body.
 *
 * Objects on the way to a wanted member are walked by name, one call deep each; everything
 * else is skipped by a loop that keeps its open brackets in the bits of one word.
 */
#include "common/base/json_scan.h"

#include <stdio.h>

#include "common/base/json_name.h"
#include "common/base/json_token.h"
#include "common/base/limits.h"

struct scan {
    const char *start;
    const char *end;
    const char *const *wants;
    struct json_hit *hits;
    struct json_scan_problem *problem; /* NULL: not wanted */
    struct json_fault fault;
    int depth_max;
};

/* What an object is read for: the wants that begin with the way to it (a bit each), and how many
 * characters of them that way takes. Nothing has to be built before a scan. */
struct interest {
    uint32_t wants;
    size_t prefix;
};

_Static_assert(JSON_SCAN_WANTS <= 32, "wants are bits of one word");

/* Without the initial zeroing of the release flags: kilobytes that are written before they are
 * read, once for each request. */
#if defined(__clang__) || __GNUC__ >= 12
#define SCRATCH __attribute__((uninitialized))
#else
#define SCRATCH
#endif

/* ---- refusals ---- */

static const char *fail(struct scan *s, const char *at, const char *what)
{
    s->fault = (struct json_fault){at, what};
    return NULL;
}

static void fail_double(struct scan *s, struct slice raw, bool folded)
{
    struct slice shown = json_name_shown(raw);
    s->fault = (struct json_fault){raw.ptr - 1, NULL};
    if (s->problem)
        snprintf(s->problem->text, sizeof(s->problem->text), "duplicate member \"%.*s\"%s",
                 SLICE_ARG(shown), folded ? ", but for the case of its letters," : "");
}

static void fail_alike(struct scan *s, struct slice raw, const char *segment)
{
    struct slice path = slice_str(segment), wanted;
    slice_split(&path, '.', &wanted);
    struct slice shown = json_name_shown(raw);
    s->fault = (struct json_fault){raw.ptr - 1, NULL};
    if (s->problem)
        snprintf(s->problem->text, sizeof(s->problem->text),
                 "member \"%.*s\" is written differently from \"%.*s\"", SLICE_ARG(shown),
                 SLICE_ARG(wanted));
}

static void report(struct scan *s)
{
    if (!s->problem)
        return;
    s->problem->at = (size_t)(s->fault.at - s->start);
    if (s->fault.what)
        snprintf(s->problem->text, sizeof(s->problem->text), "%s", s->fault.what);
    size_t len = strlen(s->problem->text);
    snprintf(s->problem->text + len, sizeof(s->problem->text) - len, " at byte %zu",
             s->problem->at);
}

/* ---- values that are not looked into ---- */

static const char *pass_simple(struct scan *s, const char *p)
{
    switch (*p) {
    case '"':
        return json_token_string(p, s->end, &s->fault);
    case 't':
    case 'f':
    case 'n':
        return json_token_word(p, s->end, &s->fault);
    default:
        return json_token_number(p, s->end, &s->fault);
    }
}

struct member_name {
    struct slice raw; /* as it stands, without its quotes */
    bool plain;       /* ASCII and nothing escaped: raw is the name, as nearly always */
};

/* a name, its colon and the space around it: returns where the value starts */
static const char *pass_name(struct scan *s, const char *p, struct member_name *ret)
{
    if (p == s->end || *p != '"')
        return fail(s, p, "a member name was expected");
    const char *stop = json_token_plain(p + 1, s->end);
    ret->plain = stop < s->end && *stop == '"';
    const char *behind = ret->plain ? stop + 1 : json_token_string_on(p, stop, s->end, &s->fault);
    if (!behind)
        return NULL;
    ret->raw = slice_of(p + 1, (size_t)(behind - p) - 2);
    p = json_token_space(behind, s->end);
    if (p == s->end || *p != ':')
        return fail(s, p, "a colon was expected");
    return json_token_space(p + 1, s->end);
}

#define WORD_BITS 64
#define DEPTH_MOST                                                                                 \
    (LIMIT_JSON_DEPTH > LIMIT_JSON_DEPTH_RESPONSE ? LIMIT_JSON_DEPTH : LIMIT_JSON_DEPTH_RESPONSE)

struct brackets {
    uint64_t objects; /* bit i: the bracket i levels further out is a brace */
    int level;
    int left;                               /* how many may still be opened */
    uint64_t outer[DEPTH_MOST / WORD_BITS]; /* full words, of levels further out */
};

static void brackets_init(struct brackets *b, int left)
{
    b->objects = 0;
    b->level = 0;
    b->left = left;
}

static void brackets_push(struct brackets *b, bool object)
{
    if (b->level && b->level % WORD_BITS == 0)
        b->outer[b->level / WORD_BITS - 1] = b->objects;
    b->objects = b->objects << 1 | object;
    b->level++;
    b->left--;
}

static void brackets_pop(struct brackets *b)
{
    b->objects >>= 1;
    b->level--;
    b->left++;
    if (b->level && b->level % WORD_BITS == 0)
        b->objects = b->outer[b->level / WORD_BITS - 1];
}

/* Behind an opening bracket: the first thing inside, or behind the bracket where it is empty. */
static const char *enter(struct scan *s, const char *p, struct brackets *b, bool *closed)
{
    bool object = *p == '{';
    if (b->left == 0)
        return fail(s, p, "deeper than allowed");
    p = json_token_space(p + 1, s->end);
    *closed = p < s->end && *p == (object ? '}' : ']');
    if (*closed)
        return p + 1;
    brackets_push(b, object);
    return p;
}

/* Behind a value inside brackets: behind the comma, or behind the closing bracket. */
static const char *leave(struct scan *s, const char *p, struct brackets *b, bool *closed)
{
    bool object = b->objects & 1;
    p = json_token_space(p, s->end);
    *closed = p < s->end && *p == (object ? '}' : ']');
    if (*closed) {
        brackets_pop(b);
        return p + 1;
    }
    if (p == s->end || *p != ',')
        return fail(s, p, object ? "a comma or } was expected" : "a comma or ] was expected");
    return json_token_space(p + 1, s->end);
}

static const char *pass_brackets(struct scan *s, const char *p, int depth)
{
    SCRATCH struct brackets b;
    brackets_init(&b, s->depth_max - depth);
    struct member_name name;
    for (;;) {
        bool complete = true;
        if (b.objects & 1)
            p = pass_name(s, p, &name);
        if (!p)
            return NULL;
        if (p == s->end)
            return fail(s, p, "a value was expected");
        p = *p == '{' || *p == '[' ? enter(s, p, &b, &complete) : pass_simple(s, p);
        while (p && complete && b.level)
            p = leave(s, p, &b, &complete);
        if (!p || (complete && b.level == 0))
            return p;
    }
}

static const char *pass_value(struct scan *s, const char *p, int depth)
{
    if (p < s->end && *p != '{' && *p != '[')
        return pass_simple(s, p);
    return pass_brackets(s, p, depth);
}

/* ---- objects on the way to a wanted member ---- */

static enum json_type type_of(char first)
{
    switch (first) {
    case '{':
        return JSON_SCAN_OBJECT;
    case '[':
        return JSON_SCAN_ARRAY;
    case '"':
        return JSON_SCAN_STRING;
    case 't':
        return JSON_SCAN_TRUE;
    case 'f':
        return JSON_SCAN_FALSE;
    case 'n':
        return JSON_SCAN_NULL;
    default:
        return JSON_SCAN_NUMBER;
    }
}

/* Wants by the low five bits of their next letter, the same in either case: of fifteen wants one
 * or two are left to compare with a name. */
struct shelf {
    struct interest in;
    uint32_t by_letter[32];
};

static void shelf_init(struct shelf *shelf, const struct scan *s, struct interest in)
{
    shelf->in = in;
    memset(shelf->by_letter, 0, sizeof(shelf->by_letter));
    for (uint32_t left = in.wants; left; left &= left - 1) {
        int i = __builtin_ctz(left);
        shelf->by_letter[s->wants[i][in.prefix] & 31] |= 1u << i;
    }
}

static uint32_t candidates(const struct shelf *shelf, struct slice name)
{
    bool plain = name.len && (signed char)name.ptr[0] >= 0;
    return plain ? shelf->by_letter[name.ptr[0] & 31] : shelf->in.wants;
}

/* Of a plain name: no escape and so no NUL is in it, and it ends a comparison before the want does.
 * Most candidates differ in their second letter, and most others are equal. A dot inside a name
 * does not divide a path. */
static enum json_likeness compare_plain(struct slice name, const char *segment)
{
    if (name.len > 1 && segment[0] && ((segment[1] ^ name.ptr[1]) & ~0x20))
        return JSON_NAME_OTHER;
    if (strncmp(segment, name.ptr, name.len) != 0)
        return json_name_compare(name, true, slice_str(segment));
    bool ends = segment[name.len] == '\0' || segment[name.len] == '.';
    return ends && slice_find(name, '.') < 0 ? JSON_NAME_EQUAL : JSON_NAME_OTHER;
}

static enum json_likeness compare(struct slice name, const struct member_name *m,
                                  const char *segment)
{
    return m->plain ? compare_plain(name, segment)
                    : json_name_compare(name, json_name_is_ascii(name), slice_str(segment));
}

/* For a member's name: the wants below it, and the one it is (NULL: none). False where it is
 * refused. */
static bool choose(struct scan *s, const struct shelf *shelf, const struct member_name *m,
                   struct slice name, struct interest *below, struct json_hit **ret)
{
    *below = (struct interest){0, shelf->in.prefix + name.len + 1};
    *ret = NULL;
    uint32_t left = candidates(shelf, name);
    for (; left; left &= left - 1) {
        int i = __builtin_ctz(left);
        const char *segment = s->wants[i] + shelf->in.prefix;
        enum json_likeness like = compare(name, m, segment);
        if (like == JSON_NAME_ALIKE) {
            fail_alike(s, m->raw, segment);
            return false;
        }
        if (like == JSON_NAME_OTHER)
            continue;
        if (segment[name.len]) {
            below->wants |= 1u << i;
        } else {
            MUST(!*ret); /* a path given twice would leave one of its hits absent */
            *ret = &s->hits[i];
        }
    }
    return true;
}

static bool meet_name(struct scan *s, struct json_names *names, const struct shelf *shelf,
                      const struct member_name *m, struct interest *below, struct json_hit **ret)
{
    SCRATCH char text[LIMIT_JSON_NAME];
    const struct slice raw = m->raw;
    if (raw.len > LIMIT_JSON_NAME) {
        fail(s, raw.ptr - 1, "a member name is too long");
        return false;
    }
    if (!m->plain && !json_token_is_clear(raw)) {
        fail(s, raw.ptr - 1, "a member name holds a NUL or half of a surrogate pair");
        return false;
    }
    struct slice name = m->plain ? raw : json_name_read(raw, text);
    if (!choose(s, shelf, m, name, below, ret))
        return false;
    enum err e = json_names_add(names, raw, name, m->plain);
    if (e == ERR_EXISTS || e == ERR_CONFLICT)
        fail_double(s, raw, e == ERR_CONFLICT);
    else if (e)
        fail(s, raw.ptr - 1, "an object has too many members");
    return e == ERR_OK;
}

static const char *walk_object(struct scan *s, const char *p, struct interest in, int depth);

static const char *walk_member(struct scan *s, const char *p, struct json_names *names,
                               const struct shelf *shelf, int depth)
{
    const char *start = p;
    struct member_name name;
    struct interest below;
    struct json_hit *hit;
    p = pass_name(s, p, &name);
    if (!p || !meet_name(s, names, shelf, &name, &below, &hit))
        return NULL;
    if (p == s->end)
        return fail(s, p, "a value was expected");
    const char *value = p;
    bool inner = below.wants && *p == '{';
    p = inner ? walk_object(s, p, below, depth) : pass_value(s, p, depth);
    if (p && hit)
        *hit = (struct json_hit){.type = type_of(*value),
                                 .raw = slice_of(value, (size_t)(p - value)),
                                 .member = slice_of(start, (size_t)(p - start))};
    return p;
}

/* b: this object and its brackets around it; p: its first member, or another */
static const char *walk_members(struct scan *s, const char *p, struct interest in,
                                struct brackets *b, int depth)
{
    SCRATCH struct json_names names;
    SCRATCH struct shelf shelf;
    json_names_init(&names, s->start);
    shelf_init(&shelf, s, in);
    bool closed = false;
    while (p && !closed) {
        p = walk_member(s, p, &names, &shelf, depth);
        if (p)
            p = leave(s, p, b, &closed);
    }
    return p;
}

/* depth: brackets open around this one */
static const char *walk_object(struct scan *s, const char *p, struct interest in, int depth)
{
    SCRATCH struct brackets b;
    brackets_init(&b, s->depth_max - depth);
    bool closed;
    p = enter(s, p, &b, &closed);
    return p && !closed ? walk_members(s, p, in, &b, depth + 1) : p;
}

static void begin(struct scan *s, struct slice body, const char *const *wants, size_t n,
                  struct json_hit *hits, struct json_scan_problem *problem)
{
    s->depth_max = LIMIT_JSON_DEPTH;
    s->start = body.ptr ? body.ptr : "";
    s->end = s->start + body.len;
    s->wants = wants;
    s->hits = hits;
    s->problem = problem;
    s->fault = (struct json_fault){s->start, NULL};
    MUST(n <= JSON_SCAN_WANTS && body.len < UINT32_MAX);
    for (size_t i = 0; i < n; i++)
        hits[i] = (struct json_hit){.type = JSON_SCAN_ABSENT};
}

static struct interest interest_in(size_t n)
{
    return (struct interest){n == 32 ? UINT32_MAX : (1u << n) - 1, 0};
}

/* p: behind the value; NULL: it was refused */
static enum err end(struct scan *s, const char *p)
{
    if (p) {
        p = json_token_space(p, s->end);
        if (p != s->end)
            p = fail(s, p, "something stands behind the value");
    }
    if (p)
        return ERR_OK;
    report(s);
    return ERR_INVALID;
}

static enum err scan_whole(struct scan *s, size_t n, enum json_type *root)
{
    const char *value = json_token_space(s->start, s->end), *p;
    if (value == s->end)
        p = fail(s, value, "a value was expected");
    else if (n && *value == '{')
        p = walk_object(s, value, interest_in(n), 0);
    else
        p = pass_value(s, value, 0);
    enum err e = end(s, p);
    if (!e)
        *root = type_of(*value);
    return e;
}

enum err json_scan(struct slice body, const char *const *wants, size_t n, struct json_hit *hits,
                   enum json_type *root, struct json_scan_problem *problem)
{
    SCRATCH struct scan s;
    begin(&s, body, wants, n, hits, problem);
    return scan_whole(&s, n, root);
}

enum err json_scan_response(struct slice body, const char *const *wants, size_t n,
                            struct json_hit *hits, enum json_type *root,
                            struct json_scan_problem *problem)
{
    SCRATCH struct scan s;
    begin(&s, body, wants, n, hits, problem);
    s.depth_max = LIMIT_JSON_DEPTH_RESPONSE;
    return scan_whole(&s, n, root);
}

enum err json_scan_rest(struct slice rest, const char *const *wants, size_t n,
                        struct json_hit *hits, struct json_scan_problem *problem)
{
    SCRATCH struct scan s;
    begin(&s, rest, wants, n, hits, problem);
    SCRATCH struct brackets root;
    brackets_init(&root, s.depth_max);
    brackets_push(&root, true);
    return end(&s, walk_members(&s, s.start, interest_in(n), &root, 1));
}

/* ---- reading hits ---- */

enum err json_scan_text(const struct json_hit *hit, char *out, size_t cap, struct slice *ret)
{
    if (hit->type != JSON_SCAN_STRING)
        return ERR_INVALID;
    struct slice inside = slice_of(hit->raw.ptr + 1, hit->raw.len - 2);
    if (inside.len > cap)
        return ERR_TOO_BIG;
    if (!json_token_is_clear(inside))
        return ERR_PROTOCOL;
    *ret = slice_of(out, json_token_unescape(inside, out));
    return ERR_OK;
}

enum err json_scan_u64(const struct json_hit *hit, uint64_t *ret)
{
    return hit->type == JSON_SCAN_NUMBER ? slice_u64(hit->raw, ret) : ERR_INVALID;
}

bool json_scan_member(struct slice *rest, struct slice *name, struct json_hit *ret)
{
    /* At the start there is the brace, later the comma behind the member before. */
    const char *end = rest->ptr + rest->len;
    const char *p = json_token_space(rest->ptr, end);
    if (p == end || (*p != '{' && *p != ','))
        return false;
    p = json_token_space(p + 1, end);
    if (p == end || *p == '}')
        return false;
    SCRATCH struct scan s;
    SCRATCH struct member_name found;
    s.start = p;
    s.end = end;
    s.problem = NULL;
    s.depth_max = DEPTH_MOST;
    const char *value = pass_name(&s, p, &found);
    MUST(value);
    const char *behind = pass_value(&s, value, 0);
    MUST(behind);
    *name = found.raw;
    *ret = (struct json_hit){.type = type_of(*value),
                             .raw = slice_of(value, (size_t)(behind - value)),
                             .member = slice_of(p, (size_t)(behind - p))};
    *rest = slice_of(behind, (size_t)(end - behind));
    return true;
}

bool json_scan_item(struct slice *rest, struct json_hit *ret)
{
    /* At the start there is the bracket, later the comma behind the item before. */
    const char *end = rest->ptr + rest->len;
    const char *p = json_token_space(rest->ptr, end);
    if (p == end || (*p != '[' && *p != ','))
        return false;
    p = json_token_space(p + 1, end);
    if (p == end || *p == ']')
        return false;
    SCRATCH struct scan s;
    s.start = p;
    s.end = end;
    s.problem = NULL;
    s.depth_max = DEPTH_MOST;
    const char *behind = pass_value(&s, p, 0);
    MUST(behind);
    struct slice raw = slice_of(p, (size_t)(behind - p));
    *ret = (struct json_hit){.type = type_of(*p), .raw = raw, .member = raw};
    *rest = slice_of(behind, (size_t)(end - behind));
    return true;
}
