/*
 * json_corpus — JSON texts both readers are held against: the tables of good and bad documents,
 * and a generator of random ones.
 */
#pragma once

#include "common/base/slice.h"

/* nested: [[[…]]] */
#define NEST_8(x) "[[[[[[[[" x "]]]]]]]]"
#define NEST_64 NEST_8(NEST_8(NEST_8(NEST_8(NEST_8(NEST_8(NEST_8(NEST_8("1"))))))))

static const struct slice good_documents[] = {
    {"{}", 2},
    {"[]", 2},
    {"0", 1},
    {"-0", 2},
    {"\"\"", 2},
    {"null", 4},
    {"true", 4},
    {"false", 5},
#define TEXT(literal)                                                                              \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }
    TEXT(" \t\r\n{ } \t\r\n"),
    TEXT("[1,2,3]"),
    TEXT("[ 1 , 2 , 3 ]"),
    TEXT("[[],{},[[]],[{}]]"),
    TEXT("{\"a\":{\"b\":{\"c\":[null,true,false]}}}"),
    TEXT("{\"\":0}"),

    TEXT("123456789"),
    TEXT("-1"),
    TEXT("1.5"),
    TEXT("0.5"),
    TEXT("-0.0"),
    TEXT("1e5"),
    TEXT("1E5"),
    TEXT("1e+5"),
    TEXT("1e-5"),
    TEXT("1.25e2"),
    TEXT("0e0"),
    TEXT("\"plain\""),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    TEXT("\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\""),
    TEXT("\"\\ud800\\udc00 \\uDBFF\\uDFFF \\ud7ff \\ue000 \\uffff\""),
    TEXT("\"\x7f\""),
    TEXT("\"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\""),
    TEXT("\"\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF\""),
    TEXT("\"\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF\""),
    TEXT("\"\xEF\xBB\xBF\""),
    TEXT("{\"a\\u0062\":1}"),
    TEXT("\"exactly sixteen!\""),
    TEXT("\"a string long enough for several blocks of sixteen bytes, and one more word\""),
    TEXT("[                                                                          1]"),
    TEXT("[\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\t\r 1\n]"),
    TEXT(NEST_64),
};

/* Good JSON (RFC 8259 section 8.2), which readers take in different ways. */
static const struct slice half_pairs[] = {
    TEXT("\"\\udbff\\ue000\""),
    TEXT("\"\\udbff\""),
    TEXT("\"\\udfff\""),
    TEXT("\"\\ud800\""),        TEXT("\"\\udc00\""),        TEXT("\"\\ud800x\""),
    TEXT("\"\\ud800\\n\""),     TEXT("\"\\ud800\\u0041\""), TEXT("\"\\ud800\\ud800\""),
    TEXT("\"\\udc00\\ud800\""),
};

static const struct slice bad_documents[] = {
    TEXT(""),
    TEXT(" "),
    TEXT("\n\n"),
    TEXT("{"),
    TEXT("}"),
    TEXT("["),
    TEXT("]"),
    TEXT(","),
    TEXT(":"),
    TEXT("\""),
    TEXT("[1"),
    TEXT("[1,"),
    TEXT("[1,]"),
    TEXT("[,1]"),
    TEXT("[1,,2]"),
    TEXT("[1 2]"),
    TEXT("[1}"),
    TEXT("{\"a\"}"),
    TEXT("{\"a\":}"),
    TEXT("{\"a\":1,}"),
    TEXT("{,\"a\":1}"),
    TEXT("{\"a\":1"),
    TEXT("{\"a\":1,"),
    TEXT("{\"a\" 1}"),
    TEXT("{\"a\"::1}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{\"a\":1]"),
    TEXT("{a:1}"),
    TEXT("{'a':1}"),
    TEXT("{1:1}"),
    TEXT("{null:1}"),
    TEXT("{[]:1}"),
    TEXT("{\"a\":1}}"),
    TEXT("[]]"),
    TEXT("{} {}"),
    TEXT("{}x"),
    TEXT("1 2"),
    TEXT("1,"),
    TEXT("\"a\" \"b\""),
    TEXT("truex"),
    TEXT("tru"),
    TEXT("True"),
    TEXT("nul"),
    TEXT("nulL"),
    TEXT("fals"),
    TEXT("undefined"),
    TEXT("NaN"),
    TEXT("-NaN"),
    TEXT("Infinity"),
    TEXT("-Infinity"),
    TEXT("01"),
    TEXT("-01"),
    TEXT("00"),
    TEXT("+1"),
    TEXT("-"),
    TEXT("--1"),
    TEXT("1."),
    TEXT(".5"),
    TEXT("-.5"),
    TEXT("1.e5"),
    TEXT("1e"),
    TEXT("1e+"),
    TEXT("1e-"),
    TEXT("1ee5"),
    TEXT("1.5.5"),
    TEXT("0x10"),
    TEXT("1_000"),
    TEXT("\xEF\xBC\x91"),
    TEXT("\"a"),
    TEXT("\"a\\\""),
    TEXT("\"\\"),
    TEXT("\"\\a\""),
    TEXT("\"\\'\""),
    TEXT("\"\\x41\""),
    TEXT("\"\\0\""),
    TEXT("\"\\U0041\""),
    TEXT("\"\\u\""),
    TEXT("\"\\u00\""),
    TEXT("\"\\u004\""),
    TEXT("\"\\u004g\""),
    TEXT("\"\\u 041\""),
    TEXT("\"\\ud83d\\u\""),
    TEXT("\"\n\""),
    TEXT("\"\t\""),
    TEXT("\"\x1f\""),
    TEXT("\"\0\""),
    TEXT("\"sixteen plain by\x01\""),
    TEXT("\"\x80\""),
    TEXT("\"\xBF\""),
    TEXT("\"\xC0\x80\""),
    TEXT("\"\xC1\xBF\""),
    TEXT("\"\xC3\""),
    TEXT("\"\xC3\x28\""),
    TEXT("\"\xE0\x80\x80\""),
    TEXT("\"\xE0\x9F\xBF\""),
    TEXT("\"\xE2\x82\""),
    TEXT("\"\xE2\x28\xA1\""),
    TEXT("\"\xED\xA0\x80\""),
    TEXT("\"\xED\xBF\xBF\""),
    TEXT("\"\xF0\x80\x80\x80\""),
    TEXT("\"\xF0\x8F\xBF\xBF\""),
    TEXT("\"\xF0\x9F\x98\""),
    TEXT("\"\xF4\x90\x80\x80\""),
    TEXT("\"\xF5\x80\x80\x80\""),
    TEXT("\"\xFF\""),
    TEXT("\"\xFE\xFF\""),
    TEXT("\xEF\xBB\xBF{}"),
    TEXT("\xFF\xFE[\0]\0"),
    TEXT("[\0]"),
    TEXT("[1\0]"),
    TEXT("\0"),
    TEXT("{}\0"),
    TEXT("[\f1]"),
    TEXT("[\v1]"),
    TEXT("[\xC2\xA0 1]"),
    TEXT("[1]//x"),
    TEXT("/* x */ 1"),
    TEXT("# 1"),
    TEXT("[\"a\",\n\"b"),
    TEXT("[" NEST_64 "]"),
    TEXT("{\"a\":" NEST_64 "}"),
#undef TEXT
};

