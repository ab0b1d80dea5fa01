/*
 * openai_usage — the usage object as token counts, and the words of a model found by their members.
 */
#include "dataplane/ai/provider/openai_usage.h"

#include "common/base/json_token.h"
#include "common/base/limits.h"
#include "dataplane/ai/ai_usage.h"

enum {
    HIT_USAGE,
    HIT_PROMPT,
    HIT_COMPLETION,
    HIT_CACHED,
    HIT_CACHE_WRITE,
    HIT_REASONING,
    HIT_AUDIO_INPUT,
    HIT_AUDIO_OUTPUT,
    HIT_TOTAL,
    HIT_CHOICES,
    HIT_ERROR,
    HIT_COUNT
};

static const char *const wants[HIT_COUNT] = {
    [HIT_USAGE] = "usage",
    [HIT_PROMPT] = "usage.prompt_tokens",
    [HIT_COMPLETION] = "usage.completion_tokens",
    [HIT_CACHED] = "usage.prompt_tokens_details.cached_tokens",
    [HIT_CACHE_WRITE] = "usage.prompt_tokens_details.cache_write_tokens",
    [HIT_REASONING] = "usage.completion_tokens_details.reasoning_tokens",
    [HIT_AUDIO_INPUT] = "usage.prompt_tokens_details.audio_tokens",
    [HIT_AUDIO_OUTPUT] = "usage.completion_tokens_details.audio_tokens",
    [HIT_TOTAL] = "usage.total_tokens",
    [HIT_CHOICES] = "choices",
    [HIT_ERROR] = "error",
};

/* A count, also where a language without integers wrote it: 1200.0, 1.2e3. False for what none can
 * be: negative, a fraction, more than a call can take. */
static bool read_count(const struct json_hit *h, uint64_t *ret)
{
    money nano; /* a decimal of nine places, read exactly */
    if (h->type != JSON_SCAN_NUMBER)
        return false;
    if (json_scan_u64(h, ret)) {
        if (money_parse(h->raw, &nano) || nano % MONEY_DOLLAR)
            return false;
        *ret = (uint64_t)(nano / MONEY_DOLLAR);
    }
    return *ret <= LIMIT_AI_TOKENS;
}

/* Of the parts of a count, which may be missing: what is not read is priced as the rest is. */
static uint64_t part(const struct json_hit *h)
{
    uint64_t n;
    return read_count(h, &n) ? n : 0;
}

static bool is_absent(const struct json_hit *h)
{
    return h->type == JSON_SCAN_ABSENT || h->type == JSON_SCAN_NULL;
}

static bool is_empty_array(const struct json_hit *h)
{
    if (h->type != JSON_SCAN_ARRAY)
        return false;
    for (size_t i = 1; i + 1 < h->raw.len; i++)
        if (h->raw.ptr[i] > ' ')
            return false;
    return true;
}

static struct usage_look look_at(const struct json_hit hits[HIT_COUNT])
{
    struct usage_look look = {
        .only_usage =
            hits[HIT_USAGE].type == JSON_SCAN_OBJECT && is_empty_array(&hits[HIT_CHOICES]),
        .has_error =
            hits[HIT_ERROR].type == JSON_SCAN_OBJECT || hits[HIT_ERROR].type == JSON_SCAN_STRING,
    };
    struct ai_usage u = AI_USAGE_NONE;
    u.cache_read = part(&hits[HIT_CACHED]);
    u.cache_write = part(&hits[HIT_CACHE_WRITE]);
    u.reasoning = part(&hits[HIT_REASONING]);
    u.audio_input = part(&hits[HIT_AUDIO_INPUT]);
    u.audio_output = part(&hits[HIT_AUDIO_OUTPUT]);
    if (!read_count(&hits[HIT_PROMPT], &u.prompt))
        return look;
    if (!read_count(&hits[HIT_TOTAL], &u.total))
        u.total = AI_UNSAID;
    look.has_usage = read_count(&hits[HIT_COMPLETION], &u.output);
    if (!look.has_usage)
        u.output = AI_UNSAID;
    look.has_prompt = look.has_usage || is_absent(&hits[HIT_COMPLETION]);
    if (look.has_prompt)
        ai_usage_count(&u, &look.tokens);
    return look;
}

