/*
 * process — one child: started, waited for, started again with growing pauses, ended politely.
 *
 * Its state moves only here:
 *
 *   WAITING ──start──▶ RUNNING ──stop──▶ ENDING ──exit──▶ ENDED
 *      ▲──────exit────────┘                                (or WAITING, with the next entry)
 *
 * Owns     its entry, the next one, its sink.
 * Fails    a start that fails counts as an exit: the pause grows.
 * Threads  one; time is a parameter (microseconds since boot).
 */
#pragma once

#include <sys/types.h>

#include "common/base/list.h"
#include "deploy/supervisor/entry.h"
#include "deploy/supervisor/sink.h"

enum process_state { PROCESS_WAITING, PROCESS_RUNNING, PROCESS_ENDING, PROCESS_ENDED };

struct process {
    struct list link;
    struct entry *entry;
    struct entry *next; /* replaces `entry` once the child has ended */
    struct sink sink;
    enum process_state state;
    pid_t pid;
    unsigned restarts;
    uint64_t pause_us; /* before the next start */
    uint64_t deadline; /* WAITING: start then; ENDING: kill then */
    uint64_t started_us;
    int64_t started_wall_s;
};

/* What is known of a child that another program of this very process has started. */
struct process_handed {
    pid_t pid;
    unsigned restarts;
    int64_t started_wall_s;
    int read_end, write_end; /* of its sink */
};

/* A process that runs already; takes entry and the descriptors, also on failure. */
MUST_USE enum err process_adopt(struct entry *entry, const char *log_folder,
                                const struct process_handed *h, struct process **ret);
MUST_USE enum err process_new(struct entry *entry, const char *log_folder, struct process **ret);
void process_free(struct process *p); /* not while it has a child */

const char *process_state_name(const struct process *p);
bool is_process_alive(const struct process *p);

void process_tick(struct process *p, uint64_t now); /* starts or kills, when that is due */
/* Takes an entry of the same stamp in place of the one it has. */
void process_renew(struct process *p, struct entry *same);
/* Ends the child; afterwards it runs `next` (taken), or nothing where that is NULL. */
void process_stop(struct process *p, struct entry *next, uint64_t now);
void process_exited(struct process *p, int wait_status, uint64_t now);
