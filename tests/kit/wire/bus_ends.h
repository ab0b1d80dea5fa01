/*
 * bus_ends — both ends of the bus in one process, over real TLS on loopback: a control plane that
 * turns requests around, and data planes with a loop on a thread of their own that count what they
 * hear.
 *
 * Owns     a control its hub and certificates; a plane its loop and thread.
 * Fails    by cmocka's assertions.
 * Threads  the test's, the hub's and each plane's; what is shared is atomic or under a lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "common/wire/bus.h"
#include "tests/kit/wire/channel_kit.h"

#define MIB (1024u * 1024)
#define WAIT_MS 10000 /* sanitizers and a busy machine */

struct control {
    struct kit kit;
    struct tls_context *tls;
    struct bus_hub *hub;
    pthread_mutex_t lock;
    char refused[65];  /* this plane may not come in */
    char removed[65];  /* and this one never again */
    char moved_to[64]; /* every plane's pool; "": by its name */
    atomic_uint ran, turned_away;
    atomic_uint slow_ms;
    char last_plane[65];
};

/* Setup and teardown of a test; its state. There are certificates for east-1 and east-2, of the
 * pool "east", and west-1, of "west". */
int control_open(void **state);
int control_close(void **state);
void control_start(struct control *c, uint16_t push, uint16_t request); /* the hub alone */

struct plane {
    struct loop *loop;
    struct tls_context *tls;
    struct bus_plane *bus;
    struct control *control;
    const char *name;
    pthread_t thread;
    pthread_mutex_t lock;
    atomic_bool up;
    atomic_uint ups, removals;
    atomic_uint pushes, replies, failures;
    atomic_size_t push_bytes;
    atomic_bool disorder;
    atomic_int last_error;
    uint32_t next_push;
    struct buf last_push, last_answer;
};

struct plane *plane_start(struct control *c, const char *name);
struct plane *plane_open(struct control *c, const char *name); /* and waits until it is up */
void plane_close(struct plane *p);
bool plane_is_up(void *plane);

/* One request, made on the plane's own thread. */
struct ask {
    struct plane *plane;
    struct slice message;
    unsigned timeout_ms;
    enum err refused;
    atomic_bool over;
};

void ask_start(struct ask *a, struct plane *p, struct slice message, unsigned timeout_ms);
bool ask_is_over(void *ask);
/* The answer lies in last_answer. */
enum err ask(struct plane *p, struct slice message, unsigned timeout_ms);
bool reaches(atomic_uint *count, unsigned at_least); /* within WAIT_MS */
