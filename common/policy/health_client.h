/*
 * health_client — what this plane tells of the providers' credentials, and what it hears of them.
 *
 * Once a second it reports what changed: whether a credential cools after a 429 and until when, how
 * many requests are under way, and what is left of this plane's share of its ceiling. The first
 * report of a connection is of all. Other planes of the pool get hints of it: a credential that one
 * of them found at its limit rests here too. What was only heard is not reported.
 *
 * Owns     the policy whose credentials it tells of, held; what it has reported.
 * Threads  the main thread's.
 */
#pragma once

#include "common/net/loop.h"
#include "common/policy/snapshot.h"
#include "common/wire/control_link.h"
#include "proto/channel.pb-c.h"

struct health_client;

/* links: the lease_client's */
MUST_USE enum err health_client_new(struct loop *l, const struct control_link *links,
                                    struct health_client **ret);
void health_client_free(struct health_client *c);                             /* NULL is fine */
void health_client_policy(struct health_client *c, const struct snapshot *s); /* holds it */
void health_client_on_state(struct health_client *c, bool up); /* the channel came or went */
void health_client_hint(struct health_client *c, const Gatehouse__HealthHint *h);
