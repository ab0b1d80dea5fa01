/*
 * noun_rules — what names, paths and patterns may look like; the rows that several nouns share.
 */
#include <ctype.h>

#include "controlplane/domain/noun.h"

/* C1, and what changes or hides how the text around it is read: zero width, direction marks,
 * embeddings, isolates, the byte order mark. The text is UTF-8, as the JSON it came in. */
static bool is_deceptive(const unsigned char *p, size_t left)
{
    if (left >= 2 && p[0] == 0xc2)
        return p[1] >= 0x80 && p[1] <= 0x9f;
    if (left < 3)
        return false;
    unsigned at = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return (p[0] & 0xf0) == 0xe0 &&
           ((at >= 0x200b && at <= 0x200f) || (at >= 0x202a && at <= 0x202e) ||
            (at >= 0x2066 && at <= 0x2069) || at == 0xfeff);
}

const char *noun_label_rule(struct slice text)
{
    if (text.len < 1 || text.len > 128)
        return "must have 1 to 128 bytes";
    if (text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' ')
        return "must not begin or end with a space";
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f ||
            is_deceptive((const unsigned char *)text.ptr + i, text.len - i))
            return "must not contain control or invisible characters";
    return NULL;
}

const char *noun_slug_rule(struct slice text)
{
    static const char wrong[] = "must match [a-z0-9][a-z0-9-]{0,30}";
    if (text.len < 1 || text.len > 31 || text.ptr[0] == '-')
        return wrong;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return wrong;
    }
    return NULL;
}

/* Framing and hop-by-hop fields (RFC 9110 section 7.6.1), fields that say how a message is read or
 * responded to, and fields that the gateway sets itself: an injected value would contradict them. A
 * name that ends with "-" stands for every name that begins so. */
static const char *const reserved_headers[] = {
    "host",         "connection",   "transfer-encoding",
    "te",           "trailer",      "upgrade",
    "keep-alive",   "expect",       "via",
    "forwarded",    "traceparent",  "tracestate",
    "accept",       "accept-",      "content-",
    "proxy-",       "mcp-",         "last-event-id",
    "x-forwarded-", "x-gatehouse-", "sec-websocket-",
    "date",         "range",        "if-",
};

static bool is_reserved(struct slice name, const char *reserved)
{
    size_t len = strlen(reserved);
    if (reserved[len - 1] != '-')
        return slice_ieq(name, slice_str(reserved));
    return name.len >= len && slice_ieq(slice_first(name, len), slice_str(reserved));
}

const char *noun_header_rule(struct slice text)
{
    if (text.len < 1 || text.len > 64)
        return "must be a header name of 1 to 64 bytes";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (!isalnum(c) && strchr("!#$%&'*+-.^_`|~", c) == NULL)
            return "must be a header name (RFC 9110 token)";
    }
    for (size_t i = 0; i < ARRAY_LEN(reserved_headers); i++)
        if (is_reserved(text, reserved_headers[i]))
            return "is a header that the gateway itself sets";
    return NULL;
}

static const char *segment_rule(struct slice s, bool last)
{
    if (slice_eq(s, SLICE("*")))
        return NULL;
    if (slice_eq(s, SLICE("**")))
        return last ? NULL : "\"**\" may only be the last segment";
    if (s.len == 0 || slice_eq(s, SLICE(".")) || slice_eq(s, SLICE("..")))
        return "must not have empty or dot segments";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= 0x20 || c >= 0x7f || strchr("*?#;\\%", c) != NULL)
            return "segments are literal text, \"*\" for one of any name, or \"**\" for the rest";
    }
    return NULL;
}

const char *noun_path_rule(struct slice text)
{
    if (text.len < 1 || text.len > 512 || text.ptr[0] != '/')
        return "must begin with \"/\" and have at most 512 bytes";
    struct slice rest = slice_from(text, 1);
    if (rest.len == 0)
        return NULL;
    for (;;) {
        ptrdiff_t at = slice_find(rest, '/');
        struct slice one = at < 0 ? rest : slice_first(rest, (size_t)at);
        const char *wrong = segment_rule(one, at < 0);
        if (wrong != NULL || at < 0)
            return wrong;
        rest = slice_from(rest, (size_t)at + 1);
    }
}

const char *noun_model_rule(struct slice text)
{
    const char *wrong = noun_label_rule(text);
    if (wrong != NULL)
        return wrong;
    ptrdiff_t star = slice_find(text, '*');
    bool whole = text.len == 1;
    bool prefix = text.len > 2 && slice_ends(text, SLICE("/*"));
    if (star >= 0 && ((size_t)star != text.len - 1 || !(whole || prefix)))
        return "must be an exact name, \"prefix/*\" or \"*\"";
    return NULL;
}

const char *noun_exact_rule(struct slice text)
{
    return slice_find(text, '*') >= 0 ? "must not have a star" : noun_label_rule(text);
}

const char *noun_tool_rule(struct slice text)
{
    if (slice_find(text, '*') >= 0 && text.len != 1)
        return "must be a tool's exact name, or \"*\" for all of them";
    return noun_label_rule(text);
}

