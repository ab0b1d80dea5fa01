/*
 * tokens — the ranks in a table by their bytes; a text cut by the pattern that the ranks were made
 * with; each piece merged pair by pair.
 */
#include "dataplane/ai/tokens/tokens.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdatomic.h>

#include "common/base/gunzip.h"
#include "common/base/mem.h"

/* The file stands in the program. */
__asm__(".section .rodata\n"
        ".global tokens_ranks_begin\n"
        "tokens_ranks_begin:\n"
        ".incbin \"" TOKENS_RANKS "\"\n"
        ".global tokens_ranks_end\n"
        "tokens_ranks_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const char tokens_ranks_begin[], tokens_ranks_end[];

#define RANKS_MAX (4u * 1024 * 1024)
#define RANK_NONE UINT32_MAX
#define SLOT_BITS 19 /* more than twice the ranks */
#define SLOTS (1u << SLOT_BITS)

/* How OpenAI cuts a text before it looks for tokens: words with one separator before them, numbers
 * of three digits, punctuation, line ends, space. */
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
#define HEAD "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
static const char pattern[] =
    HEAD UPPER "*" LOWER "+" CONTRACTION "|" HEAD UPPER "+" LOWER "*" CONTRACTION "|\\p{N}{1,3}"
               "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
               "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* The text stands in the order of the ranks, so that places in it compare as ranks do. */
static struct {
    struct buf text; /* of all ranks, each behind its length */
    uint32_t *slots; /* where a rank's length stands, plus one; 0: empty */
    pcre2_code *cutter;
} table;

static uint32_t hash_of(const char *p, size_t n)
{
    uint64_t h = 14695981039346656037ull; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 1099511628211ull;
    return (uint32_t)((h ^ h >> 32) & (SLOTS - 1));
}

/* A number that is lower for a lower rank. */
static uint32_t rank_of(const char *p, size_t n)
{
    for (uint32_t i = hash_of(p, n);; i = (i + 1) & (SLOTS - 1)) {
        if (!table.slots[i])
            return RANK_NONE;
        const char *at = table.text.data + table.slots[i] - 1;
        if ((unsigned char)*at == n && memcmp(at + 1, p, n) == 0)
            return table.slots[i];
    }
}

static enum err enter_ranks(void)
{
    size_t ranks = 0;
    for (size_t at = 0; at < table.text.len; ranks++) {
        size_t n = (unsigned char)table.text.data[at];
        if (!n || at + 1 + n > table.text.len || ranks >= SLOTS / 2)
            return ERR_INVALID;
        uint32_t i = hash_of(table.text.data + at + 1, n);
        while (table.slots[i])
            i = (i + 1) & (SLOTS - 1);
        table.slots[i] = (uint32_t)at + 1;
        at += 1 + n;
    }
    return ERR_OK;
}

static enum err unpack(void)
{
    struct gunzip *g = NULL;
    enum err e = gunzip_new(&g);
    if (!e)
        e = gunzip_feed(
            g, slice_of(tokens_ranks_begin, (size_t)(tokens_ranks_end - tokens_ranks_begin)),
            &table.text);
    if (!e && !gunzip_is_whole(g))
        e = ERR_INVALID;
    gunzip_free(g);
    return e;
}

static enum err compile(void)
{
    int error;
    PCRE2_SIZE at;
    table.cutter =
        pcre2_compile((PCRE2_SPTR)pattern, sizeof(pattern) - 1,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error, &at, NULL);
    if (!table.cutter)
        return ERR_INVALID;
    pcre2_jit_compile(table.cutter, PCRE2_JIT_COMPLETE); /* where there is no JIT, it interprets */
    return ERR_OK;
}

enum err tokens_open(void)
{
    buf_init(&table.text, RANKS_MAX);
    table.slots = mem_zalloc(SLOTS * sizeof(*table.slots));
    enum err e = table.slots ? unpack() : ERR_NOMEM;
    if (!e)
        e = enter_ranks();
    if (!e)
        e = compile();
    if (e)
        tokens_close();
    return e;
}

void tokens_close(void)
{
    pcre2_code_free(table.cutter);
    buf_fini(&table.text);
    mem_free(table.slots);
    memset(&table, 0, sizeof(table));
}

bool tokens_are_open(void)
{
    return table.cutter;
}

/* The neighbours that rank lowest together become one, until none rank. start[n] is the end. */
static size_t merge(const char *p, size_t len)
{
    uint16_t start[TOKENS_PIECE + 1];
    uint32_t with_next[TOKENS_PIECE];
    size_t n = len;
    for (size_t i = 0; i <= len; i++)
        start[i] = (uint16_t)i;
    for (size_t i = 0; i + 1 < len; i++)
        with_next[i] = rank_of(p + i, 2);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (with_next[i] < with_next[best])
                best = i;
        if (with_next[best] == RANK_NONE)
            break;
        memmove(&start[best + 1], &start[best + 2], (n - best - 1) * sizeof(*start));
        memmove(&with_next[best], &with_next[best + 1], (n - best - 1) * sizeof(*with_next));
        n--;
        if (best + 1 < n)
            with_next[best] = rank_of(p + start[best], start[best + 2] - start[best]);
        if (best > 0)
            with_next[best - 1] = rank_of(p + start[best - 1], start[best + 1] - start[best - 1]);
    }
    return n;
}