/* ---- random documents ---- */

struct writer {
    char text[4096];
    size_t len;
    uint64_t state;
};

static inline uint32_t roll(struct writer *w, uint32_t sides)
{
    /* splitmix64's step: enough for a corpus, and the same on every machine */
    uint64_t z = w->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ z >> 31) % sides);
}

static inline void say(struct writer *w, const char *text)
{
    size_t len = strlen(text);
    if (w->len + len <= sizeof(w->text)) {
        memcpy(w->text + w->len, text, len);
        w->len += len;
    }
}

#define SAY_ONE_OF(w, ...)                                                                         \
    do {                                                                                           \
        static const char *const choice[] = {__VA_ARGS__};                                         \
        say(w, choice[roll(w, ARRAY_LEN(choice))]);                                                \
    } while (0)

static inline void say_space(struct writer *w)
{
    SAY_ONE_OF(w, "", "", "", "", " ", "\n", "\t", "\r\n    ", "                   ");
}

static inline void say_string(struct writer *w)
{
    say(w, "\"");
    for (uint32_t i = roll(w, 5); i; i--)
        SAY_ONE_OF(w, "a", "model", "plain text with blanks in it", "\\n", "\\\"", "\\\\",
                   "\\u0041", "\\ud83d\\ude00", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                   "\x7f", "/", "\\/", "0123456789abcdef0123456789abcdef");
    say(w, "\"");
}

static inline void say_value(struct writer *w, int depth);

static inline void say_object(struct writer *w, int depth)
{
    uint32_t n = roll(w, 4);
    say(w, "{");
    for (uint32_t i = 0; i < n; i++) {
        char name[16] = {'"', 'k', (char)('0' + i), '"', ':', 0}; /* all different */
        say_space(w);
        say(w, name);
        say_value(w, depth + 1);
        say(w, i + 1 < n ? "," : "");
    }
    say_space(w);
    say(w, "}");
}

static inline void say_array(struct writer *w, int depth)
{
    uint32_t n = roll(w, 4);
    say(w, "[");
    for (uint32_t i = 0; i < n; i++) {
        say_value(w, depth + 1);
        say(w, i + 1 < n ? "," : "");
    }
    say_space(w);
    say(w, "]");
}

static inline void say_value(struct writer *w, int depth)
{
    say_space(w);
    switch (roll(w, depth > 8 ? 3 : 6)) {
    case 0:
        SAY_ONE_OF(w, "0", "-1", "12.5", "1e9", "-0.25E-3", "9007199254740993", "true", "false",
                   "null");
        break;
    case 1:
    case 2:
        say_string(w);
        break;
    case 3:
        say_array(w, depth);
        break;
    default:
        say_object(w, depth);
        break;
    }
    say_space(w);
}

/* Changes a few bytes: most results are broken, some are not. */
static inline void damage(struct writer *w)
{
    static const char favourites[] = "\"\\{}[],:0-.eE+tn u\0\xC3\x80\xED\x01";
    for (uint32_t i = 1 + roll(w, 3); i && w->len; i--) {
        uint32_t at = roll(w, (uint32_t)w->len);
        switch (roll(w, 3)) {
        case 0:
            w->text[at] = favourites[roll(w, sizeof(favourites) - 1)];
            break;
        case 1:
            memmove(w->text + at, w->text + at + 1, w->len - at - 1);
            w->len--;
            break;
        default:
            w->len = roll(w, 4) ? w->len : at;
            break;
        }
    }
}
