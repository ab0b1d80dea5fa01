/*
 * openai — OpenAI, and the many services that speak its protocol: how a request is written to them,
 * what their errors say, and what a chunk or a response says without being decoded. Then the usage
 * object as token counts, and the words of a model found by their members.
 */
#include "dataplane/ai/provider/openai.h"

#include "common/base/json_token.h"
#include "common/base/limits.h"
#include "dataplane/ai/ai_usage.h"
#include "dataplane/ai/dialect/openai_body.h"
#include "dataplane/ai/dialect/openai_stored.h"
#include "dataplane/ai/provider/openai_request.h"
#include "dataplane/ai/provider/openai_send.h"

/* what a client may tell the provider; everything else stays here */
static const struct slice telling[] = {{"openai-beta", 11}};

bool openai_speaks(const struct ai_endpoint *e)
{
    return e->dialect == &dialect_openai_chat || e->dialect == &dialect_openai_embeddings;
}

bool openai_serves(const struct ai_endpoint *e)
{
    return e->kind == AI_CHAT || e->kind == AI_EMBEDDINGS;
}

static struct slice path_of(enum ai_kind kind)
{
    return kind == AI_CHAT ? SLICE("/chat/completions") : SLICE("/embeddings");
}

/* Built from nothing: no header of the client passes but those listed. */
static void add_headers(struct ai_outgoing *o)
{
    ai_outgoing_add_own(o);
    for (size_t i = 0; i < ARRAY_LEN(telling); i++) {
        struct slice value = http_head_find(o->client_head, telling[i]);
        if (value.len)
            ai_outgoing_add(o, telling[i], value);
    }
}

static bool speaks_azure(const struct policy_provider *p)
{
    return slice_eq(p->dialect, SLICE("azure"));
}

/* Also one that was registered as OpenAI, with all of its path. */
static bool is_azure(const struct policy_provider *p)
{
    return speaks_azure(p) || slice_ends(p->url.host, SLICE(".openai.azure.com")) ||
           slice_ends(p->url.host, SLICE(".cognitiveservices.azure.com"));
}

/* ---- a client's own body, for services that are stricter than OpenAI ---- */

#define DEVELOPER "\"developer\""

/* Where messages have the role, in their order; NULL behind the last. */
static const char **find_developers(const struct ai_outgoing *o)
{
    static const char *const wants[] = {"role"};
    struct slice messages = o->request->hits[OPENAI_MESSAGES].raw;
    const char **at = arena_alloc(o->arena, (messages.len / sizeof(DEVELOPER) + 1) * sizeof(*at));
    struct json_hit item, role;
    struct json_scan_problem problem;
    enum json_type root;
    size_t n = 0;
    while (at && json_scan_item(&messages, &item))
        if (!json_scan(item.raw, wants, 1, &role, &root, &problem) &&
            slice_eq(role.raw, SLICE(DEVELOPER)))
            at[n++] = role.raw.ptr;
    if (at)
        at[n] = NULL;
    return at;
}

/* They become the system's, which is the older word for them (dialects.md 2.10, 24). The pieces may
 * lie in o->translated. */
static enum err rename_developers(struct ai_outgoing *o)
{
    const char **at = find_developers(o);
    size_t len = 0;
    for (size_t i = 0; i < AI_REQUEST_PIECES; i++)
        len += o->pieces[i].len;
    char *out = at ? arena_alloc(o->arena, len) : NULL, *to = out;
    if (!out)
        return ERR_NOMEM;
    for (size_t i = 0; i < AI_REQUEST_PIECES; i++) {
        struct slice rest = o->pieces[i];
        while (rest.len && *at && *at >= rest.ptr && *at < rest.ptr + rest.len) {
            size_t before = (size_t)(*at++ - rest.ptr);
            to = slice_put(slice_put(to, slice_first(rest, before)), SLICE("\"system\""));
            rest = slice_from(rest, before + sizeof(DEVELOPER) - 1);
        }
        to = slice_put(to, rest);
    }
    memset(o->pieces, 0, sizeof(o->pieces));
    o->pieces[0] = slice_of(out, (size_t)(to - out));
    return ERR_OK;
}