static size_t count_piece(struct slice piece)
{
    size_t n = 0;
    while (piece.len) {
        struct slice part = slice_first(piece, TOKENS_PIECE);
        bool whole = part.len <= 255 && rank_of(part.ptr, part.len) != RANK_NONE;
        n += whole ? 1 : merge(part.ptr, part.len);
        piece = slice_from(piece, part.len);
    }
    return n;
}

/* Bytes that the pattern does not take are no UTF-8. */
static uint64_t count_pieces(struct slice text, pcre2_match_data *found)
{
    uint64_t n = 0;
    size_t at = 0;
    while (at < text.len) {
        int got = pcre2_match(table.cutter, (PCRE2_SPTR)text.ptr, text.len, at, 0, found, NULL);
        const PCRE2_SIZE *place = pcre2_get_ovector_pointer(found);
        size_t from = got > 0 ? place[0] : text.len, to = got > 0 ? place[1] : text.len;
        n += count_piece(slice_of(text.ptr + at, from - at));
        n += count_piece(slice_of(text.ptr + from, to - from));
        at = to > at ? to : at + 1;
    }
    return n;
}

uint64_t tokens_count(struct slice text)
{
    struct slice begin = slice_first(text, TOKENS_EXACT);
    pcre2_match_data *found =
        table.cutter ? pcre2_match_data_create_from_pattern(table.cutter, NULL) : NULL;
    if (!found)
        return text.len - text.len / 2;
    uint64_t n = count_pieces(begin, found);
    pcre2_match_data_free(found);
    if (begin.len == text.len)
        return n;
    return (uint64_t)((__uint128_t)n * text.len / begin.len);
}

/* In hundredths. The first row whose name is a part of the model's counts (dialects.md, section 4);
 * the last one is of all others. */
static const struct {
    struct slice name;
    unsigned hundredths;
} families[] = {
#define FAMILY(name, hundredths)                                                                   \
    {                                                                                              \
        {name, sizeof(name) - 1}, hundredths                                                       \
    }
    FAMILY("claude-3", 115),
    FAMILY("claude-opus-4-7", 145),
    FAMILY("claude-opus-4-8", 145),
    FAMILY("opus-4", 115),
    FAMILY("sonnet-4", 115),
    FAMILY("haiku-4", 115),
    FAMILY("claude", 145),
    FAMILY("gemini", 105),
    FAMILY("llama", 115),
    FAMILY("mistral", 115),
    FAMILY("mixtral", 115),
    FAMILY("qwen", 115),
    FAMILY("gpt-", 100),
    FAMILY("deepseek", 100),
    FAMILY("command", 100),
    FAMILY("nova", 100),
    FAMILY("grok", 100),
    FAMILY("gemma", 100),
    FAMILY("kimi", 100),
    FAMILY("glm", 100),
    FAMILY("phi", 100),
    FAMILY("", 100),
#undef FAMILY
};

#define ONE 65536u /* a correction of none */
#define MOST (2 * ONE)
#define FEWEST (ONE / 2)
#define STEP 16
#define BELIEVED 4

/* Of each family; 0: ONE. Two threads may learn at once, and one of the two samples is lost. */
static struct {
    _Atomic uint32_t correction;
    _Atomic uint64_t learnt_us;
} learnt[ARRAY_LEN(families)];

static size_t family_of(struct slice model)
{
    size_t i = 0;
    while (families[i].name.len && slice_search(model, families[i].name) < 0)
        i++;
    return i;
}

static uint32_t correction_of(size_t family)
{
    uint32_t c = atomic_load_explicit(&learnt[family].correction, memory_order_relaxed);
    return c ? c : ONE;
}

uint64_t tokens_of_model(struct slice model, uint64_t count)
{
    size_t family = family_of(model);
    __uint128_t n = (__uint128_t)count * families[family].hundredths * correction_of(family);
    return (uint64_t)((n + 100 * (uint64_t)ONE - 1) / (100 * (uint64_t)ONE));
}

static _Atomic uint64_t asked_us;

/* true: this thread has moved the time on. */
static bool is_due(_Atomic uint64_t *last, uint64_t now_us, uint64_t every_ms)
{
    uint64_t was = atomic_load_explicit(last, memory_order_relaxed);
    if (was && now_us - was < every_ms * 1000)
        return false;
    return atomic_compare_exchange_strong_explicit(last, &was, now_us, memory_order_relaxed,
                                                   memory_order_relaxed);
}

bool tokens_may_learn(struct slice model, uint64_t now_us)
{
    return is_due(&asked_us, now_us, TOKENS_ASK_MS) &&
           is_due(&learnt[family_of(model)].learnt_us, now_us, TOKENS_LEARN_MS);
}

void tokens_learn(struct slice model, uint64_t count, uint64_t reported)
{
    size_t family = family_of(model);
    if (count < TOKENS_LEARN_LEAST || count > UINT32_MAX || reported > BELIEVED * count ||
        reported < count / BELIEVED)
        return;
    uint64_t seen = reported * 100 * ONE / (count * families[family].hundredths);
    int64_t was = correction_of(family), now = was + ((int64_t)seen - was) / STEP;
    now = now > MOST ? MOST : now < FEWEST ? FEWEST : now;
    atomic_store_explicit(&learnt[family].correction, (uint32_t)now, memory_order_relaxed);
}

void tokens_forget(void)
{
    atomic_store_explicit(&asked_us, 0, memory_order_relaxed);
    for (size_t i = 0; i < ARRAY_LEN(learnt); i++) {
        atomic_store_explicit(&learnt[i].correction, 0, memory_order_relaxed);
        atomic_store_explicit(&learnt[i].learnt_us, 0, memory_order_relaxed);
    }
}
