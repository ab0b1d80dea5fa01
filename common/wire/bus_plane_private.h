/*
 * bus_plane_private — what the files of the data plane's end share: bus_note.c brings what NNG's
 * threads saw to the loop, bus_request.c is a request under way, bus_plane.c the rest.
 *
 * Threads  the loop's; leave_note from NNG's too.
 */
#pragma once

#include <nng/nng.h>
#include <pthread.h>

#include "common/base/list.h"
#include "common/wire/bus.h"
#include "common/wire/bus_pipes.h"

/* That an operation has ended; read on the loop. */
struct bus_note {
    struct list link;
    void (*read)(struct bus_plane *b, struct bus_note *n);
};

struct bus_plane {
    struct loop *loop;
    struct bus_plane_events events;
    void *arg;
    struct tunnel *push_tunnel, *request_tunnel;
    nng_socket sub, req;
    struct bus_pipes sub_pipes, req_pipes;
    nng_aio *push;
    struct bus_note push_note, state_note, removed_note;
    uint64_t epoch, next;
    struct list pending, idle, leaving;
    size_t count;
    bool closed;
    bool told_up, told_removed;
    unsigned told_came; /* a leg that went and came again has lost messages */

    pthread_mutex_t lock;
    struct list notes;
    bool posted;
    unsigned refs; /* the owner, and each message in the mailbox */
};

/* bus_note.c */
void bus_note_init(struct bus_note *n, void (*read)(struct bus_plane *b, struct bus_note *n));
void bus_note_leave(struct bus_plane *b, struct bus_note *n); /* any thread; once closed, nothing */
void bus_notes_close(struct bus_plane *b);                    /* none is read afterwards */
/* The last reference, of the owner or of a message, frees the plane. */
void bus_plane_drop(struct bus_plane *b);

/* bus_request.c */
void bus_requests_end(struct bus_plane *b);  /* each owner hears ERR_CLOSED */
void bus_requests_free(struct bus_plane *b); /* after that */
