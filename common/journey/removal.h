/*
 * removal — the end of every journey of a data plane that was removed from its control plane.
 *
 * Owns     nothing.
 * Threads  its worker's.
 */
#pragma once

#include "common/journey/journey.h"

/* Cuts all that is under way; the door turns away what comes. Returns how many. */
size_t removal_cut(struct journey_env *env);
