/*
 * stream — a two-way flow of plain bytes over TCP or TLS, with back-pressure both ways.
 *
 * Reading is on from the start and pauses by stream_pause. Writing takes what the kernel
 * takes at once (one writev) and keeps a bounded rest; the writer looks at stream_pending
 * and stops feeding above LIMIT_STREAM_HIGH (stream_is_full) until on_drain.
 *
 * Owns     socket, TLS state, unsent bytes.
 * Fails    on_close(err) exactly once, unless the owner closed first; no callback afterwards.
 * Threads  its loop's.
 */
#pragma once

#include "common/net/address.h"
#include "common/net/egress.h"
#include "common/net/loop.h"
#include "common/net/resolver.h"
#include "common/net/tls.h"

struct stream;

struct stream_events {
    /* Dialled: the name is resolved and the first address is about to be tried. May be NULL; the
     * owner must not close the stream inside. */
    void (*on_resolved)(void *arg);
    void (*on_open)(void *arg); /* connected, TLS done; dialled streams and TLS servers */
    /* Lent for the call, and the owner's to overwrite; it may close the stream inside. */
    void (*on_data)(void *arg, struct slice data);
    void (*on_eof)(void *arg);   /* the peer will send no more; may be NULL: closes */
    void (*on_drain)(void *arg); /* pending fell to LIMIT_STREAM_LOW; may be NULL */
    /* It is gone; stream_close still frees it. ERR_OK: both sides had finished. */
    void (*on_close)(void *arg, enum err why);
};

/* Takes the accepted descriptor, also on failure. tls NULL: plain. on_open comes for both. */
MUST_USE enum err stream_accept(struct loop *l, int fd, struct tls_context *tls,
                                const struct stream_events *events, void *arg, struct stream **ret);

/* An HTTP proxy that is told to CONNECT (RFC 9110, section 9.3.6): the bytes behind its 200 are the
 * target's. */
struct stream_proxy {
    struct slice host; /* for resolving; copied. The egress rule is about its addresses. */
    uint16_t port;
    struct slice
        authorization; /* of Proxy-Authorization; empty: none; copied, and wiped after use */
    uint64_t id;       /* equal for equal proxies and credentials, for no others; not 0 */
};

struct stream_target {
    struct resolver *resolver;
    struct slice host; /* for resolving, SNI and the certificate check; copied */
    uint16_t port;
    struct tls_context *tls;          /* NULL: plain */
    const struct egress_rule *rule;   /* copied; NULL: no exceptions */
    const struct stream_proxy *proxy; /* NULL: none */
    bool own_credential;              /* the rule is egress_check_own */
    unsigned connect_ms;              /* name, TCP and TLS together */
};

/* Tries the resolved addresses in turn. Never calls back before it returns. */
MUST_USE enum err stream_connect(struct loop *l, const struct stream_target *target,
                                 const struct stream_events *events, void *arg,
                                 struct stream **ret);
/* The owner changes (a pooled connection): later events go to the new one. */
void stream_adopt(struct stream *s, const struct stream_events *events, void *arg);

/* All of it is taken or none: ERR_TOO_BIG where unsent bytes would pass LIMIT_STREAM_OUT and
 * something is already waiting (one large piece on an empty stream is taken); ERR_CLOSED;
 * ERR_NOMEM, and the stream is lost. */
MUST_USE enum err stream_write(struct stream *s, const struct slice *parts, size_t n);
bool stream_is_full(const struct stream *s); /* the writer stops until on_drain */
size_t stream_pending(const struct stream *s);
/* A paused stream takes no bytes, but still reports a hang-up that nothing unread precedes. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);
/* Sends what is pending, then says no more will come (TLS close_notify, FIN). */
void stream_finish(struct stream *s);
/* At once; unsent bytes are lost. No callback afterwards; leaves NULL. */
void stream_close(struct stream **s);
bool stream_is_open(const struct stream *s);      /* connected and not failed */
struct slice stream_peer(const struct stream *s); /* "127.0.0.1:4711", "" before open */

/* A listening socket with SO_REUSEPORT (each worker has its own); accepted descriptors are
 * non-blocking, close-on-exec, TCP_NODELAY. */
struct listener;
MUST_USE enum err listener_open(struct loop *l, const union sockaddr_any *at,
                                void (*on_accept)(void *arg, int fd), void *arg,
                                struct listener **ret);
void listener_close(struct listener **l);
uint16_t listener_port(const struct listener *l); /* the real one where 0 was asked */
