/*
 * channel_kit — a control plane's channel over the base, with its follower, and a data plane that
 * speaks to it: "dp_a", and others that a test adds.
 *
 * Owns     channel_kit_open makes what channel_kit_close ends, beside the base itself.
 * Threads  the test's; the follower's own.
 */
#pragma once

#include "controlplane/channel/channel.h"
#include "proto/channel.pb-c.h"
#include "tests/kit/db/base.h"

extern struct channel channel;

/* Behind base_open, and before base_close. */
void channel_kit_open(void);
void channel_kit_close(void);

void put_plane(const char *id);
void remove_plane(const char *id);
void await_known(const char *id, bool known);

/* Each reply is given back to hush. */
Gatehouse__Reply *say_bytes(const char *plane, struct slice bytes);
/* Of epoch 1, under the next number. */
Gatehouse__Reply *say(const char *plane, Gatehouse__Request *request);
/* As one whose reply was lost: under the number that the request has. */
Gatehouse__Reply *say_again(const char *plane, const Gatehouse__Request *request);
void hush(Gatehouse__Reply *m);
