/*
 * process — the life of one child. It knows nothing of the others; the order is supervisor's.
 */
#include "deploy/supervisor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define PAUSE_FIRST_US 250000u /* short enough that a crash is a hiccup */
#define PAUSE_MAX_US 10000000u /* long enough that a broken program costs nothing */
#define SETTLED_US 10000000u   /* lived this long: the next crash is a new story */
#define KILL_AGAIN_US 1000000u /* a child in uninterruptible sleep is asked again */

enum err process_new(struct entry *entry, const char *log_folder, struct process **ret)
{
    struct process *p = mem_zalloc(sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    enum err err = sink_open(&p->sink, log_folder, entry->name);
    if (err != ERR_OK) {
        mem_free(p);
        return err;
    }
    list_init(&p->link);
    p->entry = entry;
    p->pause_us = PAUSE_FIRST_US;
    *ret = p;
    return ERR_OK;
}

enum err process_adopt(struct entry *entry, const char *log_folder, const struct process_handed *h,
                       struct process **ret)
{
    struct process *p = mem_zalloc(sizeof(*p));
    enum err err =
        p ? sink_adopt(&p->sink, log_folder, entry->name, h->read_end, h->write_end) : ERR_NOMEM;
    if (err != ERR_OK) {
        entry_free(entry);
        mem_free(p);
        return err;
    }
    list_init(&p->link);
    p->entry = entry;
    p->pause_us = PAUSE_FIRST_US;
    p->state = PROCESS_RUNNING;
    p->pid = h->pid;
    p->restarts = h->restarts;
    p->started_wall_s = h->started_wall_s;
    p->started_us = clock_mono_us(); /* a crash within the next seconds counts as an early one */
    *ret = p;
    return ERR_OK;
}

/* The same entry as it is now: with what a start needs. */
void process_renew(struct process *p, struct entry *same)
{
    list_remove(&same->link);
    entry_free(p->entry);
    p->entry = same;
}

void process_free(struct process *p)
{
    if (!p)
        return;
    MUST(!is_process_alive(p));
    list_remove(&p->link);
    sink_close(&p->sink);
    entry_free(p->entry);
    entry_free(p->next);
    mem_free(p);
}

const char *process_state_name(const struct process *p)
{
    static const char *const names[] = {"waiting", "running", "ending", "ended"};
    return names[p->state];
}

bool is_process_alive(const struct process *p)
{
    return p->pid > 0;
}

/* Only async-signal-safe calls from here to exec. */

/* Another user's process gets that user and group, and nothing else of the supervisor's. None gets
 * its capabilities, which are there to do this. */
static bool give_up_rights(const struct entry *e)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    gid_t gid = e->gid;
    if (e->uid && (setgroups(1, &gid) != 0 || setresgid(gid, gid, gid) != 0 ||
                   setresuid(e->uid, e->uid, e->uid) != 0))
        return false;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* root (a test) would have them again with the next program, and the kernel, to which that is a
     * gain of rights, would forget the signal that is asked for below */
    return geteuid() == 0 || syscall(SYS_capset, &head, none) == 0;
}

static _Noreturn void become(const struct process *p, pid_t parent)
{
    setpgid(0, 0);
    if (!give_up_rights(p->entry))
        _exit(126);
    /* The supervisor killed outright must not leave its children behind. The kernel forgets this
     * when a process changes its user: it comes after that. */
    prctl(PR_SET_PDEATHSIG, p->entry->stop_signal);
    if (getppid() != parent)
        _exit(1);

    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(p->sink.write_end, 1) < 0 ||
        dup2(p->sink.write_end, 2) < 0)
        _exit(126);

    struct rlimit no_core = {0, 0}; /* a core holds keys and prompts */
    setrlimit(RLIMIT_CORE, &no_core);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    execve(p->entry->argv[0], p->entry->argv, p->entry->envp);
    static const char sorry[] = "supervisor: the program could not be executed\n";
    if (write(2, sorry, sizeof(sorry) - 1) < 0)
        _exit(126);
    _exit(127);
}

static void wait_for_another_try(struct process *p, uint64_t now)
{
    p->state = PROCESS_WAITING;
    p->deadline = now + p->pause_us;
    p->pause_us = p->pause_us * 2 > PAUSE_MAX_US ? PAUSE_MAX_US : p->pause_us * 2;
    p->restarts++;
}

static void start(struct process *p, uint64_t now)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(p, parent);
    if (pid < 0) {
        log_error(NULL, "process_not_forked", "name=%s error=%s", p->entry->name, strerror(errno));
        wait_for_another_try(p, now);
        return;
    }
    setpgid(pid, pid); /* whichever of the two comes first */
    p->pid = pid;
    p->state = PROCESS_RUNNING;
    p->started_us = now;
    p->started_wall_s = clock_wall_us() / 1000000;
    log_info(NULL, "process_started", "name=%s pid=%d restarts=%u", p->entry->name, (int)pid,
             p->restarts);
}

void process_tick(struct process *p, uint64_t now)
{
    if (now < p->deadline)
        return;
    if (p->state == PROCESS_WAITING) {
        start(p, now);
    } else if (p->state == PROCESS_ENDING) {
        log_warn(NULL, "process_killed", "name=%s pid=%d grace_s=%u", p->entry->name, (int)p->pid,
                 p->entry->grace_s);
        kill(-p->pid, SIGKILL);
        p->deadline = now + KILL_AGAIN_US;
    }
}

static void take_next(struct process *p)
{
    entry_free(p->entry);
    p->entry = p->next;
    p->next = NULL;
    p->state = PROCESS_WAITING;
    p->deadline = 0;
    p->restarts = 0;
    p->pause_us = PAUSE_FIRST_US;
}

static void ended(struct process *p)
{
    if (p->next)
        take_next(p);
    else
        p->state = PROCESS_ENDED;
}

void process_stop(struct process *p, struct entry *next, uint64_t now)
{
    entry_free(p->next);
    p->next = next;
    if (!is_process_alive(p)) {
        ended(p);
        return;
    }
    if (p->state == PROCESS_ENDING)
        return;
    p->state = PROCESS_ENDING;
    p->deadline = now + (uint64_t)p->entry->grace_s * 1000000u;
    kill(p->pid, p->entry->stop_signal);
}

static void tell(const struct process *p, int wait_status)
{
    if (WIFSIGNALED(wait_status))
        log_info(NULL, "process_ended", "name=%s pid=%d signal=%d", p->entry->name, (int)p->pid,
                 WTERMSIG(wait_status));
    else
        log_info(NULL, "process_ended", "name=%s pid=%d code=%d", p->entry->name, (int)p->pid,
                 WEXITSTATUS(wait_status));
}

void process_exited(struct process *p, int wait_status, uint64_t now)
{
    tell(p, wait_status);
    kill(-p->pid, SIGKILL); /* whatever it started and left */
    p->pid = 0;
    if (p->state == PROCESS_ENDING) {
        ended(p);
        return;
    }
    if (now - p->started_us >= SETTLED_US)
        p->pause_us = PAUSE_FIRST_US;
    wait_for_another_try(p, now);
}
