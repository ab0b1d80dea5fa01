/*
 * descriptors — how this process shares out the files it may open.
 *
 * Client connections alone could take all of them; then no call could connect to its upstream, and
 * the channel could not connect either. So clients have LIMIT_CLIENT_DESCRIPTORS percent of them,
 * and what a realtime session takes beside its client's connection is lent from that share
 * (http_server_lend).
 *
 * Threads  main, at start.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Raises what the process may open to the hard limit, and says what that is. */
uint64_t descriptors_raise(void);
/* Client connections of one worker; at least one. */
size_t descriptors_for_clients(uint64_t all, uint64_t workers);
