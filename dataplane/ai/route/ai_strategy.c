/*
 * ai_strategy — the table of strategies, and what several of them do alike.
 */
#include "dataplane/ai/route/ai_strategy.h"

#include <math.h>

#define NEAR 8 /* the share of the best score within which another is as good */

static const struct ai_strategy *const strategies[STRATEGY_COUNT] = {
#define ROUTE_ROW(name, word) [STRATEGY_##name] = &route_##word,
    STRATEGY_TABLE(ROUTE_ROW)
#undef ROUTE_ROW
};

const struct ai_strategy *route_strategy(enum strategy s)
{
    return strategies[s];
}

const char *route_strategy_word(enum strategy s)
{
    static const char *const words[STRATEGY_COUNT] = {
#define ROUTE_WORD(name, word) [STRATEGY_##name] = #word,
        STRATEGY_TABLE(ROUTE_WORD)
#undef ROUTE_WORD
    };
    return words[s];
}

size_t route_draw(const uint32_t *weights, size_t n, uint32_t (*dice)(void *arg), void *arg)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += weights[i];
    if (!total)
        return 0;
    uint64_t at = dice(arg) % total;
    size_t i = 0;
    while (at >= weights[i])
        at -= weights[i++];
    return i;
}

/* ---- affinities ---- */

/* The finalizer of SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t route_number(struct slice text)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.ptr[i]) * 0x100000001b3u;
    return mix(h);
}

uint64_t route_affinity(uint64_t caller, uint64_t choice)
{
    return mix(caller ^ mix(choice + 0x9e3779b97f4a7c15u));
}

/* Weighted rendezvous hashing: weight / -ln(u), u uniform in (0, 1). */
double route_share(uint64_t affinity, uint32_t weight)
{
    double u = ((double)(affinity >> 12) + 0.5) / 4503599627370496.0; /* 2^52 */
    return weight ? (double)weight / -log(u) : 0;
}

/* ---- by score ---- */

static void swap(uint64_t *score, size_t *index, size_t a, size_t b)
{
    uint64_t s = score[a];
    size_t x = index[a];
    score[a] = score[b], index[a] = index[b];
    score[b] = s, index[b] = x;
}

/* The place of the least of those from `at` on. */
static size_t least(const uint64_t *score, size_t at, size_t n)
{
    size_t best = at;
    for (size_t i = at + 1; i < n; i++)
        best = score[i] < score[best] ? i : best;
    return best;
}

/* Those that are as good as the best come first; returns how many they are. */
static size_t gather_best(uint64_t *score, size_t *index, size_t n, bool nearly)
{
    uint64_t best = score[least(score, 0, n)];
    uint64_t near = nearly && best < UINT64_MAX / 2 ? best + best / NEAR : best;
    size_t good = 0;
    for (size_t i = 0; i < n; i++)
        if (score[i] <= near)
            swap(score, index, i, good++);
    return good;
}

static size_t favourite(const struct route_view *v, const size_t *index, size_t n)
{
    size_t best = 0;
    if (n == 1)
        return 0;
    if (!v->sticky)
        return v->dice(v->arg) % n;
    for (size_t i = 1; i < n; i++)
        if (v->choices[index[i]].affinity > v->choices[index[best]].affinity)
            best = i;
    return best;
}

size_t route_rank(const struct route_view *v, const uint64_t *given, unsigned rules, size_t *ret,
                  size_t max)
{
    uint64_t score[ROUTE_TARGETS_MAX];
    size_t index[ROUTE_TARGETS_MAX];
    size_t count = v->count < ROUTE_TARGETS_MAX ? v->count : ROUTE_TARGETS_MAX, n = 0;
    for (size_t i = 0; i < count; i++) {
        score[i] = given[i];
        index[i] = i;
    }
    bool nearly = v->sticky || rules & ROUTE_NEAR;
    bool may_explore = rules & ROUTE_EXPLORES && !v->sticky && count > 1 && max;
    if (may_explore && v->dice(v->arg) % ROUTE_EXPLORED == 0)
        swap(score, index, n++, v->dice(v->arg) % count);
    if (!n && count && max) {
        size_t good = gather_best(score, index, count, nearly);
        swap(score, index, n++, favourite(v, index, good));
    }
    for (; n < count && n < max; n++)
        swap(score, index, n, least(score, n, count));
    memcpy(ret, index, n * sizeof(ret[0]));
    return n;
}
