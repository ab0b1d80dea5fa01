/* listing_name — rendezvous hashing within a pool. */
#include "controlplane/discovery/listing_name.h"

#include "common/base/digest.h"

#define POOL_ALWAYS "default" /* the pool that cannot be deleted */

static bool is_better_pool(const char *pool, const char *than)
{
    if (strcmp(than, POOL_ALWAYS) == 0)
        return false;
    return strcmp(pool, POOL_ALWAYS) == 0 || strcmp(pool, than) < 0;
}

static const char *choose_pool(const struct listing_plane *planes, size_t count)
{
    const char *best = planes[0].pool;
    for (size_t i = 1; i < count; i++)
        if (is_better_pool(planes[i].pool, best))
            best = planes[i].pool;
    return best;
}

const struct listing_plane *listing_name(struct slice server_id, const struct listing_plane *planes,
                                         size_t count)
{
    const struct listing_plane *best = NULL;
    struct digest highest;
    const char *pool = count > 0 ? choose_pool(planes, count) : NULL;
    for (size_t i = 0; i < count; i++) {
        struct digest d;
        const struct slice parts[] = {server_id, slice_str(planes[i].id)};
        if (strcmp(planes[i].pool, pool) != 0)
            continue;
        digest_sha256_parts(parts, ARRAY_LEN(parts), &d);
        if (best && memcmp(d.bytes, highest.bytes, DIGEST_LEN) <= 0)
            continue;
        best = &planes[i];
        highest = d;
    }
    return best;
}
