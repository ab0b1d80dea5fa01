/* bus_hub_presence — which planes are here. */
#include "common/wire/bus_hub_private.h"

bool bus_hub_is_connected(struct bus_hub *h, struct slice plane_id)
{
    unsigned came = 0;
    bool up = false;
    pthread_mutex_lock(&h->lock);
    LIST_EACH(&h->planes, it)
    {
        struct hub_plane *p = LIST_ITEM(it, struct hub_plane, link);
        if (slice_eq(slice_str(p->id), plane_id))
            up = bus_pipes_any(&p->rep_pipes, &came);
    }
    pthread_mutex_unlock(&h->lock);
    return up;
}
