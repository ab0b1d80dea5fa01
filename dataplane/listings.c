/* listings — one message for each order, list and change. */
#include "dataplane/listings.h"

#include <stdio.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "dataplane/worker.h"

/* What one loop posts to the other. */
struct message {
    struct listings *home;
    struct tool_list *list; /* NULL: a change was told */
    char server_id[ID_MAX];
};

static void take(void *arg)
{
    struct message *m = arg;
    struct plane *plane = *m->home->plane;
    if (!plane)
        tool_list_free(m->list);
    else if (m->list)
        plane_listed(plane, &m->list);
    else
        plane_tools_changed(plane, slice_str(m->server_id));
    mem_free(m);
}

/* A main loop that has ended takes no message: the control plane orders the listing again from
 * another plane. */
static void post(const struct message *what)
{
    struct message *m = mem_alloc(sizeof(*m));
    if (m)
        *m = *what;
    if (m && loop_post(what->home->loop, take, m) == ERR_OK)
        return;
    mem_free(m);
    tool_list_free(what->list);
}

static void on_listed(void *arg, struct tool_list **list)
{
    const struct message m = {.home = arg, .list = *list};
    *list = NULL;
    post(&m);
}

void listings_order(struct listings *l, struct worker *w, const struct tool_order *order)
{
    struct tool_list *list = w ? tool_list_new(order) : NULL;
    if (!list || worker_list_tools(w, &list, on_listed, l) == ERR_OK)
        return;
    tool_list_fail(list, "the data plane has no memory for it now");
    on_listed(l, &list);
}

void listings_changed(void *arg, struct slice server_id)
{
    struct message m = {.home = arg};
    snprintf(m.server_id, sizeof(m.server_id), "%.*s", SLICE_ARG(server_id));
    post(&m);
}
