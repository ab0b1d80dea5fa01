/*
 * stream_private — the inside of a stream, shared by stream.c and its stream_*.c.
 *
 *   DIALING ─▶ (TUNNELLING) ─▶ (SHAKING) ─▶ OPEN ─▶ DEAD
 *
 * TUNNELLING: a proxy was told to connect. SHAKING: TLS. shut (stream.c) is the only way into DEAD.
 *
 * Events are called from libuv's callbacks or from the stream's task, never from inside a call
 * of the owner. After each event the stream may be DEAD: look before touching it again. The
 * memory stays until the handle is closed and the owner has let go.
 *
 * Threads  the loop's.
 */
#pragma once

#include <uv.h>

#include "common/base/buf.h"
#include "common/net/loop_private.h"
#include "common/net/stream.h"
#include "common/net/tls_private.h"

enum stream_state { STREAM_DIALING, STREAM_TUNNELLING, STREAM_SHAKING, STREAM_OPEN, STREAM_DEAD };

struct stream_dial;   /* stream_dial.c: only while connecting */
struct stream_tunnel; /* stream_tunnel.c: only while a proxy connects us */

struct stream {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    uv_connect_t connect;
    struct loop *loop;
    const struct stream_events *events;
    void *arg;
    struct tls_session *tls; /* NULL: plain */
    struct stream_dial *dial;
    struct stream_tunnel *tunnel;
    struct loop_task task;
    struct timer deadline; /* until it is open */
    struct buf flying;     /* given to libuv, must not move */
    struct buf waiting;    /* behind it */
    enum stream_state state;
    enum err why;    /* a failure to be reported at the end of the turn */
    bool has_handle; /* tcp is initialised and not yet closed */
    bool owner_gone;
    bool announce; /* on_open is due */
    bool paused;
    bool reading;
    bool eof;       /* the peer has finished */
    bool broken;    /* the kernel takes no more bytes */
    bool finishing; /* stream_finish was called */
    bool fin_sent;
    bool want_drain;
    char peer[ADDRESS_TEXT_MAX];
};

/* stream.c */
MUST_USE enum err stream_new(struct loop *l, const struct stream_events *events, void *arg,
                             struct stream **ret);
void stream_fail(struct stream *s, enum err why);      /* from callbacks: reports at once */
void stream_fail_soon(struct stream *s, enum err why); /* from the owner's calls */
void stream_on_handle_closed(uv_handle_t *h);
/* the socket is connected: peer is known, TLS shakes hands, or it opens */
void stream_connected(struct stream *s);
void stream_reached(struct stream *s); /* the target, whatever lies between */
void stream_opened(struct stream *s);
void stream_read_on(struct stream *s);
void stream_ended(struct stream *s); /* the peer's last byte was delivered */

/* bytes as they go on the wire, whatever the ceiling says */
MUST_USE enum err stream_send(struct stream *s, const struct slice *parts, size_t n);

/* stream_tls.c */
void stream_tls_shake(struct stream *s);
void stream_tls_input(struct stream *s, struct slice cipher);
void stream_tls_deliver(struct stream *s);
MUST_USE enum err stream_tls_write(struct stream *s, const struct slice *parts, size_t n);
void stream_tls_finish(struct stream *s);

/* stream_tunnel.c */
MUST_USE enum err stream_tunnel_new(struct stream *s, const struct stream_target *t);
void stream_tunnel_ask(struct stream *s); /* the proxy is connected */
void stream_tunnel_input(struct stream *s, struct slice data);
void stream_tunnel_free(struct stream *s);

/* stream_dial.c */
void stream_dial_step(struct stream *s);   /* the task's: begin, or the next address */
void stream_dial_cancel(struct stream *s); /* frees s->dial */
void stream_dial_late(struct stream *s);   /* the deadline passed while connecting */
