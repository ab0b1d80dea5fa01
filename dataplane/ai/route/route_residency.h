/*
 * route_residency — where a team's calls may be served, and what their providers must promise.
 *
 * A region is the target's, else its credential's. Where both say one, they must agree: the
 * credential's is the target's, or lies within it ("eu" and "eu-central-1"); else the credential is
 * not used for the target. A team's regions are compared with that region as it is written, so that
 * nothing goes where no rule names.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/policy/snapshot.h"

/* A bit for each of the provider's first 64 credentials that may be used for the target by its
 * region and the team's. Of a provider without credentials bit 0 stands for that. */
uint64_t route_credentials(const struct policy_team *team, const struct policy_provider *p,
                           struct slice region);
/* One of them; NULL: the provider wants none. */
bool route_may_send(const struct policy_team *team, const struct policy_credential *c,
                    struct slice region);
/* Does the provider promise all that the team demands? */
bool route_promises(const struct policy_team *team, const struct policy_provider *p);
