/*
 * handover — the file, the descriptors that stay open, and the new program.
 */
#include "deploy/supervisor/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "deploy/supervisor/process.h"

#define LINE_MAX 512

static void path_of(const char *folder, char out[static 4096])
{
    snprintf(out, 4096, "%s/handover", folder);
}

static void keep_open(int fd, bool keep)
{
    fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

static void keep_all(struct supervisor *s, int lock, bool keep)
{
    keep_open(lock, keep);
    LIST_EACH(&s->processes, it)
    {
        const struct process *p = LIST_ITEM(it, struct process, link);
        keep_open(p->sink.read_end, keep && is_process_alive(p));
        keep_open(p->sink.write_end, keep && is_process_alive(p));
    }
}

static bool write_file(struct supervisor *s, int lock, const char *path)
{
    FILE *out = fopen(path, "we");
    if (!out)
        return false;
    fprintf(out, "supervisor %d %d\n", (int)getpid(), lock);
    LIST_EACH(&s->processes, it)
    {
        const struct process *p = LIST_ITEM(it, struct process, link);
        if (!is_process_alive(p)) /* it is started from its entry */
            continue;
        fprintf(out, "process %u %s %d %u %lld %d %d %d %u %s\n", p->entry->rank, p->entry->name,
                (int)p->pid, p->restarts, (long long)p->started_wall_s, p->sink.read_end,
                p->sink.write_end, p->entry->stop_signal, p->entry->grace_s, p->entry->stamp);
    }
    bool written = !ferror(out);
    return fclose(out) == 0 && written;
}

void handover_give(struct supervisor *s, int lock, char **argv)
{
    char path[4096];
    path_of(s->folder, path);
    if (write_file(s, lock, path)) {
        log_info(NULL, "handing_over", "program=%s", argv[0]);
        keep_all(s, lock, true);
        execv(argv[0], argv);
        keep_all(s, lock, false);
    }
    log_error(NULL, "not_handed_over", "program=%s error=%s", argv[0], strerror(errno));
    unlink(path);
}

int handover_lock(const char *folder)
{
    char path[4096];
    int pid = 0, lock = -1;
    path_of(folder, path);
    FILE *in = fopen(path, "re");
    if (!in)
        return -1;
    if (fscanf(in, "supervisor %d %d", &pid, &lock) != 2 || pid != (int)getpid())
        lock = -1;
    fclose(in);
    if (lock < 0)
        unlink(path); /* of a supervisor that is gone */
    else
        keep_open(lock, false);
    return lock;
}

/* One line, as write_file writes it. */
static void take_line(struct supervisor *s, const char *line)
{
    struct entry e = {0};
    struct process_handed h = {0};
    char stamp[LINE_MAX];
    int pid, n;
    long long since;
    n = sscanf(line, "process %u %63s %d %u %lld %d %d %d %u %511s", &e.rank, e.name, &pid,
               &h.restarts, &since, &h.read_end, &h.write_end, &e.stop_signal, &e.grace_s, stamp);
    if (n != 10) {
        log_error(NULL, "handover_unreadable", "line=%.40s", line);
        return;
    }
    h.pid = pid;
    h.started_wall_s = since;
    if (supervisor_adopt(s, &e, stamp, &h) != ERR_OK)
        log_error(NULL, "process_not_adopted", "name=%s pid=%d", e.name, pid);
}

void handover_take(struct supervisor *s)
{
    char path[4096], line[LINE_MAX];
    path_of(s->folder, path);
    FILE *in = fopen(path, "re");
    if (!in)
        return;
    while (fgets(line, sizeof(line), in)) {
        if (strncmp(line, "process ", 8) == 0)
            take_line(s, line);
    }
    fclose(in);
    unlink(path);
}
