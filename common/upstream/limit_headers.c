/* limit_headers — one walk over the headers: a name is taken apart into whose form it is, which
 * limit it is of, and what it says of it. */
#include "common/upstream/limit_headers.h"

#include "common/base/civil.h"
#include "common/base/clock.h"

#define US_PER_S UINT64_C(1000000)
#define COUNT_MAX UINT64_C(1000000000000000) /* of requests or tokens: above is a mistake */
#define EPOCH_LEAST 100000000                /* seconds: since 1970, not from now on */

/* ---- times ---- */

struct unit {
    struct slice name;
    uint64_t us;
};

/* longer names first */
static const struct unit units[] = {
    {{"ms", 2}, 1000},           {{"us", 2}, 1},
    {{"\xc2\xb5s", 3}, 1},       {{"ns", 2}, 0},
    {{"s", 1}, US_PER_S},        {{"m", 1}, 60 * US_PER_S},
    {{"h", 1}, 3600 * US_PER_S}, {{"d", 1}, 86400 * US_PER_S},
};

/* A number with at most 6 digits behind its point, in millionths; takes it off the front. */
static enum err take_number(struct slice *rest, uint64_t *ret)
{
    uint64_t n = 0, part = US_PER_S;
    size_t digits = 0;
    bool point = false;
    while (rest->len) {
        char c = rest->ptr[0];
        if (c == '.' && !point && digits) {
            point = true;
        } else if (c < '0' || c > '9') {
            break;
        } else if (point) {
            part /= 10;
            n += (uint64_t)(c - '0') * part;
        } else {
            if (++digits > 12)
                return ERR_INVALID;
            n = n * 10 + (uint64_t)(c - '0') * US_PER_S;
        }
        *rest = slice_from(*rest, 1);
    }
    *ret = n;
    return digits ? ERR_OK : ERR_INVALID;
}

static const struct unit *take_unit(struct slice *rest)
{
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!slice_starts(*rest, units[i].name))
            continue;
        *rest = slice_from(*rest, units[i].name.len);
        return &units[i];
    }
    return NULL;
}

/* Go's durations, as OpenAI writes them. */
static enum err read_duration(struct slice text, uint64_t *ret)
{
    uint64_t sum = 0, n;
    if (!text.len)
        return ERR_INVALID;
    while (text.len) {
        enum err e = take_number(&text, &n);
        const struct unit *u = e ? NULL : take_unit(&text);
        if (!u || n / US_PER_S > LIMIT_HEADERS_WAIT_MAX_US)
            return ERR_INVALID;
        uint64_t whole = n / US_PER_S, part = n % US_PER_S;
        if (u->us && whole > LIMIT_HEADERS_WAIT_MAX_US / u->us)
            return ERR_INVALID;
        sum += whole * u->us + part * u->us / US_PER_S;
        if (sum > LIMIT_HEADERS_WAIT_MAX_US)
            return ERR_INVALID;
    }
    *ret = sum;
    return ERR_OK;
}

static enum err until(int64_t at_us, int64_t wall_us, uint64_t *ret)
{
    if (at_us <= wall_us) {
        *ret = 0;
        return ERR_OK;
    }
    uint64_t left = (uint64_t)at_us - (uint64_t)wall_us;
    *ret = left;
    return left > LIMIT_HEADERS_WAIT_MAX_US ? ERR_INVALID : ERR_OK;
}

/* "Wed, 21 Oct 2015 07:28:00 GMT" (RFC 9110, 5.6.7), the one form that is sent. */
static enum err read_http_date(struct slice t, int64_t *ret)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t day, year, hour, minute, second;
    if (t.len != 29 || !slice_ends(t, SLICE(" GMT")) || t.ptr[3] != ',' || t.ptr[4] != ' ' ||
        t.ptr[7] != ' ' || t.ptr[11] != ' ' || t.ptr[16] != ' ' || t.ptr[19] != ':' ||
        t.ptr[22] != ':')
        return ERR_INVALID;
    ptrdiff_t month = slice_search(slice_str(months), slice_of(t.ptr + 8, 3));
    if (month < 0 || month % 3 || slice_u64(slice_of(t.ptr + 5, 2), &day) ||
        slice_u64(slice_of(t.ptr + 12, 4), &year) || slice_u64(slice_of(t.ptr + 17, 2), &hour) ||
        slice_u64(slice_of(t.ptr + 20, 2), &minute) || slice_u64(slice_of(t.ptr + 23, 2), &second))
        return ERR_INVALID;
    struct civil c = {.year = (int64_t)year, .month = (int)(month / 3) + 1, .day = (int)day};
    if (year < 1970 || day < 1 || (int)day > civil_month_length(c.year, c.month) || hour > 23 ||
        minute > 59 || second > 60)
        return ERR_INVALID;
    *ret = civil_to_days(c) * CIVIL_US_PER_DAY +
           (int64_t)((hour * 3600 + minute * 60 + second) * US_PER_S);
    return ERR_OK;
}

