/*
 * credential_source — where a provider's credential is had from that is not given as a secret: the
 * rows of `source`, and which of them go with which type (common/upstream/token_source.h).
 *
 * Some sources give what the machine of a data plane is: its metadata service, a file on it. Only
 * an owner may set those, or lead what they give to another host.
 *
 * Threads  any; pure.
 */
#pragma once

#include "controlplane/domain/field.h"

extern const struct field credential_source_fields[];

/* The credential at that place of `doc`, and what it was in `old` (NULL: it is new). */
void credential_source_check(struct reading *r, const json_t *doc, const json_t *credential,
                             const json_t *old, size_t place);
/* Is it asked in a region? */
bool credential_source_is_regional(const json_t *source);
/* Is one of the credentials had without a secret of the policy? Then nothing is cleared where the
 * provider's host becomes another. */
bool credential_source_needs_no_secret(const json_t *credentials);