static enum err splice(struct ai_outgoing *o, const struct openai_service *s)
{
    const struct ai_dialect *d = o->endpoint->dialect;
    if (!d->splice)
        return ai_outgoing_refuse(o, NULL, SLICE("a request in this dialect"));
    o->changes.no_usage_option = s && !(s->takes & TAKES_USAGE);
    enum err e = d->splice(o->request, o->body, &o->changes, o->arena, o->pieces);
    bool strict = s && d == &dialect_openai_chat && !(s->takes & TAKES_DEVELOPER);
    if (e || !strict || slice_search(o->body, SLICE(DEVELOPER)) < 0)
        return e;
    return rename_developers(o);
}

enum err openai_build_body(struct ai_outgoing *o, const struct openai_service *s)
{
    o->changes.limit_name = s ? s->limit_name : NULL;
    if (o->chat && o->endpoint->kind == AI_EMBEDDINGS)
        return openai_write_embeddings(o);
    return o->chat ? openai_write_body(o, s) : splice(o, s);
}

enum err openai_path(struct ai_outgoing *o, struct slice rest)
{
    return speaks_azure(o->target) ? azure_path(o, rest) : ai_outgoing_path(o, rest);
}

enum err openai_sign(struct ai_outgoing *o)
{
    ai_outgoing_add(o, SLICE("content-type"), SLICE("application/json"));
    ai_outgoing_add(o, SLICE("accept"),
                    o->request->stream ? SLICE("text/event-stream") : SLICE("application/json"));
    return openai_sign_bare(o);
}

static enum err authorize(struct ai_outgoing *o)
{
    if (speaks_azure(o->target))
        return azure_sign(o);
    if (is_azure(o->target))
        return ai_outgoing_sign(o, SLICE("api-key"), SLICE(""));
    return ai_outgoing_sign(o, SLICE("authorization"), SLICE("Bearer "));
}

enum err openai_sign_bare(struct ai_outgoing *o)
{
    add_headers(o);
    return authorize(o);
}

/* Files of a chat are named as the account knows them; another's is unknown. The body is read
 * again, as places in it move. */
static enum err unmark_files(struct ai_outgoing *o)
{
    const struct json_hit *messages = &o->request->hits[OPENAI_MESSAGES];
    const char *end = o->body.ptr + o->body.len;
    const char *behind = messages->raw.ptr + messages->raw.len;
    struct openai_unmarking u = {
        .marker = o->marker, .account = &o->maker, .arena = o->arena, .out = o->translated};
    struct slice detail;
    struct ai_request *moved = arena_zalloc(o->arena, sizeof(*moved));
    if (!moved)
        return ERR_NOMEM;
    buf_clear(u.out);
    enum err e =
        buf_append(u.out, slice_of(o->body.ptr, (size_t)(messages->raw.ptr - o->body.ptr)));
    if (!e)
        e = openai_unmark_messages(&u, messages->raw);
    if (e == ERR_NOT_FOUND)
        return ai_outgoing_refuse(o, u.unknown, SLICE("there is no such file of yours"));
    if (!e)
        e = buf_append(u.out, slice_of(behind, (size_t)(end - behind)));
    const struct ai_incoming in = {.body = buf_slice(u.out), .arena = o->arena};
    if (!e)
        e = openai_read_chat(&in, moved, &detail);
    if (e)
        return e;
    moved->prompt = o->request->prompt;
    o->request = moved;
    o->body = in.body;
    return ERR_OK;
}

static enum err build(struct ai_outgoing *o)
{
    bool names_files = o->request->prompt.files && !o->chat;
    if (names_files && o->endpoint->dialect == &dialect_openai_chat) {
        enum err unread = unmark_files(o);
        if (unread)
            return unread;
    }
    /* where the service makes a difference */
    bool differs = o->chat || o->changes.output_limit || o->target->quirks.len;
    enum err e = openai_path(o, path_of(o->endpoint->kind));
    if (!e)
        e = openai_build_body(o, is_azure(o->target) ? &openai_service_azure
                                 : differs           ? openai_service_of(o->target)
                                                     : NULL);
    return e ? e : openai_sign(o);
}

