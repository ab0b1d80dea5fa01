/*
 * renewal — asks for a new certificate over the channel when half of the old one's time is over.
 *
 * The new key and certificate replace the old files together by two renames; the context is
 * reloaded, connections that stand go on.
 *
 * Threads  the main thread's.
 */
#pragma once

#include "common/net/loop.h"
#include "common/net/tls.h"
#include "common/wire/control_link.h"

struct renewal;

MUST_USE enum err renewal_new(struct loop *l, const char *state_dir, struct tls_context *tls,
                              const struct control_link *links, struct renewal **ret);
void renewal_free(struct renewal *r);
