/*
 * bus_note — reports to the loop which of NNG's operations have ended: a list of them, and one
 * message in the loop's mailbox.
 */
#include "common/base/mem.h"
#include "common/wire/bus_plane_private.h"

/* Notes read in one turn, so that a flood of pushes leaves the loop to others. */
#define NOTES_PER_TURN 64

void bus_note_init(struct bus_note *n, void (*read)(struct bus_plane *b, struct bus_note *n))
{
    n->read = read;
    list_init(&n->link);
}

void bus_plane_drop(struct bus_plane *b)
{
    pthread_mutex_lock(&b->lock);
    bool last = --b->refs == 0;
    pthread_mutex_unlock(&b->lock);
    if (!last)
        return;
    bus_pipes_fini(&b->sub_pipes);
    bus_pipes_fini(&b->req_pipes);
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
}

static void on_mail(void *arg);

/* Under the lock. A message that could not be posted is posted again with the next note. */
static void post(struct bus_plane *b)
{
    if (b->posted || list_empty(&b->notes))
        return;
    b->posted = loop_post(b->loop, on_mail, b) == ERR_OK;
    if (b->posted)
        b->refs++;
}

void bus_note_leave(struct bus_plane *b, struct bus_note *n)
{
    pthread_mutex_lock(&b->lock);
    if (!b->closed && list_empty(&n->link)) /* one that lies there keeps its place */
        list_push(&b->notes, &n->link);
    if (!b->closed)
        post(b);
    pthread_mutex_unlock(&b->lock);
}

static struct bus_note *take_note(struct bus_plane *b)
{
    pthread_mutex_lock(&b->lock);
    struct list *link = list_take_first(&b->notes);
    pthread_mutex_unlock(&b->lock);
    return link ? LIST_ITEM(link, struct bus_note, link) : NULL;
}

static void on_mail(void *arg)
{
    struct bus_plane *b = arg;
    pthread_mutex_lock(&b->lock);
    b->posted = false;
    pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < NOTES_PER_TURN; i++) {
        struct bus_note *n = take_note(b);
        if (!n)
            break;
        n->read(b, n);
    }
    pthread_mutex_lock(&b->lock);
    post(b);
    pthread_mutex_unlock(&b->lock);
    bus_plane_drop(b);
}

void bus_notes_close(struct bus_plane *b)
{
    pthread_mutex_lock(&b->lock);
    b->closed = true;
    while (list_take_first(&b->notes))
        ;
    pthread_mutex_unlock(&b->lock);
}
