/*
 * supervisor — one loop over signals, deadlines and log pipes. How a child lives and dies is
 * process's; here is only which ones there are, and in which order they go.
 */
#include "deploy/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "deploy/supervisor/process.h"

#define IDLE_MS 60000    /* nothing is due: look around once a minute */
#define ORPHANS_TRIES 50 /* times 100 ms: what postgres leaves needs a moment to notice */

static enum err open_signals(struct supervisor *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return ERR_IO;
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals < 0 ? ERR_IO : ERR_OK;
}

enum err supervisor_init(struct supervisor *s, const char *folder, const char *log_folder)
{
    *s = (struct supervisor){.folder = folder, .log_folder = log_folder, .signals = -1};
    list_init(&s->processes);
    /* grandchildren whose parent died come to us, are reaped, and cannot outlive us unseen */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return ERR_IO;
    return open_signals(s);
}

void supervisor_fini(struct supervisor *s)
{
    LIST_EACH(&s->processes, it)
    {
        process_free(LIST_ITEM(it, struct process, link));
    }
    if (s->signals >= 0)
        close(s->signals);
}

static void insert_by_rank(struct supervisor *s, struct process *p)
{
    struct list *before = &s->processes;
    LIST_EACH(&s->processes, it)
    {
        if (LIST_ITEM(it, struct process, link)->entry->rank > p->entry->rank) {
            before = it;
            break;
        }
    }
    list_push(before, &p->link); /* a ring: in front of `before` */
}

static void add(struct supervisor *s, struct entry *e)
{
    list_remove(&e->link);
    struct process *p = NULL;
    if (process_new(e, s->log_folder, &p) == ERR_OK) {
        insert_by_rank(s, p);
        return;
    }
    log_error(NULL, "process_not_added", "name=%s", e->name);
    entry_free(e);
}

enum err supervisor_adopt(struct supervisor *s, const struct entry *e, const char *stamp,
                          const struct process_handed *h)
{
    struct entry *own = NULL;
    struct process *p = NULL;
    enum err err = entry_copy(e, stamp, &own);
    if (err == ERR_OK)
        err = process_adopt(own, s->log_folder, h, &p);
    if (err == ERR_OK)
        insert_by_rank(s, p);
    return err;
}

/* Ends what is no longer wanted, restarts what changed; takes the entries it has seen. */
static void reconcile_old(struct supervisor *s, struct list *wanted, uint64_t now)
{
    LIST_EACH(&s->processes, it)
    {
        struct process *p = LIST_ITEM(it, struct process, link);
        struct entry *e = entry_find(wanted, p->entry->name);
        struct entry *promised = p->next ? p->next : p->entry;
        bool is_leaving = p->state == PROCESS_ENDING && !p->next;
        if (e && !is_leaving && strcmp(e->stamp, promised->stamp) == 0) {
            if (p->next)
                entry_free(e);
            else
                process_renew(p, e);
            continue;
        }
        if (e)
            list_remove(&e->link);
        process_stop(p, e, now);
    }
}

/* The folder of entries belongs to the supervisor's own user, whose other processes could write
 * any user into one. */
static bool may_run_as(const struct supervisor *s, const struct entry *e)
{
    struct slice rest = s->users ? slice_str(s->users) : SLICE_NONE, one;
    uint64_t uid;
    if (e->uid == 0)
        return true;
    while (slice_split(&rest, ',', &one))
        if (slice_u64(one, &uid) == ERR_OK && uid == e->uid)
            return true;
    log_error(NULL, "entry_of_a_foreign_user", "name=%s uid=%u", e->name, e->uid);
    return false;
}

static void refuse_foreign(const struct supervisor *s, struct list *wanted)
{
    LIST_EACH(wanted, it)
    {
        struct entry *e = LIST_ITEM(it, struct entry, link);
        if (!may_run_as(s, e))
            entry_free(e);
    }
}

static void reconcile(struct supervisor *s, uint64_t now)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/processes", s->folder);
    struct list wanted;
    list_init(&wanted);
    enum err err = entry_read_all(path, &wanted);
    if (err == ERR_OK) {
        refuse_foreign(s, &wanted);
        reconcile_old(s, &wanted, now);
        LIST_EACH(&wanted, it)
        {
            add(s, LIST_ITEM(it, struct entry, link));
        }
        log_info(NULL, "entries_read", "folder=%s", path);
        return;
    }
    /* what runs goes on as it is */
    log_error(NULL, "entries_not_read", "folder=%s error=%s", path, err_name(err));
    LIST_EACH(&wanted, it)
    {
        entry_free(LIST_ITEM(it, struct entry, link));
    }
}

static void reap(struct supervisor *s, uint64_t now)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        LIST_EACH(&s->processes, it)
        {
            struct process *p = LIST_ITEM(it, struct process, link);
            if (p->pid == pid)
                process_exited(p, status, now);
        }
    }
}

static void on_signals(struct supervisor *s, uint64_t now)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP && !s->is_ending) {
            reconcile(s, now);
        } else if (info.ssi_signo == SIGUSR2) {
            s->is_handing_over = true;
        } else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
            log_info(NULL, "supervisor_ending", "signal=%u", info.ssi_signo);
            s->is_ending = true;
        }
    }
    reap(s, now); /* SIGCHLDs are merged, so children are asked for, not signals counted */
}

