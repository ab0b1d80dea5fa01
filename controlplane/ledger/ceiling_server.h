/*
 * ceiling_server — shares of credentials' ceilings for data planes, on the rows of the database, so
 * that all control planes grant from the same.
 *
 * One request is one transaction under one lock; the rule is common/ledger/ceiling_share.h's. Which
 * limit a credential has is what the asking plane says, whose policy this control plane pushed.
 *
 * Owns     nothing.
 * Fails    as tx.h; ERR_INVALID for a request that no correct plane sends.
 * Threads  any.
 */
#pragma once

#include "controlplane/store/tx.h"
#include "proto/channel.pb-c.h"

/* Grants in the order of the asks. ret lives until ceiling_reply_free. */
struct ceiling_reply {
    Gatehouse__CeilingReply reply;
    Gatehouse__CeilingGrant *rows;
};

MUST_USE enum err ceiling_server_ask(struct db *db, struct slice org, struct slice dataplane,
                                     const Gatehouse__CeilingRequest *request, int64_t now_us,
                                     struct ceiling_reply *ret);
void ceiling_reply_free(struct ceiling_reply *r);
