/*
 * tool_report — what a data plane found when it listed a server's tools.
 *
 * The first report of a server is approved as it is, unless the server says `approve: each`.
 * Later, a tool that is new is pending, and one whose definition changed is quarantined until
 * somebody has looked. A tool that is gone keeps its row: it may come back changed.
 *
 * Owns     nothing.
 * Fails    as tx.h; ERR_INVALID: a report without a server, or of one that does not exist.
 * Threads  any; reports of one server are taken one at a time.
 */
#pragma once

#include "controlplane/store/tx.h"
#include "proto/channel.pb-c.h"

MUST_USE enum err tool_report_store(struct db *db, struct slice org,
                                    const Gatehouse__ToolReport *report);