/* The highest rank that still lives is asked to end; those below it wait for their turn. */
static void end_next_rank(struct supervisor *s, uint64_t now)
{
    unsigned rank = 0;
    LIST_EACH(&s->processes, it)
    {
        struct process *p = LIST_ITEM(it, struct process, link);
        if (!is_process_alive(p))
            process_stop(p, NULL, now);
        else if (p->entry->rank > rank)
            rank = p->entry->rank;
    }
    LIST_EACH(&s->processes, it)
    {
        struct process *p = LIST_ITEM(it, struct process, link);
        if (is_process_alive(p) && p->entry->rank == rank)
            process_stop(p, NULL, now);
    }
}

static void tick(struct supervisor *s, uint64_t now)
{
    if (s->is_ending)
        end_next_rank(s, now);
    LIST_EACH(&s->processes, it)
    {
        struct process *p = LIST_ITEM(it, struct process, link);
        process_tick(p, now);
        if (p->state == PROCESS_ENDED)
            process_free(p);
    }
}

/* The loop turns with every log line; the file is written when it would say something else. */
static bool has_news(struct supervisor *s)
{
    uint64_t mark = 1;
    LIST_EACH(&s->processes, it)
    {
        const struct process *p = LIST_ITEM(it, struct process, link);
        mark = mark * 1000003u + (uint64_t)p->pid * 4u + (uint64_t)p->state;
        mark = mark * 1000003u + p->restarts;
    }
    bool is_new = mark != s->told;
    s->told = mark;
    return is_new;
}

static void write_status(struct supervisor *s)
{
    if (!has_news(s))
        return;
    char path[4096], fresh[4096];
    snprintf(path, sizeof(path), "%s/status", s->folder);
    snprintf(fresh, sizeof(fresh), "%s/.status", s->folder);
    FILE *out = fopen(fresh, "we");
    if (!out)
        return;
    LIST_EACH(&s->processes, it)
    {
        const struct process *p = LIST_ITEM(it, struct process, link);
        fprintf(out, "%s %d %s %u %lld %s\n", p->entry->name, (int)p->pid, process_state_name(p),
                p->restarts, (long long)p->started_wall_s, p->entry->stamp);
    }
    if (fclose(out) == 0 && rename(fresh, path) != 0)
        log_error(NULL, "status_not_written", "path=%s error=%s", path, strerror(errno));
}

static int milliseconds_to_next(const struct supervisor *s, uint64_t now)
{
    uint64_t next = now + (uint64_t)IDLE_MS * 1000u;
    LIST_EACH(&s->processes, it)
    {
        const struct process *p = LIST_ITEM(it, struct process, link);
        bool is_due = p->state == PROCESS_WAITING || p->state == PROCESS_ENDING;
        if (is_due && p->deadline < next)
            next = p->deadline;
    }
    return next <= now ? 0 : (int)((next - now) / 1000u) + 1;
}

static void wait_and_drain(struct supervisor *s, int timeout_ms)
{
    struct pollfd fds[1 + ENTRY_COUNT_MAX] = {{.fd = s->signals, .events = POLLIN}};
    nfds_t count = 1;
    LIST_EACH(&s->processes, it)
    {
        struct process *p = LIST_ITEM(it, struct process, link);
        if (count < ARRAY_LEN(fds))
            fds[count++] = (struct pollfd){.fd = p->sink.read_end, .events = POLLIN};
    }
    if (poll(fds, count, timeout_ms) < 0 && errno != EINTR)
        log_error(NULL, "poll_failed", "error=%s", strerror(errno));
    LIST_EACH(&s->processes, it)
    {
        sink_drain(&LIST_ITEM(it, struct process, link)->sink);
    }
}

/* Children of children that were killed outright: they end by themselves, or are ended. */
static void wait_for_orphans(void)
{
    for (int i = 0; i < ORPHANS_TRIES; i++) {
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            continue;
        if (pid < 0)
            return; /* ECHILD: no child is left */
        usleep(100000);
    }
    log_warn(NULL, "orphans_left", "seconds=%d", ORPHANS_TRIES / 10);
}

static bool may_hand_over(const struct supervisor *s)
{
    LIST_EACH(&s->processes, it)
    {
        if (LIST_ITEM(it, struct process, link)->state == PROCESS_ENDING)
            return false;
    }
    return s->is_handing_over && !s->is_ending;
}

enum err supervisor_run(struct supervisor *s)
{
    reconcile(s, clock_mono_us());
    while (!s->is_ending || !list_empty(&s->processes)) {
        tick(s, clock_mono_us());
        write_status(s);
        if (s->is_ending && list_empty(&s->processes))
            break;
        wait_and_drain(s, milliseconds_to_next(s, clock_mono_us()));
        on_signals(s, clock_mono_us());
        if (may_hand_over(s))
            return ERR_OK;
    }
    wait_for_orphans();
    return ERR_OK;
}
