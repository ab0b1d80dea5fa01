/*
 * tunnel — carries the NNG messages of one host to another through mutual TLS 1.3.
 *
 * Why it exists: NNG's own TLS hangs when a peer is killed while messages are being sent, and does
 * not report the peer's name (ARCHITECTURE.md, the channel). NNG therefore speaks only over local
 * abstract sockets; the tunnel copies bytes between those and one TLS connection each.
 *
 * The dialling end (data plane) checks that the certificate names `control-plane`. The serving end
 * (control plane) requires a client certificate of its CA, takes the plane's id from its subject
 * CN, asks `admit`, and connects to the local NNG listener whose name `local_name` gave for it. A
 * plane that `removed` knows is notified and dials no more; any other refusal looks to the
 * plane like an outage, and it dials again.
 *
 * Owns     its thread, sockets and TLS contexts. A dead peer costs no descriptor: both ends of a
 *          pair go together.
 * Fails    ERR_TLS, ERR_IO at start; later a lost connection is dialled again (50 ms to 1 s,
 *          jittered) and logged once per state change.
 * Threads  own thread; start, stop, reload and cut from any other.
 */
#pragma once

#include "common/base/slice.h"
#include "common/net/address.h"
#include "common/net/tls.h"

struct tunnel;

#define TUNNEL_NAME_MAX 96  /* abstract socket name, without the leading NUL */
#define TUNNEL_PLANE_MAX 64 /* letters of a plane's id: RFC 5280's bound of a common name */

struct tunnel_serve_config {
    union sockaddr_any at;
    struct tls_context *tls; /* client certificates required, TLS 1.3 only; held */
    /* Is this plane admitted? local receives the name of the abstract NNG socket to join it to.
     * Called on the tunnel's thread; must not block. */
    bool (*admit)(void *arg, struct slice plane_id, char local[static TUNNEL_NAME_MAX]);
    /* Was a plane that is not admitted removed for good? As admit; NULL: no plane is. */
    bool (*removed)(void *arg, struct slice plane_id);
    void *arg;
};

struct tunnel_dial_config {
    struct slice host; /* of the control plane; copied */
    uint16_t port;
    struct tls_context *tls; /* client certificate, the control plane's CA; held */
    struct slice local;      /* abstract name this end listens on for the local NNG dialler */
    void (*on_state)(void *arg, bool up); /* tunnel's thread; may be NULL */
    void (*on_removed)(void *arg);        /* the same; it is not dialled again */
    void *arg;
};

MUST_USE enum err tunnel_serve(const struct tunnel_serve_config *c, struct tunnel **ret);
MUST_USE enum err tunnel_dial(const struct tunnel_dial_config *c, struct tunnel **ret);
/* Closes every connection of that plane at once. */
void tunnel_cut(struct tunnel *t, struct slice plane_id);
uint16_t tunnel_port(const struct tunnel *t);
void tunnel_stop(struct tunnel **t);
