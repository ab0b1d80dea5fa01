/*
 * enrol — a plane's first contact: a one-time token becomes a certificate.
 *
 * The private key is made here and never sent. The control plane's CA is accepted because the token
 * holds its digest; the first contact needs no other trust. Enrolment is tried again, with growing
 * pauses, while the control plane cannot be reached; a refusal ends it.
 *
 * Owns     its client and resolver until it ends.
 * Fails    done with ERR_DENIED where the control plane refused, ERR_INVALID for a token or an
 *          response that cannot be read or a CA that is not the token's, ERR_IO.
 * Threads  the loop's.
 */
#pragma once

#include "common/base/slice.h"
#include "common/net/loop.h"

struct enrolment;

struct enrolment_config {
    const char *admin_url;  /* "http://127.0.0.1:8081" */
    const char *token_file; /* read when needed; never logged */
    const char *state_dir;  /* receives plane.crt, plane.key, ca.crt, each 0600 */
};

bool enrolment_is_needed(const char *state_dir);
bool enrolment_was_removed(
    const char *state_dir); /* by the control plane, and not enrolled since */
MUST_USE enum err enrolment_start(const struct enrolment_config *c, struct loop *l,
                                  void (*done)(void *arg, enum err e), void *arg,
                                  struct enrolment **ret);
void enrolment_cancel(struct enrolment **e); /* no callback afterwards; also frees an ended one */
