/*
 * address — where to connect: scheme, host, port, base path; and where to listen.
 *
 * Threads  any.
 */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/base/arena.h"
#include "common/base/slice.h"

union sockaddr_any {
    struct sockaddr     sa;
    struct sockaddr_in  in;
    struct sockaddr_in6 in6;
};

/* A parsed http(s) URL. Slices point into the text that was read. */
struct url {
    bool         tls;
    struct slice host; /* no brackets around IPv6 */
    uint16_t     port;
    struct slice path;  /* "" or starting with '/', no trailing '/' */
    struct slice query; /* without '?' */
};

#define ADDRESS_TEXT_MAX 64

/* http and https only; no user information, no fragment; ERR_INVALID otherwise */
MUST_USE enum err url_parse(struct slice text, struct url *ret);
/* "127.0.0.1:8080", "[::1]:8080"; literal addresses only */
MUST_USE enum err address_parse(struct slice text, union sockaddr_any *ret);
struct slice      address_format(const union sockaddr_any *a, char out[static ADDRESS_TEXT_MAX]);

/* A network: address and prefix length. */
struct cidr {
    union sockaddr_any base;
    unsigned           bits;
};
MUST_USE enum err cidr_parse(struct slice text, struct cidr *ret);
bool              cidr_holds(const struct cidr *c, const union sockaddr_any *a); /* v4-mapped folded */
