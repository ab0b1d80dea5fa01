/*
 * client_scenario — our client, and the upstream it calls: a raw socket on a thread that sends
 * exactly the bytes that the test gives.
 *
 *   static void greeting_scenario(void *arg)            the upstream's side, on the thread
 *   {
 *       struct world *w = arg;
 *       …
 *       EXPECT(w, served(&a, &fd, &in, "HTTP/1.1 200 OK\r\n…", false));
 *   }
 *   scenario_upstream(greeting_scenario);
 *
 * Owns     a world its loop, client and listener; an ask its body.
 * Fails    as raw_peer.h: on the thread false or an EXPECT, which the end of the scenario tells
 * cmocka. Threads  the script's beside the loop's.
 */
#pragma once

#include <stdatomic.h>

#include "common/net/http_client.h"
#include "tests/kit/raw_peer.h"

struct world {
    struct loop *loop;
    struct resolver *resolver;
    struct http_client *client;
    struct cidr loopback;
    int listener;
    uint16_t port;
    bool failed;
    char note[160];
};

enum close_at { CLOSE_AT_END, CLOSE_AT_HEAD, CLOSE_AT_BODY, CLOSE_NEVER };

/* One call: what it asks, and what came of it. */
struct ask {
    struct world *w;
    struct http_call_spec spec;
    struct http_call *call;
    enum close_at close_at;
    bool pause_at_head;
    size_t pour; /* streamed: bytes still to be written */
    enum err started, why;
    enum http_call_phase phase;
    atomic_uint status; /* read before the call is over */
    unsigned ends;
    atomic_bool done;
    atomic_size_t got, most_pending;
    struct buf body;
};

void ask_init(struct ask *a, struct world *w, struct slice method);
void ask_start(struct ask *a);
void ask_start_now(void *ask); /* on the loop */
bool ask_wait(struct ask *a);
void ask_fini(struct ask *a);
bool ask_body_is(const struct ask *a, const char *text);

void world_open(struct world *w);
void world_close(struct world *w);
/* A world in which the script is the upstream; its argument is the world. */
void scenario_upstream(void (*script)(void *arg));
bool idle_becomes(struct world *w, int want);

/* Reads one request's head (and what came with it) from the upstream's side. */
bool hear_request(int fd, struct buf *in);
/* One call whose response is `text`, after which the upstream closes where asked to. *fd: the
 * connection, -1 for a new one. */
bool served(struct ask *a, int *fd, struct buf *in, const char *text, bool then_close);
