/*
 * tunnel_private — the inside of a tunnel: its thread's state, and the pair it moves bytes for.
 *
 * tunnel.c owns the thread, tunnel_serve.c and tunnel_dial.c make pairs, tunnel_pair.c moves
 * their bytes.
 *
 * Threads  the tunnel's own; only what lies behind `lock` is shared.
 */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/un.h>

#include "common/base/limits.h"
#include "common/base/list.h"
#include "common/wire/tunnel.h"

/* The serving end sends this one byte once a plane is admitted. TLS 1.3 lets a client finish its
 * handshake before its certificate was looked at, so only this byte tells the client that it is
 * admitted. */
#define TUNNEL_GREETING 0x01
#define TUNNEL_REMOVED                                                                             \
    0x02 /* instead of it, and the last byte: the plane was removed                                \
          */

/* Bytes on their way; taken in only when the last ones are out, so nothing is ever copied twice. */
struct flow {
    char *data; /* LIMIT_TUNNEL_PIECE */
    size_t at;
    size_t len;
    bool ended; /* its source has ended */
};

enum pair_state {
    PAIR_CONNECTING, /* dialling: TCP */
    PAIR_HANDSHAKE,
    PAIR_GREETING, /* dialling: waits for admission */
    PAIR_WAITING,  /* dialling: admitted, no local connection yet */
    PAIR_JOINED,
    PAIR_LEAVING, /* the remote side is closed, the local one is being told (tunnel_pair.c) */
    PAIR_DEAD,    /* closed; freed after this round of events */
};

struct pair {
    struct list link;     /* tunnel.pairs or tunnel.dead */
    struct list timed;    /* tunnel.timed while there is a deadline */
    struct list again;    /* tunnel.again while it has more to do than its share of a round */
    struct list stranger; /* serving: tunnel.strangers before it is admitted */
    uint8_t source[16];   /* serving: the address it came from; of IPv6 the /64 */
    bool spoke;           /* serving: its first TLS message was whole */
    struct tunnel *tunnel;
    enum pair_state state;
    int remote; /* TCP */
    int local;  /* the NNG side; -1 before it is joined */
    SSL *ssl;
    uint64_t deadline_us;
    uint64_t left_us;
    bool asks_for_space; /* a write to the local side waits for its reader */
    bool said_end;       /* leaving: the local side has been told */
    struct flow in;      /* remote to local */
    struct flow out;     /* local to remote */
    char plane[TUNNEL_PLANE_MAX + 1];
};

struct cut {
    struct list link;
    char plane[TUNNEL_PLANE_MAX + 1];
};

struct tunnel {
    bool serves;
    struct tls_context *tls;
    int epoll;
    int wake;   /* eventfd */
    int listen; /* serving: TCP; dialling: the abstract socket */
    uint16_t port;
    pthread_t thread;
    atomic_bool stop;
    bool leaving;
    struct list pairs;
    struct list timed;
    struct list again;
    struct list dead;
    size_t count;
    struct list strangers; /* serving: pairs that are not admitted yet, oldest first */
    bool deaf;             /* serving: too many pairs, or no descriptors: accepts nothing */
    uint64_t hear_at_us;   /* when to try again */
    uint64_t complain_us;  /* refusals are logged once a second */
    unsigned unsaid;       /* refusals since */

    struct tunnel_serve_config serve; /* serving */

    struct tunnel_dial_config dial; /* dialling; its slices are not used, the texts below are */
    char *host;
    struct pair *dialled; /* the only pair */
    int parked;           /* the newest local connection that waits to be joined */
    uint64_t dial_at_us;
    unsigned failures; /* in a row */
    bool up, said_down;
    bool removed; /* it was told so, and dials no more */

    pthread_mutex_t lock;
    struct list cuts; /* struct cut */
    bool cut_all;     /* a cut that could not be remembered by name */
};

/* tunnel.c */
MUST_USE enum err tunnel_watch(struct tunnel *t, int fd, unsigned events, void *owner);
void tunnel_tune(int fd);           /* TCP: no delay, and a dead host is noticed */
bool tunnel_is_own_process(int fd); /* SO_PEERCRED: abstract sockets have no permissions */
/* fills the abstract address of that name; its length */
unsigned tunnel_local_address(const char *name, struct sockaddr_un *ret);

/* tunnel_pair.c */
struct pair *pair_new(struct tunnel *t, int remote); /* takes the descriptor, also on failure */
void pair_free(struct pair *p);
void pair_close(struct pair *p, const char *why); /* why NULL: nothing to say */
void pair_end(struct pair *p);                    /* both sides are closed now */
void pair_deadline(struct pair *p, unsigned ms);  /* 0: none */
void pair_join(struct pair *p, int local);        /* takes the descriptor */
void pair_pump(struct pair *p);
const char *pair_tls_reason(const struct pair *p);

void pair_leave_step(struct pair *p); /* an event while it is leaving */
void pair_leave_late(struct pair *p); /* the same: its deadline */

/* tunnel_serve.c */
void serve_accept(struct tunnel *t);
void serve_step(struct pair *p); /* an event while it is not joined */
void serve_closed(struct pair *p, const char *why);

/* tunnel_dial.c */
void dial_start(struct tunnel *t);
void dial_accept(struct tunnel *t); /* local connections */
void dial_step(struct pair *p);
void dial_closed(struct pair *p, const char *why);
