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

static bool is_given(const struct listing_plane *p, struct slice pools)
{
    struct slice one;
    if (pools.ptr == NULL)
        return true;
    while (slice_split(&pools, ',', &one))
        if (slice_eq(one, slice_str(p->pool_id)))
            return true;
    return false;
}

static const char *choose_pool(struct slice pools, const struct listing_plane *planes, size_t count)
{
    const char *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (is_given(&planes[i], pools) && (!best || is_better_pool(planes[i].pool, best)))
            best = planes[i].pool;
    return best;
}

const struct listing_plane *listing_name(struct slice server_id, struct slice pools,
                                         const struct listing_plane *planes, size_t count)
{
    const struct listing_plane *best = NULL;
    struct digest highest;
    const char *pool = choose_pool(pools, planes, count);
    for (size_t i = 0; pool && i < count; i++) {
        struct digest d;
        const struct slice parts[] = {server_id, slice_str(planes[i].id)};
        if (strcmp(planes[i].pool, pool) != 0 || !is_given(&planes[i], pools))
            continue;
        digest_sha256_parts(parts, ARRAY_LEN(parts), &d);
        if (best && memcmp(d.bytes, highest.bytes, DIGEST_LEN) <= 0)
            continue;
        best = &planes[i];
        highest = d;
    }
    return best;
}
