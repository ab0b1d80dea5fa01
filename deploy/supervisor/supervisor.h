/*
 * supervisor — the set of processes: kept equal to the process directory, ended in order.
 *
 *   FOLDER/processes/   the entries (entry.h), written by ./gatehouse
 *   FOLDER/status       one line a process: name pid state restarts since stamp
 *
 * SIGHUP reads the directory again: new entries start, vanished ones end, those with another
 * stamp are restarted. SIGTERM and SIGINT end all, the highest rank first, each rank only when
 * the one above it is gone.
 *
 * SIGUSR2 asks for a new program in place of this one (handover.h), once no child is being ended.
 *
 * Owns     its processes.
 * Threads  one.
 */
#pragma once

#include <stdint.h>

#include "common/base/list.h"
#include "deploy/supervisor/process.h"

struct supervisor {
    struct list processes; /* by rank, low first */
    const char *folder;
    const char *log_folder;
    const char *users; /* ids that entries may name, with commas; NULL: none */
    int signals;       /* signalfd */
    bool is_ending;
    bool is_handing_over;
    uint64_t told; /* what the status file says, as one number */
};

MUST_USE enum err supervisor_init(struct supervisor *s, const char *folder, const char *log_folder);
MUST_USE enum err supervisor_run(struct supervisor *s); /* until all have ended, or to hand over */
/* A child that runs already, known by what of `e` names and ends it. Takes h's descriptors. */
MUST_USE enum err supervisor_adopt(struct supervisor *s, const struct entry *e, const char *stamp,
                                   const struct process_handed *h);
void supervisor_fini(struct supervisor *s);