static enum err scan_usage(struct slice json, struct usage_look *ret, struct json_hit *choices)
{
    struct json_hit hits[HIT_COUNT];
    struct json_scan_problem problem;
    enum json_type root;
    if (json_scan(json, wants, HIT_COUNT, hits, &root, &problem) || root != JSON_SCAN_OBJECT)
        return ERR_INVALID;
    *ret = look_at(hits);
    *choices = hits[HIT_CHOICES];
    return ERR_OK;
}

/* Where some services put it instead: Moonshot into the first choice, Groq under a name of its own
 * (dialects.md 1.7). */
static void look_elsewhere(struct slice json, const struct json_hit *choices,
                           struct usage_look *ret)
{
    static const char *const groq[] = {"x_groq"};
    struct json_hit inside = {0};
    struct json_scan_problem problem;
    enum json_type root;
    struct usage_look look;
    struct slice rest = choices->raw;
    bool found = choices->type == JSON_SCAN_ARRAY && json_scan_item(&rest, &inside) &&
                 inside.type == JSON_SCAN_OBJECT && !scan_usage(inside.raw, &look, &inside) &&
                 look.has_prompt;
    if (!found)
        found = slice_search(json, SLICE("\"x_groq\"")) >= 0 &&
                !json_scan(json, groq, 1, &inside, &root, &problem) &&
                inside.type == JSON_SCAN_OBJECT && !scan_usage(inside.raw, &look, &inside) &&
                look.has_prompt;
    if (!found)
        return;
    ret->has_usage = look.has_usage;
    ret->has_prompt = true;
    ret->tokens = look.tokens;
}

