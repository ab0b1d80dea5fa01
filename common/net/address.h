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
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* A parsed http(s) URL. Slices point into the text that was read. */
struct url {
    bool tls;
    struct slice host; /* no brackets around IPv6 */
    uint16_t port;
    struct slice path;  /* "" or starting with '/', no trailing '/' */
    struct slice query; /* without '?' */
};

#define ADDRESS_TEXT_MAX 64 /* brackets, 45 of IPv6, colon, port, NUL */

/* http and https only; no user information, no fragment; ERR_INVALID otherwise */
MUST_USE enum err url_parse(struct slice text, struct url *ret);
/* The text with the region wherever "{region}" stands; of the region "global" the hyphen behind it
 * goes too, as Google's hosts have it. The text itself where there is none of it; SLICE_NONE where
 * the room is too small. */
struct slice url_in_region(struct slice text, struct slice region, char *room, size_t size);
/* "127.0.0.1:8080", "[::1]:8080"; literal addresses only */
MUST_USE enum err address_parse(struct slice text, union sockaddr_any *ret);
struct slice address_format(const union sockaddr_any *a, char out[static ADDRESS_TEXT_MAX]);

/* "host:80" or "[::1]:80": *host without brackets, *port SLICE_NONE where there is no colon */
MUST_USE enum err address_split(struct slice text, struct slice *host, struct slice *port,
                                bool *bracketed);
/* "10.0.0.1" or "::1", no brackets; false: it is a name, or nothing */
bool address_literal(struct slice host, uint16_t port, union sockaddr_any *ret);
uint16_t address_port(const union sockaddr_any *a);
/* ::ffff:10.0.0.1 becomes 10.0.0.1, anything else stays */
union sockaddr_any address_fold(const union sockaddr_any *a);

/* A network: address and prefix length. */
struct cidr {
    union sockaddr_any base;
    unsigned bits;
};
/* "10.0.0.0/8"; a bare address is a network of one; bits behind the prefix are ERR_INVALID */
MUST_USE enum err cidr_parse(struct slice text, struct cidr *ret);
bool cidr_holds(const struct cidr *c, const union sockaddr_any *a); /* v4-mapped folded */