enum err limit_wait_read(struct slice text, int64_t wall_us, uint64_t *ret_us)
{
    uint64_t n;
    int64_t at;
    struct slice rest = text;
    if (!take_number(&rest, &n) && rest.len == 0) {
        if (n / US_PER_S >= EPOCH_LEAST)
            return until((int64_t)n, wall_us, ret_us);
        *ret_us = n;
        return n > LIMIT_HEADERS_WAIT_MAX_US ? ERR_INVALID : ERR_OK;
    }
    if (!read_duration(text, ret_us))
        return ERR_OK;
    if (!clock_parse(text, &at) || !read_http_date(text, &at))
        return until(at, wall_us, ret_us);
    return ERR_INVALID;
}

/* ---- names ---- */

enum said { SAID_NOTHING, SAID_LIMIT, SAID_REMAINING, SAID_RESET };

/* One limit as it is put together; tokens may have several. */
enum which { OF_REQUESTS, OF_TOKENS, OF_INPUT, OF_OUTPUT, OF_SIZE, OF_NONE };
#define WHICH_COUNT OF_NONE

static bool take_word(struct slice *rest, struct slice word)
{
    if (!slice_ieq(slice_first(*rest, word.len), word))
        return false;
    *rest = slice_from(*rest, word.len);
    return true;
}

static enum said take_said(struct slice *rest)
{
    if (take_word(rest, SLICE("limit")))
        return SAID_LIMIT;
    if (take_word(rest, SLICE("remaining")))
        return SAID_REMAINING;
    return take_word(rest, SLICE("reset")) ? SAID_RESET : SAID_NOTHING;
}

struct form {
    enum said said;
    enum which of;
    bool is_gradual;
};

static const struct {
    struct slice behind;
    enum which of;
    bool is_gradual;
} endings[] = {
    {{"-requests", 9}, OF_REQUESTS, true},
    {{"-tokens", 7}, OF_TOKENS, true},
    {{"-req-minute", 11}, OF_REQUESTS, false},
    {{"-tokens-minute", 14}, OF_TOKENS, false},
    {{"", 0}, OF_REQUESTS, false},
};

/* x-ratelimit-remaining-requests, and what is like it */
static struct form x_form(struct slice rest)
{
    struct form f = {.of = OF_NONE};
    f.said = take_said(&rest);
    for (size_t i = 0; f.said && i < ARRAY_LEN(endings); i++) {
        if (slice_ieq(rest, endings[i].behind)) {
            f.of = endings[i].of;
            f.is_gradual = endings[i].is_gradual;
            break;
        }
    }
    return f;
}

/* anthropic-ratelimit-input-tokens-remaining */
static struct form anthropic_form(struct slice rest)
{
    struct form f = {.of = OF_NONE, .is_gradual = true};
    if (take_word(&rest, SLICE("requests-")))
        f.of = OF_REQUESTS;
    else if (take_word(&rest, SLICE("tokens-")))
        f.of = OF_TOKENS;
    else if (take_word(&rest, SLICE("input-tokens-")))
        f.of = OF_INPUT;
    else if (take_word(&rest, SLICE("output-tokens-")))
        f.of = OF_OUTPUT;
    f.said = take_said(&rest);
    if (rest.len)
        f.said = SAID_NOTHING;
    return f;
}

/* x-ratelimitbysize-remaining-minute, ratelimitbysize-remaining: tokens */
static struct form size_form(struct slice rest)
{
    struct form f = {.of = OF_SIZE};
    f.said = take_said(&rest);
    if (rest.len && !slice_ieq(rest, SLICE("-minute")))
        f.said = SAID_NOTHING;
    return f;
}

static struct form form_of(struct slice name)
{
    if (take_word(&name, SLICE("x-ratelimit-")))
        return x_form(name);
    if (take_word(&name, SLICE("anthropic-ratelimit-")))
        return anthropic_form(name);
    if (take_word(&name, SLICE("x-ratelimitbysize-")) ||
        take_word(&name, SLICE("ratelimitbysize-")))
        return size_form(name);
    if (take_word(&name, SLICE("ratelimit-")))
        return x_form(name);
    return (struct form){.of = OF_NONE};
}

