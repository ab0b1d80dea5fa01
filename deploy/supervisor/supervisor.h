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
 * Owns     its processes.
 * Threads  one.
 */
#pragma once

#include <stdint.h>

#include "common/base/list.h"

struct supervisor {
    struct list processes; /* by rank, low first */
    const char *folder;
    const char *log_folder;
    int signals; /* signalfd */
    bool is_ending;
    uint64_t told; /* what the status file says, as one number */
};

MUST_USE enum err supervisor_init(struct supervisor *s, const char *folder, const char *log_folder);
MUST_USE enum err supervisor_run(struct supervisor *s); /* returns when all have ended */
void supervisor_fini(struct supervisor *s);
