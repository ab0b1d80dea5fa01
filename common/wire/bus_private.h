/*
 * bus_private — shared by both ends of the bus: the head of a message, and local names.
 *
 * The head is not part of the protobuf message: the bus carries any bytes and must know which
 * reply belongs to which request without reading them. Numbers are little-endian.
 *
 * Request:  epoch 8 | number 8 | oldest 8 | content
 * Reply:    number 8 | status 1 | content
 *
 * `epoch` is drawn at random when a plane's end opens, `number` counts up from 1 and stays with
 * a request that is sent again, `oldest` is the lowest number still without a reply: the hub
 * frees the replies below it and never runs a number below it again.
 *
 * Threads  any; no state.
 */
#pragma once

#include <nng/nng.h>

#include "common/base/limits.h"
#include "common/wire/tunnel.h"

#define BUS_REQUEST_HEAD 24
#define BUS_REPLY_HEAD 9
/* NNG counts its own four bytes and this head too */
#define BUS_RECV_MAX (LIMIT_BUS_MESSAGE + 64)
#define BUS_URL_MAX (TUNNEL_NAME_MAX + 16)
/* NNG's own redialling of the local socket: cheap, so quick */
#define BUS_REDIAL_FIRST_MS 10
#define BUS_REDIAL_LAST_MS 100
/* a plane's numbers are at most so far above its oldest open request: the hub keeps so many replies
 */
#define BUS_SPAN 16384

enum bus_status {
    BUS_DONE = 0,
    BUS_GONE = 1, /* it was run, and its reply is no longer kept */
};

struct bus_request_head {
    uint64_t epoch, number, oldest;
};

struct bus_reply_head {
    uint64_t number;
    enum bus_status status;
};

/* A message with its head before the content; NULL: out of memory. */
nng_msg *bus_request_write(const struct bus_request_head *h, struct slice content);
nng_msg *bus_reply_write(const struct bus_reply_head *h, struct slice content);
/* false: too short for a head */
bool bus_request_read(nng_msg *msg, struct bus_request_head *ret, struct slice *content);
bool bus_reply_read(nng_msg *msg, struct bus_reply_head *ret, struct slice *content);

/* Wiped before it is freed: pushes and snapshots hold secrets. NULL is fine. */
void bus_msg_wipe(nng_msg *msg);

/* A name that no other socket of this host has: the hint's letters, and 64 random bits. */
void bus_name(const char *kind, struct slice hint, char out[static TUNNEL_NAME_MAX]);
void bus_url(const char *name, char out[static BUS_URL_MAX]);
enum err bus_err(int rv); /* NNG's error as an enum err */
