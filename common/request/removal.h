/*
 * removal — the end of every request of a data plane that was removed from its control plane.
 *
 * Owns     nothing.
 * Threads  its worker's.
 */
#pragma once

#include "common/request/request.h"

/* Cuts all that is under way; the door turns away what comes. Returns how many. */
size_t removal_cut(struct request_env *env);
