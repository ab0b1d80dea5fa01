/*
 * key_memo — the principals of credentials that came lately, so that the next request with one of
 * them costs no digest and no way from the key to its agent and team.
 *
 * It holds no credential, only a 128-bit tag of the whole of it, under a key that is drawn for each
 * memo and never leaves it: what lies here reveals no credential, and no other one can be made that
 * has the same tag. A place for each tag; a newer one takes it. What is found was found under one
 * policy and is forgotten with it, so a key that was revoked, blocked or changed is looked up anew.
 * Whether a key has expired is for the caller to ask each time.
 *
 * Owns     its table, and a hold on the policy.
 * Fails    NULL: everything then works without it.
 * Threads  its worker's.
 */
#pragma once

#include "common/base/sip.h"
#include "common/request/principal.h"

struct key_memo;

struct key_memo *key_memo_new(void);
void key_memo_free(struct key_memo *m);
struct sip_tag key_memo_tag(const struct key_memo *m, struct slice credential);
/* NULL: not known under this policy. Lent until the next keep. */
const struct principal *key_memo_find(const struct key_memo *m, const struct snapshot *policy,
                                      struct sip_tag tag);
/* who: complete, and neither revoked nor blocked under this policy */
void key_memo_keep(struct key_memo *m, const struct snapshot *policy, struct sip_tag tag,
                   const struct principal *who);
void key_memo_forget(struct key_memo *m); /* all of it, and lets the policy go */
