/* policy_digest — a row's share of the sum. */
#include "common/wire/policy_digest.h"

/* Fixed width, so that no kind and id can spell another row's kind and id; the parts carry their
 * lengths on top (digest.h). Numbers travel little-endian, as the sum does. */
static struct slice put_number(uint64_t number, uint8_t out[static 8])
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(number >> (8 * i));
    return slice_of(out, 8);
}

void policy_digest_row(int kind, struct slice id, uint64_t revision, struct digest *ret)
{
    uint8_t kind_bytes[8], revision_bytes[8];
    const struct slice parts[] = {
        put_number((uint64_t)kind, kind_bytes),
        id,
        put_number(revision, revision_bytes),
    };
    digest_sha256_parts(parts, ARRAY_LEN(parts), ret);
}