/* ---- values ---- */

struct reading {
    struct limit_left of[WHICH_COUNT];
    bool is_read;
};

static void take(struct reading *r, struct form f, struct slice value, int64_t wall_us)
{
    uint64_t n;
    if (f.said == SAID_NOTHING || f.of == OF_NONE)
        return;
    struct limit_left *l = &r->of[f.of];
    if (f.said == SAID_RESET) {
        if (!limit_wait_read(value, wall_us, &n))
            l->reset_us = n;
        return;
    }
    /* "100, 100;w=60": the first of it */
    ptrdiff_t end = slice_find(value, ',');
    value = slice_trim(end < 0 ? value : slice_first(value, (size_t)end));
    if (slice_u64(value, &n) || n > COUNT_MAX)
        return;
    if (f.said == SAID_LIMIT) {
        l->limit = n;
        return;
    }
    l->remaining = n;
    l->is_said = r->is_read = true;
    l->is_gradual = f.is_gradual;
}

/* RateLimit: limit=100, remaining=50, reset=5; and "default";r=50;t=5 of the newer drafts */
static void take_together(struct reading *r, struct slice value, int64_t wall_us)
{
    struct slice part, name;
    while (slice_split(&value, ',', &part)) {
        while (slice_split(&part, ';', &name)) {
            struct form f = {.of = OF_REQUESTS};
            struct slice rest = slice_trim(name);
            ptrdiff_t is = slice_find(rest, '=');
            if (is < 0)
                continue;
            struct slice said = slice_from(rest, (size_t)is + 1);
            rest = slice_first(rest, (size_t)is);
            if (slice_eq(rest, SLICE("r")))
                f.said = SAID_REMAINING;
            else if (slice_eq(rest, SLICE("t")))
                f.said = SAID_RESET;
            else
                f.said = take_said(&rest);
            take(r, f, said, wall_us);
        }
    }
}

static void take_header(struct reading *r, const struct http_header *h, int64_t wall_us)
{
    if (slice_ieq(h->name, SLICE("ratelimit")))
        take_together(r, h->value, wall_us);
    else
        take(r, form_of(h->name), h->value, wall_us);
}

static struct limit_left tightest(const struct reading *r)
{
    struct limit_left best = {0};
    for (int i = OF_TOKENS; i < WHICH_COUNT; i++)
        if (r->of[i].is_said && (!best.is_said || r->of[i].remaining < best.remaining))
            best = r->of[i];
    return best;
}

/* In milliseconds where it says so, which is more exact. */
static uint64_t read_retry(const struct http_head *h, int64_t wall_us)
{
    static const struct slice in_ms[] = {{"retry-after-ms", 14}, {"x-ms-retry-after-ms", 19}};
    uint64_t n;
    for (size_t i = 0; i < ARRAY_LEN(in_ms); i++) {
        struct slice rest = http_head_find(h, in_ms[i]);
        if (rest.len && !take_number(&rest, &n) && !rest.len && n / 1000 > 0 &&
            n / 1000 <= LIMIT_HEADERS_WAIT_MAX_US)
            return n / 1000;
    }
    struct slice text = http_head_find(h, SLICE("retry-after"));
    return text.len && !limit_wait_read(text, wall_us, &n) ? n : 0;
}

/* Few headers begin so: "x-r…", "anthropic-…", "ratelimit…". */
static bool may_be(struct slice name)
{
    char first = name.len >= 9 ? (char)(name.ptr[0] | 0x20) : '-';
    if (first == 'x')
        return (name.ptr[2] | 0x20) == 'r';
    if (first == 'r')
        return (name.ptr[1] | 0x20) == 'a';
    return first == 'a' && name.len > 20 && (name.ptr[1] | 0x20) == 'n';
}

bool limit_headers_are_there(const struct http_head *h)
{
    if (h->status != 200)
        return true;
    for (size_t i = 0; i < h->header_count; i++)
        if (may_be(h->headers[i].name))
            return true;
    return false;
}

bool limit_headers_read(const struct http_head *h, int64_t wall_us, struct limit_headers *ret)
{
    struct reading r = {0};
    for (size_t i = 0; i < h->header_count; i++)
        if (may_be(h->headers[i].name))
            take_header(&r, &h->headers[i], wall_us);
    *ret = (struct limit_headers){
        .requests = r.of[OF_REQUESTS], .tokens = tightest(&r), .retry_us = read_retry(h, wall_us)};
    return r.is_read || ret->retry_us;
}