/* no control characters, and none that hide or turn round the text beside them */
#define HIDDEN "\\u0000-\\u001f\\u007f-\\u009f\\u200b-\\u200f\\u202a-\\u202e\\u2066-\\u2069\\ufeff"
#define LABEL(but) "[^ " HIDDEN but "]([^" HIDDEN but "]*[^ " HIDDEN but "])?"
/* of a path: literal characters, and a segment that is not "." or ".." */
#define LITERAL "!\"$&'()+,0-9:<=>@A-Z[\\]^_`a-z{|}~\\x2d"
#define SEGMENT "(\\*|\\.{0,2}[" LITERAL "][" LITERAL ".]*|\\.{3,}[" LITERAL ".]*)"

static const struct {
    const char *(*rule)(struct slice text);
    const char *pattern;
} patterns[] = {
    {noun_label_rule, "^" LABEL("") "$"},
    {noun_slug_rule, "^[a-z0-9][a-z0-9\\x2d]{0,30}$"},
    {noun_header_rule, "^[A-Za-z0-9!#$%&'*+.^_`|~\\x2d]{1,64}$"},
    {noun_path_rule, "^/(" SEGMENT "(/" SEGMENT ")*(/\\*\\*)?|\\*\\*)?$"},
    {noun_model_rule, "^(\\*|" LABEL("*") "|[^ " HIDDEN "*][^" HIDDEN "*]*/\\*)$"},
    {noun_exact_rule, "^" LABEL("*") "$"},
    {noun_tool_rule, "^(\\*|" LABEL("*") ")$"},
};

const char *noun_rule_pattern(const char *(*rule)(struct slice text))
{
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
        if (patterns[i].rule == rule)
            return patterns[i].pattern;
    return NULL;
}

static const char *const disconnect_words[] = {"reserve", "stop", NULL};
static const char *const period_words[] = {"total", "hour", "day", "week", "month", "year", NULL};

const struct field noun_budget_fields[] = {
    {.name = "limit_usd",
     .type = FIELD_MONEY,
     .flags = FIELD_REQUIRED,
     .help = "what may be spent in one period"},
    {.name = "period",
     .type = FIELD_WORD,
     .words = period_words,
     .default_json = "\"month\"",
     .help = "calendar window in UTC"},
    {.name = "on_disconnect",
     .type = FIELD_WORD,
     .words = disconnect_words,
     .help = "absent or \"reserve\": money is leased ahead, so that data planes go on while the "
             "control plane "
             "cannot be reached; \"stop\": they go on for some seconds"},
    FIELD_END,
};

const struct field noun_limits_fields[] = {
    {.name = "rpm", .type = FIELD_INT, .min = 1, .max = 100000000, .help = "requests a minute"},
    {.name = "tpm",
     .type = FIELD_INT,
     .flags = FIELD_NOT_ENFORCED,
     .min = 1,
     .max = 4000000000,
     .help = "tokens a minute"},
    {.name = "parallel",
     .type = FIELD_INT,
     .min = 1,
     .max = 1000000,
     .help = "calls at the same time"},
    FIELD_END,
};

static const char *const method_words[] = {"GET",    "HEAD",  "POST",    "PUT",
                                           "DELETE", "PATCH", "OPTIONS", NULL};

const struct field noun_route_fields[] = {
    {.name = "methods",
     .type = FIELD_WORD,
     .flags = FIELD_LIST | FIELD_REQUIRED,
     .words = method_words,
     .least = 1,
     .help = "HEAD follows GET"},
    {.name = "path",
     .type = FIELD_TEXT,
     .flags = FIELD_REQUIRED,
     .min = 1,
     .rule = noun_path_rule,
     .help = "\"*\" stands for one segment, \"**\" for the rest"},
    {.name = "opaque",
     .type = FIELD_BOOL,
     .help =
         "also paths with encoded slashes, empty segments or \";\", matched and passed on as sent"},
    FIELD_END,
};

const struct field noun_credential_fields[] = {
    {.name = "header",
     .type = FIELD_TEXT,
     .min = 1,
     .rule = noun_header_rule,
     .default_json = "\"authorization\"",
     .help = "the header it is sent in"},
    {.name = "secret", .type = FIELD_SECRET, .help = "the header's whole value"},
    FIELD_END,
};

#define DAY_MS 86400000

const struct field noun_timeout_fields[] = {
    {.name = "connect_ms",
     .type = FIELD_INT,
     .min = 1,
     .max = 60000,
     .help = "name, TCP and TLS; absent: 5000"},
    {.name = "first_byte_ms",
     .type = FIELD_INT,
     .min = 1,
     .max = DAY_MS,
     .help = "from the request to its response's first byte; absent: 600000"},
    {.name = "between_ms",
     .type = FIELD_INT,
     .min = 1,
     .max = DAY_MS,
     .help = "silence inside a response; absent: 120000"},
    {.name = "total_ms", .type = FIELD_INT, .min = 1, .max = DAY_MS, .help = "absent: 3600000"},
    FIELD_END,
};
