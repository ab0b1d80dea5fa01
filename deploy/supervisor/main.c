/*
 * gatehouse-supervisor — starts what ./gatehouse up has written down, and keeps it running.
 *
 * One directory of processes, one lock, one pid file; no dependencies, no timers, no sockets. A
 * real deployment has an init system for this and runs the programs under that.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/option.h"
#include "deploy/supervisor/handover.h"

#define LOCK_TRIES 50   /* a tenth of a second each */
#define GUARD_PAUSE_S 1 /* for what the killed one leaves to end */

struct settings {
    const char *folder;
    const char *log_folder;
    const char *users;
};

static const struct option options[] = {
    {"folder", NULL, OPTION_TEXT, NULL, "", "where processes/, status and the lock lie",
     offsetof(struct settings, folder), 0, 0},
    {"log-folder", NULL, OPTION_TEXT, NULL, "", "where NAME.log of each process goes",
     offsetof(struct settings, log_folder), 0, 0},
    {"users", NULL, OPTION_TEXT, NULL, "ids", "of the users that entries may name, with commas",
     offsetof(struct settings, users), 0, 0},
};

/* `gatehouse status` looks at the lock by holding it shared for a moment, and a child of a killed
 * supervisor has it until it executes its program: neither is another supervisor. */
static bool lock_alone(int fd)
{
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        usleep(100000);
    }
    return false;
}

/* The lock says that a supervisor lives; its text says which. -1: another one has it. */
static int take_lock(const char *folder)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/supervisor.pid", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return -1;
    if (!lock_alone(fd) || ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A supervisor that is killed takes its children along and cannot start anything again. Its parent
 * does nothing but wait for it, and starts another one. Returns in the supervisor, -1; and in the
 * parent once the supervisor has ended by itself, with its exit code. */
static int guard(void)
{
    for (;;) {
        pid_t guardian = getpid(), pid = fork();
        int status = 0;
        if (pid < 0)
            return 1;
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM); /* alone it could not be replaced: all end in order */
            return getppid() == guardian ? -1 : 1;
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        if (WIFEXITED(status))
            return WEXITSTATUS(status);
        log_error(NULL, "supervisor_killed", "pid=%d signal=%d", (int)pid, WTERMSIG(status));
        sleep(GUARD_PAUSE_S);
    }
}

int main(int argc, char **argv)
{
    struct settings set = {0};
    bool want_help = false;
    if (option_read("gatehouse-supervisor", "keeps the processes of one installation running",
                    options, ARRAY_LEN(options), argc, argv, &set, &want_help) != ERR_OK)
        return 2;
    if (want_help)
        return 0;
    if (!set.folder || !*set.folder || !set.log_folder || !*set.log_folder) {
        fputs("gatehouse-supervisor: --folder and --log-folder are needed\n", stderr);
        return 2;
    }

    umask(027);
    log_setup("supervisor", LOG_INFO);
    int lock = handover_lock(set.folder);
    bool is_handed = lock >= 0;
    if (!is_handed) {
        close_range(3, ~0u, 0); /* the script's locks and pipes are not ours to hold */
        int ended = guard();
        if (ended >= 0)
            return ended;
        lock = take_lock(set.folder);
    }
    if (lock < 0) {
        log_error(NULL, "supervisor_not_alone", "folder=%s", set.folder);
        return 1;
    }

    struct supervisor s;
    enum err err = supervisor_init(&s, set.folder, set.log_folder);
    s.users = set.users;
    if (err == ERR_OK && is_handed)
        handover_take(&s);
    if (err == ERR_OK)
        err = supervisor_run(&s);
    while (err == ERR_OK && s.is_handing_over && !s.is_ending) {
        handover_give(&s, lock, argv);
        s.is_handing_over = false; /* it failed: this program goes on */
        err = supervisor_run(&s);
    }
    supervisor_fini(&s);
    close(lock);
    return err == ERR_OK ? 0 : 1;
}
