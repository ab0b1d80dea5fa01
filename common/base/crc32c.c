/*
 * crc32c — by the processor where it can, else eight table look-ups for eight bytes.
 */
#include "common/base/crc32c.h"

#include <pthread.h>

#define POLYNOMIAL 0x82F63B78u /* 0x1EDC6F41, bits reversed */
#define STEP 8

static uint32_t tables[STEP][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ POLYNOMIAL : value >> 1;
        tables[0][i] = value;
    }
    for (size_t k = 1; k < STEP; k++)
        for (size_t i = 0; i < 256; i++)
            tables[k][i] = tables[k - 1][i] >> 8 ^ tables[0][tables[k - 1][i] & 0xFF];
}

static uint32_t step_by_table(uint32_t crc, const unsigned char *p)
{
    return tables[7][(crc ^ p[0]) & 0xFF] ^ tables[6][(crc >> 8 ^ p[1]) & 0xFF] ^
           tables[5][(crc >> 16 ^ p[2]) & 0xFF] ^ tables[4][crc >> 24 ^ p[3]] ^ tables[3][p[4]] ^
           tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
}

uint32_t crc32c_by_table(struct slice in)
{
    pthread_once(&once, fill_tables);
    const unsigned char *p = (const unsigned char *)in.ptr;
    uint32_t crc = ~0u;
    size_t i = 0;
    for (; in.len - i >= STEP; i += STEP)
        crc = step_by_table(crc, p + i);
    for (; i < in.len; i++)
        crc = crc >> 8 ^ tables[0][(crc ^ p[i]) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t by_processor(struct slice in)
{
    uint64_t crc = ~0u;
    size_t i = 0;
    for (; in.len - i >= STEP; i += STEP) {
        uint64_t word;
        memcpy(&word, in.ptr + i, STEP);
        crc = _mm_crc32_u64(crc, word);
    }
    for (; i < in.len; i++)
        crc = _mm_crc32_u8((uint32_t)crc, (unsigned char)in.ptr[i]);
    return ~(uint32_t)crc;
}

uint32_t crc32c(struct slice in)
{
    return __builtin_cpu_supports("sse4.2") ? by_processor(in) : crc32c_by_table(in);
}

#elif defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

uint32_t crc32c(struct slice in)
{
    uint32_t crc = ~0u;
    size_t i = 0;
    for (; in.len - i >= STEP; i += STEP) {
        uint64_t word;
        memcpy(&word, in.ptr + i, STEP);
        crc = __crc32cd(crc, word);
    }
    for (; i < in.len; i++)
        crc = __crc32cb(crc, (uint8_t)in.ptr[i]);
    return ~crc;
}

#else

uint32_t crc32c(struct slice in)
{
    return crc32c_by_table(in);
}

#endif
