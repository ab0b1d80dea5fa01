/*
 * id — prefix, underscore, and 128 random bits in base62 (22 characters hold 130.9 bits).
 */
#include "common/base/id.h"

#include "common/base/digest.h"

#define ID_BITS_BYTES 16
#define ID_CHARS 22
#define ID_PREFIX_MAX 6

struct slice id_new(const char *prefix, char out[static ID_MAX])
{
    uint8_t random[ID_BITS_BYTES];
    size_t len = strlen(prefix);
    MUST(len >= 1 && len <= ID_PREFIX_MAX);
    digest_random(random, sizeof(random));
    memcpy(out, prefix, len);
    out[len] = '_';
    digest_base62(slice_of(random, sizeof(random)), ID_CHARS, out + len + 1);
    return slice_of(out, len + 1 + ID_CHARS);
}