struct ai_usage openai_usage_of(const struct usage_look *look)
{
    struct ai_usage u = AI_USAGE_NONE;
    if (!look->has_prompt)
        return u;
    u.prompt = look->tokens.input;
    u.cache_read = look->tokens.cache_read;
    u.cache_write = look->tokens.cache_write;
    u.audio_input = look->tokens.audio_input;
    u.audio_output = look->tokens.audio_output;
    u.output = look->has_usage ? look->tokens.output : AI_UNSAID;
    u.reasoning = look->tokens.reasoning;
    return u;
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

/* Is it a JSON object with choices, or data, that are not empty? */
static bool holds_result(struct slice response)
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

/* Usage of the response as the one word of it that is read; else all of it is. */
void openai_read_whole(struct slice body, enum ai_kind kind, struct ai_whole *ret)
{
    struct usage_look look = {0};
    *ret = (struct ai_whole){0};
    enum err e = usage_read_response(body, &look);
    bool counted = !e && (look.has_usage || (look.has_prompt && kind == AI_EMBEDDINGS));
    if (counted) {
        ret->counted = AI_COUNTED_ALL;
        ret->tokens = look.tokens;
    }
    ret->fails = look.has_error && !counted;
    ret->is_whole = counted || (!e && !look.has_error && holds_result(body));
}

/* ---- errors ---- */

static struct slice text_of(const struct json_hit *h, struct arena *a)
{
    char *out = h->type == JSON_SCAN_STRING ? arena_alloc(a, h->raw.len) : NULL;
    struct slice text;
    return out && !json_scan_text(h, out, h->raw.len, &text) ? text : SLICE_NONE;
}

static enum ai_verdict verdict_of(unsigned status, struct slice code)
{
    if (slice_eq(code, SLICE("insufficient_quota")) ||
        slice_eq(code, SLICE("billing_hard_limit_reached")))
        return AI_CREDENTIAL_BAD;
    if (slice_eq(code, SLICE("context_length_exceeded")))
        return AI_TOO_LONG;
    if (slice_eq(code, SLICE("content_filter")) ||
        slice_eq(code, SLICE("content_policy_violation")))
        return AI_CONTENT;
    return ai_verdict_of_status(status);
}

/* vLLM's and others' code is the status, as a number or in digits. */
static bool read_status(const struct json_hit *h, unsigned *status)
{
    uint64_t n;
    struct slice digits = h->raw;
    if (h->type == JSON_SCAN_STRING)
        digits = slice_from(slice_first(digits, digits.len - 1), 1);
    if (slice_u64(digits, &n) || n < 400 || n > 599)
        return false;
    *status = (unsigned)n;
    return true;
}

/* Where the status of the response says nothing (500 stands for a 200 that is none), the error's
 * own does. */
void openai_read_error(unsigned status, struct slice body, struct arena *a, struct ai_fault *ret)
{
    static const char *const wants[] = {"error.code", "code"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    struct usage_look look = {0};
    *ret = (struct ai_fault){.text = ai_fault_text(body, a), .usage = AI_USAGE_NONE};
    if (!json_scan(body, wants, ARRAY_LEN(wants), hits, &root, &problem)) {
        const struct json_hit *code = hits[0].type != JSON_SCAN_ABSENT ? &hits[0] : &hits[1];
        unsigned own = status;
        if (code->type != JSON_SCAN_ABSENT && read_status(code, &own) && status == 500)
            status = own;
        else if (own == status)
            ret->code = text_of(code, a);
    }
    if (!usage_read(body, &look) && look.has_usage)
        ret->usage = openai_usage_of(&look);
    ret->verdict = verdict_of(status, ret->code);
}

/* ---- a stream, glanced at ---- */

bool openai_is_done(struct slice data)
{
    return slice_eq(slice_trim(data), SLICE("[DONE]"));
}

/* `"usage":null` stands in every chunk where usage was asked for: not worth a scan */
static bool may_hold_usage(struct slice data)
{
    ptrdiff_t at = slice_search(data, SLICE("\"usage\""));
    if (at < 0)
        return false;
    struct slice rest = slice_trim(slice_from(data, (size_t)at + 7));
    if (!rest.len || rest.ptr[0] != ':')
        return true;
    return !slice_starts(slice_trim(slice_from(rest, 1)), SLICE("null"));
}

/* A choice has ended: the member is a text, and not null or empty as until then. */
static bool names_a_reason(struct slice data)
{
    const struct slice name = SLICE("\"finish_reason\"");
    ptrdiff_t at;
    while ((at = slice_search(data, name)) >= 0) {
        data = slice_trim(slice_from(data, (size_t)at + name.len));
        struct slice value = slice_trim(slice_from(data, slice_starts(data, SLICE(":"))));
        if (value.ptr != data.ptr && value.len > 1 && value.ptr[0] == '"' && value.ptr[1] != '"')
            return true;
    }
    return false;
}

static bool says_error(struct slice data)
{
    struct usage_look look;
    if (slice_search(data, SLICE("\"error\"")) < 0)
        return false;
    if (usage_read(data, &look))
        return slice_starts(data, SLICE("{\"error\"")); /* broken, and meant as one */
    return look.has_error;
}

/* A role, empty texts, a list of choices without any: nothing that another target's response could
 * not begin with as well. Anything that is large or has a list in it is taken for the model's. */
static bool only_opens(struct slice data)
{
    static const struct slice lists[] = {
        {"\"tool_calls\":[{", 15}, {"\"function_call\":{", 17}, {"\"audio\":{", 9}};
    ptrdiff_t at = slice_search(data, SLICE("\"delta\""));
    if (at < 0)
        return slice_search(data, SLICE("\"choices\"")) >= 0;
    struct slice delta = slice_from(data, (size_t)at);
    if (delta.len > 512)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (slice_search(delta, lists[i]) >= 0)
            return false;
    return true;
}

/* Most chunks say all of their words in one string. */
static struct slice place_of(uint64_t words, struct slice data)
{
    const struct slice name = SLICE("\"content\":\"");
    ptrdiff_t at = words ? slice_search(data, name) : -1;
    if (at < 0)
        return SLICE_NONE;
    struct slice text = slice_from(data, (size_t)at + name.len);
    return text.len > words && text.ptr[words] == '"' ? slice_first(text, (size_t)words)
                                                      : SLICE_NONE;
}

void openai_glance(struct slice data, bool wants_usage, struct ai_glance *ret)
{
    struct usage_look look = {0};
    *ret = (struct ai_glance){.ends = openai_is_done(data)};
    if (ret->ends)
        return;
    if (may_hold_usage(data) && !usage_read(data, &look)) {
        ret->has_usage = look.has_usage;
        ret->usage = openai_usage_of(&look);
        ret->usage_alone = look.only_usage;
        if (look.only_usage && !wants_usage)
            return;
    }
    ret->fails = says_error(data);
    ret->finishes = names_a_reason(data);
    ret->words = openai_words_in_chunk(data);
    ret->text = place_of(ret->words, data);
    ret->opens =
        !ret->words && !ret->finishes && !ret->fails && !ret->has_usage && only_opens(data);
    if (!wants_usage && slice_search(data, SLICE("\"usage\"")) >= 0 &&
        !usage_find_null(data, &ret->unasked))
        ret->unasked = SLICE_NONE;
}

/* Which of several choices has ended. */
static void note_ended(struct slice choices, struct ai_writer *w)
{
    static const char *const wants[] = {"index", "finish_reason"};
    struct json_hit item, hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    uint64_t index;
    while (json_scan_item(&choices, &item)) {
        if (json_scan(item.raw, wants, ARRAY_LEN(wants), hits, &root, &problem))
            continue;
        if (!json_scan_u64(&hits[0], &index) && index < 128 && hits[1].type == JSON_SCAN_STRING &&
            hits[1].raw.len > 2)
            w->ended[index / 64] |= 1ull << (index % 64);
    }
}

void openai_identify(struct slice data, struct arena *a, struct ai_writer *w)
{
    static const char *const wants[] = {"id", "created", "model", "choices"};
    struct json_hit hits[ARRAY_LEN(wants)];
    struct json_scan_problem problem;
    enum json_type root;
    bool ends = w->choices > 1 && names_a_reason(data);
    if ((w->id.ptr && !ends) || json_scan(data, wants, ARRAY_LEN(wants), hits, &root, &problem))
        return;
    if (ends && hits[3].type == JSON_SCAN_ARRAY)
        note_ended(hits[3].raw, w);
    if (w->id.ptr)
        return;
    w->id = arena_copy(a, hits[0].raw);
    w->created = arena_copy(a, hits[1].raw);
    w->model = arena_copy(a, hits[2].raw);
}

/* ---- usage and words ---- */

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

/* ---- the providers ---- */

#define OPENAI_LIKE                                                                                \
    .bills_cancelled = true, .speaks = openai_speaks, .serves = openai_serves, .build = build,     \
    .authorize = authorize, .read_error = openai_read_error, .read_whole = openai_read_whole,      \
    .glance = openai_glance, .identify = openai_identify, .words = openai_words_in_response,       \
    .decode = openai_decode, .decode_whole = openai_decode_whole

const struct ai_provider provider_openai = {.name = {"openai", 6}, OPENAI_LIKE};
const struct ai_provider provider_azure = {.name = {"azure", 5}, OPENAI_LIKE};
