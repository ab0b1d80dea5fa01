/*
 * descriptors — how this process shares out the files it may open.
 *
 * Clients could take them all, and then no call of theirs would find one for its upstream, nor the
 * channel one to be heard by. So clients have LIMIT_CLIENT_DESCRIPTORS percent of them.
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
