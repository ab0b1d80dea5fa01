/*
 * forward_headers — which headers go through, each way: lists of what may, never of what may not.
 *
 * The head that goes upstream is built, not copied (security.md, What comes in): from the client
 * only what is listed, nothing that its Connection header names, nothing that carries the name of
 * a header that is injected. Responses pass a list too; Set-Cookie only where the service says so.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/net/http1.h"

struct forward_in {
    const struct http_head *head; /* the client's */
    struct slice injected;        /* name of the header we inject; empty: none */
};

/* Fills out with what may go upstream; values point into the head. Returns how many. */
size_t forward_request_headers(const struct forward_in *in, struct http_header *out, size_t max);
/* How often the request has passed a gateway of ours, by its Via headers (RFC 9110 section 7.6.3).
 */
unsigned forward_hops(const struct http_head *head);
/* The Via header that goes upstream: once for each time, and once for this one. Constant. */
struct slice forward_via(const struct http_head *head);
/* Is this response header let through? */
bool forward_response_header(struct slice name, bool set_cookie);
/* May the value pass as it is? Of all headers but retry-after and retry-after-ms, yes; of those a
 * wait within a day, and of the first a date too. */
bool response_value_is_valid(struct slice name, struct slice value);
