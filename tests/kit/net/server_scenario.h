/*
 * server_scenario — our server, and clients that are raw sockets on a thread of their own; what the
 * server's caller saw is counted beside it.
 *
 *   /hello  /empty       a response, with and without a body
 *   /echo  /stream       the request's body, when it is whole and as it comes
 *   /big/N  /short /cut  N bytes, fewer than announced, none at all
 *   /mark                SERVING_MARK bytes in chunks, each up to the mark of back-pressure
 *   /hold                no response until the test gives one
 *
 * Owns     a serving its loop and server; a client its connection.
 * Fails    as raw_peer.h: on the thread false or an EXPECT, which the end of the scenario tells
 * cmocka. Threads  the script's beside the loop's.
 */
#pragma once

#include <stdatomic.h>

#include "common/net/http_server.h"
#include "tests/kit/raw_peer.h"

#define SERVING_MARK (16u * 1024 * 1024) /* more than the kernel's buffers take */

struct serving {
    struct loop *loop;
    struct http_server *server;
    uint16_t port;
    /* what the caller saw; read by scripts */
    atomic_uint requests, gone, gone_ok, body_ends, drains;
    atomic_int last_why;
    atomic_size_t body_bytes, most_pending;
    struct http_exchange *held; /* of /hold */
    bool failed;                /* a script's verdict */
    char note[128];
};

/* hasty: deadlines short enough to wait for, too short for a busy machine elsewhere */
void serving_open(struct serving *w, bool hasty);
void serving_close(struct serving *w);
/* The script's argument is the serving. */
void scenario_clients(void (*script)(void *arg));
void scenario_hasty_clients(void (*script)(void *arg));
/* the same over TLS; the script dials and says what it wants */
void scenario_hasty_tls_clients(void (*script)(void *arg), struct tls_context *tls);
void await_count(const atomic_uint *what, unsigned n); /* or two seconds */

struct client {
    int fd;
    struct buf in;
    struct peer_answer a;
};

void client_open(struct client *c, const struct serving *w);
void client_close(struct client *c);
bool client_ask(struct client *c, const char *request);
bool client_hear(struct client *c); /* one whole response, into c->a */
bool client_body_is(const struct client *c, const char *text);
bool client_head_has(const struct client *c, const char *text);
bool client_closed(struct client *c); /* by the server, with nothing left to read */

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