enum err usage_read(struct slice json, struct usage_look *ret)
{
    struct json_hit choices;
    enum err e = scan_usage(json, ret, &choices);
    if (!e && !ret->has_prompt && slice_search(json, SLICE("\"prompt_tokens\"")) >= 0)
        look_elsewhere(json, &choices, ret);
    return e;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct slice without_space_behind(struct slice s)
{
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* As many objects are looked at from behind: usage has two inside, and some servers a few beside.
 */
#define BRACES_LOOKED_AT 8

/* From the name of the last member `"usage": {` on; SLICE_NONE: not among the last objects. */
static struct slice usage_and_behind(struct slice json)
{
    const struct slice name = SLICE("\"usage\"");
    const char *brace = json.ptr + json.len;
    for (int i = 0; i < BRACES_LOOKED_AT; i++) {
        brace = memrchr(json.ptr, '{', (size_t)(brace - json.ptr));
        if (!brace)
            break;
        struct slice before = without_space_behind(slice_first(json, (size_t)(brace - json.ptr)));
        if (!slice_ends(before, SLICE(":")))
            continue;
        before = without_space_behind(slice_first(before, before.len - 1));
        if (slice_ends(before, name))
            return slice_from(json, before.len - name.len);
    }
    return SLICE_NONE;
}

/* ---- the usual form ---- */

/* A usage object as nearly every response ends with it: these members, each at most once, and whole
 * numbers. It is read without the scan, which takes a tenth of a small call's instructions for it;
 * whatever else stands there is the scan's. */
enum usual_place { IN_USAGE, IN_PROMPT_DETAILS, IN_COMPLETION_DETAILS };

static const struct usual_name {
    struct slice name;
    enum usual_place in;
    enum usual_place opens; /* IN_USAGE: it is a number */
    int hit;                /* -1: it is not wanted */
} usual_names[] = {
    {{"prompt_tokens", 13}, IN_USAGE, IN_USAGE, HIT_PROMPT},
    {{"completion_tokens", 17}, IN_USAGE, IN_USAGE, HIT_COMPLETION},
    {{"total_tokens", 12}, IN_USAGE, IN_USAGE, HIT_TOTAL},
    {{"prompt_tokens_details", 21}, IN_USAGE, IN_PROMPT_DETAILS, -1},
    {{"cached_tokens", 13}, IN_PROMPT_DETAILS, IN_USAGE, HIT_CACHED},
    {{"cache_write_tokens", 18}, IN_PROMPT_DETAILS, IN_USAGE, HIT_CACHE_WRITE},
    {{"audio_tokens", 12}, IN_PROMPT_DETAILS, IN_USAGE, HIT_AUDIO_INPUT},
    {{"completion_tokens_details", 25}, IN_USAGE, IN_COMPLETION_DETAILS, -1},
    {{"reasoning_tokens", 16}, IN_COMPLETION_DETAILS, IN_USAGE, HIT_REASONING},
    {{"audio_tokens", 12}, IN_COMPLETION_DETAILS, IN_USAGE, HIT_AUDIO_OUTPUT},
    {{"accepted_prediction_tokens", 26}, IN_COMPLETION_DETAILS, IN_USAGE, -1},
    {{"rejected_prediction_tokens", 26}, IN_COMPLETION_DETAILS, IN_USAGE, -1},
};

struct usual {
    const char *end;
    struct json_hit *hits;
    uint32_t seen; /* rows of usual_names, a bit each */
    size_t at;     /* the row behind the last one: members mostly come in the table's order */
};

/* The row of the name that p is at, with its quotes; NULL: none, or a second time. */
static const struct usual_name *usual_name(struct usual *u, const char *p, enum usual_place in)
{
    for (size_t i = 0; i < ARRAY_LEN(usual_names); i++) {
        size_t row =
            u->at + i < ARRAY_LEN(usual_names) ? u->at + i : u->at + i - ARRAY_LEN(usual_names);
        const struct usual_name *n = &usual_names[row];
        if (n->in != in || (size_t)(u->end - p) < n->name.len + 2 || p[n->name.len + 1] != '"' ||
            memcmp(p + 1, n->name.ptr, n->name.len) != 0)
            continue;
        if (u->seen & 1u << row)
            return NULL;
        u->seen |= 1u << row;
        u->at = row + 1;
        return n;
    }
    return NULL;
}

/* Behind the digits of a whole number without a sign; NULL: it is none. */
static const char *usual_number(struct usual *u, const char *p, int hit)
{
    const char *from = p;
    while (p < u->end && *p >= '0' && *p <= '9')
        p++;
    bool ends = p < u->end && (*p == ',' || *p == '}' || is_space(*p));
    if (p == from || !ends || (*from == '0' && p - from > 1))
        return NULL;
    struct slice raw = slice_of(from, (size_t)(p - from));
    if (hit >= 0)
        u->hits[hit] = (struct json_hit){.type = JSON_SCAN_NUMBER, .raw = raw, .member = raw};
    return p;
}

/* p: at the brace. Behind the object, or NULL where it has another form. */
static const char *usual_object(struct usual *u, const char *p, enum usual_place in)
{
    do {
        p = json_token_space(p + 1, u->end);
        const struct usual_name *n = p < u->end && *p == '"' ? usual_name(u, p, in) : NULL;
        if (!n)
            return NULL;
        p = json_token_space(p + n->name.len + 2, u->end);
        if (p == u->end || *p != ':')
            return NULL;
        p = json_token_space(p + 1, u->end);
        if (n->opens == IN_USAGE)
            p = usual_number(u, p, n->hit);
        else
            p = p < u->end && *p == '{' ? usual_object(u, p, n->opens) : NULL;
        p = p ? json_token_space(p, u->end) : NULL;
    } while (p && p < u->end && *p == ',');
    return p && p < u->end && *p == '}' ? p + 1 : NULL;
}

/* rest: from the name "usage" on, to the end of the response, with nothing behind the object but
 * the brace of the root. */
static bool read_usual(struct slice rest, struct json_hit hits[HIT_COUNT])
{
    struct usual u = {.end = rest.ptr + rest.len, .hits = hits};
    for (int i = 0; i < HIT_COUNT; i++)
        hits[i] = (struct json_hit){.type = JSON_SCAN_ABSENT};
    const char *brace = memchr(rest.ptr, '{', rest.len);
    const char *p = brace ? usual_object(&u, brace, IN_USAGE) : NULL;
    if (!p)
        return false;
    hits[HIT_USAGE] =
        (struct json_hit){.type = JSON_SCAN_OBJECT, .raw = slice_of(brace, (size_t)(p - brace))};
    p = json_token_space(p, u.end);
    return p < u.end && *p == '}' && json_token_space(p + 1, u.end) == u.end;
}

enum err usage_read_response(struct slice json, struct usage_look *ret)
{
    struct json_hit hits[HIT_COUNT];
    struct json_scan_problem problem;
    struct slice rest = json.len ? usage_and_behind(json) : SLICE_NONE;
    if (rest.ptr &&
        (read_usual(rest, hits) || !json_scan_rest(rest, wants, HIT_COUNT, hits, &problem))) {
        *ret = look_at(hits);
        if (ret->has_prompt)
            return ERR_OK;
    }
    return usage_read(json, ret);
}

bool openai_holds_result(struct slice response)
{
    static const char *const results[] = {"choices", "data"};
    struct json_hit hits[ARRAY_LEN(results)];
    struct json_scan_problem problem;
    enum json_type root;
    if (json_scan(response, results, ARRAY_LEN(results), hits, &root, &problem))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(results); i++)
        if (hits[i].type == JSON_SCAN_ARRAY && !is_empty_array(&hits[i]))
            return true;
    return false;
}

/* The comma behind goes with it; of a last member, the one in front. */
static struct slice with_comma(struct slice json, struct slice member)
{
    const char *from = member.ptr, *to = member.ptr + member.len;
    const char *p = to, *end = json.ptr + json.len;
    while (p < end && is_space(*p))
        p++;
    if (p < end && *p == ',') {
        for (p++; p < end && is_space(*p); p++)
            ;
        return slice_of(from, (size_t)(p - from));
    }
    for (p = from; p > json.ptr && is_space(p[-1]); p--)
        ;
    if (p > json.ptr && p[-1] == ',')
        from = p - 1;
    return slice_of(from, (size_t)(to - from));
}

/* As providers write it: the last member, so that the brace behind it is the root's. */
static bool ends_with_null(struct slice chunk, struct slice *ret)
{
    const struct slice tail = SLICE(",\"usage\":null}");
    const struct slice name = SLICE("\"usage\"");
    if (!slice_ends(chunk, tail) || chunk.ptr[0] != '{')
        return false;
    size_t at = chunk.len - tail.len;
    if (slice_search(chunk, name) != (ptrdiff_t)at + 1) /* another one stands before it */
        return false;
    *ret = slice_of(chunk.ptr + at, tail.len - 1);
    return true;
}

bool usage_find_null(struct slice chunk, struct slice *ret)
{
    if (ends_with_null(chunk, ret))
        return true;
    static const char *const want[] = {"usage"};
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    if (json_scan(chunk, want, 1, &hit, &root, &problem) || hit.type != JSON_SCAN_NULL)
        return false;
    *ret = with_comma(chunk, hit.member);
    return true;
}

/* index behind the string that begins at `at` */
static size_t string_end(struct slice s, size_t at)
{
    for (size_t i = at + 1; i < s.len; i++) {
        if (s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '"')
            return i + 1;
    }
    return s.len;
}

static bool names_a_member(struct slice s, size_t at)
{
    while (at < s.len && s.ptr[at] == ' ')
        at++;
    return at < s.len && s.ptr[at] == ':';
}

/* the members a model's words stand in, in every flavour of the dialect; those of logprobs, which
 * say the same words again, are not among them */
static bool holds_words(struct slice name)
{
    static const struct slice all[] = {
        {"content", 7},  {"reasoning_content", 17}, {"reasoning", 9},
        {"refusal", 7},  {"arguments", 9},          {"text", 4},
        {"thinking", 8},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (slice_eq(name, all[i]))
            return true;
    return false;
}

/* string values whose member, or whose array's member, holds words */
static uint64_t bytes_of_words(struct slice json)
{
    struct slice name = SLICE("");
    uint64_t bytes = 0;
    for (size_t i = 0; i < json.len; i++) {
        if (json.ptr[i] != '"')
            continue;
        size_t end = string_end(json, i);
        bool whole = end >= i + 2 && json.ptr[end - 1] == '"';
        struct slice text = slice_of(json.ptr + i + 1, end - i - 1 - whole);
        if (names_a_member(json, end))
            name = text;
        else if (holds_words(name))
            bytes += text.len;
        i = end - 1;
    }
    return bytes;
}

static uint64_t bytes_behind(struct slice json, struct slice mark)
{
    ptrdiff_t at = slice_search(json, mark);
    return at < 0 ? 0 : bytes_of_words(slice_from(json, (size_t)at));
}

uint64_t openai_words_in_chunk(struct slice chunk)
{
    return bytes_behind(chunk, SLICE("\"delta\""));
}

uint64_t openai_words_in_response(struct slice response)
{
    return bytes_behind(response, SLICE("\"choices\""));
}
