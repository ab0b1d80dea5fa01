/*
 * sip — SipHash (Aumasson and Bernstein, "SipHash: a fast short-input PRF"), by its rounds: a keyed
 * hash for tables whose keys a sender chooses, and 128-bit tags of short texts.
 *
 * Without the key an attacker can neither choose texts that collide nor guess a text's tag.
 *
 * Owns     nothing.
 * Threads  any.
 */
#pragma once

#include "common/base/slice.h"

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t sip_rotate(uint64_t x, int n)
{
    return (x << n) | (x >> (64 - n));
}

/* by value, and never a call: the four words stay in registers */
__attribute__((always_inline)) static inline struct sip sip_round(struct sip v)
{
    v.a += v.b;
    v.b = sip_rotate(v.b, 13) ^ v.a;
    v.a = sip_rotate(v.a, 32);
    v.c += v.d;
    v.d = sip_rotate(v.d, 16) ^ v.c;
    v.a += v.d;
    v.d = sip_rotate(v.d, 21) ^ v.a;
    v.c += v.b;
    v.b = sip_rotate(v.b, 17) ^ v.c;
    v.c = sip_rotate(v.c, 32);
    return v;
}

__attribute__((always_inline)) static inline struct sip sip_begin(const uint64_t key[static 2])
{
    return (struct sip){key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                        key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
}

/* All of the text, and its length, with so many rounds a word. */
__attribute__((always_inline)) static inline struct sip sip_take(struct sip v, struct slice text,
                                                                 int rounds)
{
    size_t whole = text.len & ~(size_t)7;
    for (size_t i = 0; i <= whole; i += 8) {
        uint64_t word = (uint64_t)text.len << 56;
        if (i < whole)
            memcpy(&word, text.ptr + i, 8);
        else
            for (size_t k = i; k < text.len; k++)
                word |= (uint64_t)(unsigned char)text.ptr[k] << (8 * (k - i));
        v.d ^= word;
        for (int r = 0; r < rounds; r++)
            v = sip_round(v);
        v.a ^= word;
    }
    return v;
}

struct sip_tag {
    uint64_t words[2];
};

/* SipHash-2-4 with 128 bits, its reference's byte order read as two words of the machine's. */
struct sip_tag sip_tag(const uint64_t key[static 2], struct slice text);
