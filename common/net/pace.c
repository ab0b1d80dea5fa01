/* pace — one window of time after the other, each compared with LIMIT_PACE. */
#include "common/net/pace.h"

#include "common/base/limits.h"

#define US_PER_MS 1000
#define MS_PER_S 1000

void pace_begin(struct pace *p, uint64_t now_us, uint64_t moved)
{
    *p = (struct pace){.since_us = now_us, .seen = moved, .running = true};
}

void pace_stop(struct pace *p)
{
    p->running = false;
}

bool pace_is_kept(struct pace *p, uint64_t now_us, unsigned window_ms, uint64_t moved)
{
    if (!p->running) {
        pace_begin(p, now_us, moved);
        return true;
    }
    if (now_us - p->since_us < (uint64_t)window_ms * US_PER_MS)
        return true;
    /* Signed: what is counted as moved may step back a little, since TLS adds to what waits. */
    int64_t came = (int64_t)(moved - p->seen);
    if (came < (int64_t)((uint64_t)window_ms * LIMIT_PACE / MS_PER_S))
        return false;
    pace_begin(p, now_us, moved);
    return true;
}
