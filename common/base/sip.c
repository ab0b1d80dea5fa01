/* sip — the 128-bit form of the reference implementation. */
#include "common/base/sip.h"

#define ROUNDS 2
#define LAST_ROUNDS 4

static struct sip finish(struct sip v)
{
    for (int i = 0; i < LAST_ROUNDS; i++)
        v = sip_round(v);
    return v;
}

static uint64_t fold(struct sip v)
{
    return v.a ^ v.b ^ v.c ^ v.d;
}

struct sip_tag sip_tag(const uint64_t key[static 2], struct slice text)
{
    struct sip_tag tag;
    struct sip v = sip_begin(key);
    v.b ^= 0xEE;
    v = sip_take(v, text, ROUNDS);
    v.c ^= 0xEE;
    v = finish(v);
    tag.words[0] = fold(v);
    v.b ^= 0xDD;
    v = finish(v);
    tag.words[1] = fold(v);
    return tag;
}
