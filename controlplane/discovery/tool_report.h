/*
 * tool_report — what a data plane found when it listed a server's tools, part by part.
 *
 * The first complete list of a server is approved as it is, unless the server says
 * `approve: each`. Later, a tool that is new is pending, and one whose definition changed is
 * quarantined until an administrator has looked. A tool that is gone keeps its row and is marked:
 * it may come back, changed or not. A report by an older revision of the server is passed over: it
 * may be of another host.
 *
 * Owns     nothing.
 * Fails    as tx.h; ERR_INVALID: a report that no Gatehouse plane writes.
 * Threads  any; reports of one server are taken one at a time.
 */
#pragma once

#include "controlplane/store/tx.h"
#include "proto/channel.pb-c.h"

#define TOOL_REPORT_AGAIN_US (5 * 60 * INT64_C(1000000)) /* decisions.md, Discovery */
#define TOOL_REPORT_RETRY_US                                                                       \
    (15 * INT64_C(1000000)) /* after a failure; doubles up to the above                            \
                             */
#define TOOL_REPORT_PAUSE_US                                                                       \
    (5 * INT64_C(1000000)) /* the least time between two listings of one server */

/* The plane that reports, and the time. */
struct tool_reporter {
    struct slice plane, org;
    int64_t now_us;
};

MUST_USE enum err tool_report_store(struct db *db, const struct tool_reporter *reporter,
                                    const Gatehouse__ToolReport *report);
