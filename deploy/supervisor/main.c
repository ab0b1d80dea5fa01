/*
 * gatehouse-supervisor — starts what ./gatehouse up has written down, and keeps it running.
 *
 * One directory of processes, one lock, one pid file; no dependencies, no timers, no sockets. A
 * real deployment has an init system for this and runs the programs under that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/option.h"
#include "deploy/supervisor/handover.h"

struct settings {
    const char *folder;
    const char *log_folder;
};

static const struct option options[] = {
    {"folder", NULL, OPTION_TEXT, NULL, "", "where processes/, status and the lock lie",
     offsetof(struct settings, folder), 0, 0},
    {"log-folder", NULL, OPTION_TEXT, NULL, "", "where NAME.log of each process goes",
     offsetof(struct settings, log_folder), 0, 0},
};

/* The lock says that a supervisor lives; its text says which. -1: another one has it. */
static int take_lock(const char *folder)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/supervisor.pid", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || ftruncate(fd, 0) != 0 ||
        dprintf(fd, "%d\n", (int)getpid()) < 0) {
        close(fd);
        return -1;
    }
    return fd;
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
        lock = take_lock(set.folder);
    }
    if (lock < 0) {
        log_error(NULL, "supervisor_not_alone", "folder=%s", set.folder);
        return 1;
    }

    struct supervisor s;
    enum err err = supervisor_init(&s, set.folder, set.log_folder);
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
