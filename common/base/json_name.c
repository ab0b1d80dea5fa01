/*
 * json_name — hashes and compares member names, in both cases of letters.
 */
#include "common/base/json_name.h"

#include <pthread.h>

#include "common/base/digest.h"
#include "common/base/json_token.h"

#define SHOWN 64

/* Secret, so that a sender cannot choose 256 names that all share a hash. */
static uint64_t seed[2];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void sow(void)
{
    digest_random(seed, sizeof(seed));
    seed[0] |= 1; /* never a multiplication by zero */
    seed[1] |= 1;
}

static uint64_t load8(const char *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

/* one to seven bytes, without a loop: the pieces overlap */
static uint64_t load_few(const char *p, size_t len)
{
    if (len >= 4) {
        uint32_t first, last;
        memcpy(&first, p, 4);
        memcpy(&last, p + len - 4, 4);
        return (uint64_t)first << 32 | last;
    }
    unsigned char a = (unsigned char)p[0], b = (unsigned char)p[len / 2],
                  c = (unsigned char)p[len - 1];
    return (uint64_t)a << 16 | (uint64_t)b << 8 | c;
}

/* both halves of the product, folded: eight bytes cost one multiplication */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Set in every byte: names that differ only in case have one hash, and so have a few others. */
#define CASE_BITS 0x2020202020202020ull

static uint32_t hash_name(struct slice name)
{
    uint64_t h = seed[0] ^ name.len;
    size_t i = 0;
    for (; i + 8 <= name.len; i += 8)
        h = mix(h ^ (load8(name.ptr + i) | CASE_BITS), seed[1]);
    if (i < name.len)
        h = mix(h ^ (load_few(name.ptr + i, name.len - i) | CASE_BITS), seed[1]);
    return (uint32_t)(h ^ h >> 32);
}

void json_names_init(struct json_names *n, const char *start)
{
    pthread_once(&once, sow);
    n->start = start;
    n->count = 0;
    n->seen = 0;
}

bool json_name_is_ascii(struct slice name)
{
    char seen = 0;
    for (size_t i = 0; i < name.len; i++)
        seen |= name.ptr[i];
    return (signed char)seen >= 0;
}

struct slice json_name_read(struct slice raw, char out[static LIMIT_JSON_NAME])
{
    if (slice_find(raw, '\\') < 0)
        return raw;
    return slice_of(out, json_token_unescape(raw, out));
}

/* Takes one character: an ASCII letter in lower case, or any other byte as it is. */
static unsigned char take_folded(struct slice *rest)
{
    static const struct {
        struct slice text;
        unsigned char ascii;
    } strangers[] = {
        {{"\xC5\xBF", 2}, 's'},     /* long s */
        {{"\xE2\x84\xAA", 3}, 'k'}, /* Kelvin */
        {{"\xC4\xB0", 2}, 'i'},     /* I with a dot */
        {{"\xC4\xB1", 2}, 'i'},     /* i without one */
    };
    unsigned char c = (unsigned char)rest->ptr[0];
    for (size_t i = 0; c >= 0x80 && i < ARRAY_LEN(strangers); i++) {
        if (slice_starts(*rest, strangers[i].text)) {
            *rest = slice_from(*rest, strangers[i].text.len);
            return strangers[i].ascii;
        }
    }
    *rest = slice_from(*rest, 1);
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

static bool is_folded_same(struct slice name, struct slice wanted)
{
    while (name.len && wanted.len) {
        if (take_folded(&name) != take_folded(&wanted))
            return false;
    }
    return name.len == 0 && wanted.len == 0;
}

/* What stands at i, compared with name. Rarely called: two names have one hash. */
static __attribute__((noinline)) enum json_likeness compare_at(const struct json_names *n, size_t i,
                                                               struct slice name)
{
    char text[LIMIT_JSON_NAME];
    struct slice there = json_name_read(slice_of(n->start + n->at[i], n->len[i]), text);
    if (slice_eq(there, name))
        return JSON_NAME_EQUAL;
    return is_folded_same(there, name) ? JSON_NAME_ALIKE : JSON_NAME_OTHER;
}

static enum json_likeness find(const struct json_names *n, uint32_t hash, struct slice name)
{
    if (!(n->seen >> (hash & 63) & 1))
        return JSON_NAME_OTHER;
    for (size_t i = 0; i < n->count; i++) {
        enum json_likeness like = n->hash[i] == hash ? compare_at(n, i, name) : JSON_NAME_OTHER;
        if (like != JSON_NAME_OTHER)
            return like;
    }
    return JSON_NAME_OTHER;
}

/* The few letters beyond ASCII that fold into it make a name shorter. Apart from the function
 * below, which is called for every member: the release flags zero `text` first. */
static __attribute__((noinline)) uint32_t hash_folded(struct slice name)
{
    char text[LIMIT_JSON_NAME];
    size_t len = 0;
    while (name.len)
        text[len++] = (char)take_folded(&name);
    return hash_name(slice_of(text, len));
}

enum err json_names_add(struct json_names *n, struct slice raw, struct slice name, bool ascii)
{
    uint32_t hash = ascii || json_name_is_ascii(name) ? hash_name(name) : hash_folded(name);
    enum json_likeness like = find(n, hash, name);
    if (like != JSON_NAME_OTHER)
        return like == JSON_NAME_EQUAL ? ERR_EXISTS : ERR_CONFLICT;
    if (n->count == LIMIT_JSON_MEMBERS)
        return ERR_EXHAUSTED;
    n->seen |= (uint64_t)1 << (hash & 63);
    n->hash[n->count] = hash;
    n->at[n->count] = (uint32_t)(raw.ptr - n->start);
    n->len[n->count] = (uint16_t)raw.len;
    n->count++;
    return ERR_OK;
}

static struct slice first_segment(struct slice path)
{
    ptrdiff_t dot = slice_find(path, '.');
    return dot < 0 ? path : slice_first(path, (size_t)dot);
}

enum json_likeness json_name_compare(struct slice name, bool ascii, struct slice path)
{
    if (!ascii)
        return is_folded_same(name, first_segment(path)) ? JSON_NAME_ALIKE : JSON_NAME_OTHER;
    if (path.len < name.len || (path.len > name.len && path.ptr[name.len] != '.'))
        return JSON_NAME_OTHER;
    struct slice wanted = slice_first(path, name.len);
    bool same = slice_eq(name, wanted);
    if ((!same && !slice_ieq(name, wanted)) || slice_find(wanted, '.') >= 0)
        return JSON_NAME_OTHER; /* a dot inside a name does not divide a path */
    return same ? JSON_NAME_EQUAL : JSON_NAME_ALIKE;
}

struct slice json_name_shown(struct slice raw)
{
    if (raw.len <= SHOWN)
        return raw;
    size_t len = SHOWN;
    while (len && ((unsigned char)raw.ptr[len] & 0xC0) == 0x80)
        len--;
    return slice_first(raw, len);
}
