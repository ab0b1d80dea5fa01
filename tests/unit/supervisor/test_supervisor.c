/* The supervisor, played with real children: shells that sleep, crash, chatter and refuse to go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "deploy/supervisor/entry.h"
#include "deploy/supervisor/sink.h"
#include "deploy/supervisor/supervisor.h"
#include "tests/kit/scratch.h"

#define UNIT(name) static void name(void **state)
#define SLEEPER "trap 'exit 0' TERM; while :; do sleep 0.05; done"
#define PATIENCE_MS 10000 /* far above what anything here needs, on a busy machine too */

struct scenario {
    char folder[SCRATCH_MAX];
    char run[SCRATCH_MAX + 8];
    pid_t supervisor;
    const char *users;
};

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void says(const struct scenario *p, const char *file, const char *stamp, const char *stop,
                 const char *script)
{
    char path[256], text[2048];
    snprintf(path, sizeof(path), "%s/processes/%s", p->run, file);
    snprintf(text, sizeof(text), "stamp %s\nstop %s\nenv HERE=%s\narg /bin/sh\narg -c\narg %s\n",
             stamp, stop, p->folder, script);
    write_file(path, text);
}

static int begin(void **state)
{
    struct scenario *p = calloc(1, sizeof(*p));
    if (!scratch_folder(p->folder))
        return -1;
    char path[128];
    snprintf(p->run, sizeof(p->run), "%s/run", p->folder);
    snprintf(path, sizeof(path), "%s/processes", p->run);
    if (mkdir(p->run, 0700) != 0 || mkdir(path, 0700) != 0)
        return -1;
    *state = p;
    return 0;
}

static void remove_folder(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        char below[512];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
        if (unlink(below) != 0)
            remove_folder(below);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

static int end(void **state)
{
    struct scenario *p = *state;
    if (p->supervisor > 0) {
        kill(p->supervisor, SIGTERM);
        waitpid(p->supervisor, NULL, 0);
    }
    remove_folder(p->folder);
    free(p);
    return 0;
}

static void supervisor_starts(struct scenario *p)
{
    p->supervisor = fork();
    assert_true(p->supervisor >= 0);
    if (p->supervisor > 0)
        return;
    log_setup("supervisor", LOG_ERROR);
    struct supervisor s;
    if (supervisor_init(&s, p->run, p->folder) != ERR_OK)
        _exit(1);
    s.users = p->users;
    if (supervisor_run(&s) != ERR_OK)
        _exit(1);
    supervisor_fini(&s);
    _exit(0);
}

static void supervisor_is_told(const struct scenario *p, int signal_number)
{
    assert_int_equal(kill(p->supervisor, signal_number), 0);
}

static void supervisor_ends(struct scenario *p)
{
    int status = -1;
    assert_int_equal(waitpid(p->supervisor, &status, 0), p->supervisor);
    p->supervisor = 0;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* What the status file says of a process; false where it does not name it. */
static bool status_of(const struct scenario *p, const char *name, int *pid, char state[16],
                      unsigned *restarts)
{
    char path[128], seen[64];
    snprintf(path, sizeof(path), "%s/status", p->run);
    FILE *in = fopen(path, "re");
    bool found = false;
    while (in && !found && fscanf(in, "%63s %d %15s %u %*[^\n]", seen, pid, state, restarts) == 4)
        found = strcmp(seen, name) == 0;
    if (in)
        fclose(in);
    return found;
}

/* Waits until it is in that state with that many restarts at least; its pid. */
static int becomes(const struct scenario *p, const char *name, const char *state, unsigned restarts)
{
    for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
        int pid = 0;
        char now[16];
        unsigned seen = 0;
        if (status_of(p, name, &pid, now, &seen) && strcmp(now, state) == 0 && seen >= restarts)
            return pid;
        usleep(10000);
    }
    fail_msg("%s did not become %s", name, state);
    return 0;
}

static void vanishes(const struct scenario *p, const char *name)
{
    int pid;
    char now[16];
    unsigned seen;
    for (int ms = 0; ms < PATIENCE_MS && status_of(p, name, &pid, now, &seen); ms += 10)
        usleep(10000);
    assert_false(status_of(p, name, &pid, now, &seen));
}

static void is_gone(int pid)
{
    for (int ms = 0; ms < PATIENCE_MS && kill(pid, 0) == 0; ms += 10)
        usleep(10000);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void holds(const struct scenario *p, const char *file, const char *want)
{
    char path[128], text[512] = "";
    snprintf(path, sizeof(path), "%s/%s", p->folder, file);
    for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
        FILE *in = fopen(path, "re");
        size_t n = in ? fread(text, 1, sizeof(text) - 1, in) : 0;
        text[n] = '\0';
        if (in)
            fclose(in);
        if (strcmp(text, want) == 0)
            return;
        usleep(10000);
    }
    assert_string_equal(text, want);
}

static struct entry *entry_of(const struct scenario *p, const char *file, const char *text)
{
    char path[256], folder[128];
    snprintf(folder, sizeof(folder), "%s/processes", p->run);
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    write_file(path, text);
    struct entry *e = NULL;
    enum err err = entry_read(folder, file, &e);
    assert_int_equal(err == ERR_OK, e != NULL);
    return e;
}

UNIT(an_entry_is_read_with_its_rank_arguments_and_environment)
{
    struct entry *e = entry_of(*state, "40-dp-1",
                               "stamp abc\nstop INT 7\nenv A=b c\nenv D=\narg /bin/x\narg -y z\n");
    assert_non_null(e);
    assert_int_equal(e->rank, 40);
    assert_string_equal(e->name, "dp-1");
    assert_string_equal(e->stamp, "abc");
    assert_int_equal(e->stop_signal, SIGINT);
    assert_int_equal(e->grace_s, 7);
    assert_string_equal(e->argv[0], "/bin/x");
    assert_string_equal(e->argv[1], "-y z");
    assert_null(e->argv[2]);
    assert_string_equal(e->envp[0], "A=b c");
    assert_string_equal(e->envp[1], "D=");
    assert_null(e->envp[2]);
    entry_free(e);
}

UNIT(a_malformed_entry_is_refused)
{
    static const char *const bad[] = {
        "",                                /* no program */
        "arg relative\n",                  /* searched nowhere */
        "arg\n",                           /* a word without a value */
        "argument /bin/x\n",               /* an unknown word */
        "arg /bin/x\nenv NOVALUE\n",       /* no '=' */
        "arg /bin/x\nstop HUP 3\n",        /* not an accepted signal */
        "arg /bin/x\nstop TERM 3600000\n", /* beyond the ceiling */
        "arg /bin/x\nstop TERM 3 4\n",     /* too much */
    };
    log_setup("test", LOG_ERROR);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_null(entry_of(*state, "10-x", bad[i]));
    static const char *const misnamed[] = {"x", "10x", "-x", "10-", "100-x"};
    for (size_t i = 0; i < ARRAY_LEN(misnamed); i++)
        assert_null(entry_of(*state, misnamed[i], "arg /bin/x\n"));
}

UNIT(more_arguments_than_there_is_room_for_are_refused)
{
    char text[ENTRY_WORDS_MAX * 8 + 64] = "arg /bin/x\n";
    for (size_t i = 1; i < ENTRY_WORDS_MAX; i++)
        strcat(text, "arg y\n");
    struct entry *e = entry_of(*state, "10-x", text);
    assert_non_null(e);
    entry_free(e);
    strcat(text, "arg y\n");
    assert_null(entry_of(*state, "10-x", text));
}

UNIT(a_program_that_ends_is_started_again_with_growing_pauses)
{
    struct scenario *p = *state;
    says(p, "10-crash", "a", "TERM 5", "date +%s%N >>$HERE/starts; exit 3");
    supervisor_starts(p);
    becomes(p, "crash", "waiting", 4);

    char path[128];
    long long at[4] = {0};
    snprintf(path, sizeof(path), "%s/starts", p->folder);
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    for (int i = 0; i < 4; i++)
        assert_int_equal(fscanf(in, "%lld", &at[i]), 1);
    fclose(in);
    assert_true(at[1] - at[0] >= 200000000); /* 250 ms, and a clock's slack */
    assert_true(at[3] - at[2] >= 900000000); /* 1 s after two doublings */
}

UNIT(another_stamp_restarts_that_process_and_no_other)
{
    struct scenario *p = *state;
    says(p, "10-one", "a", "TERM 5", "echo first >>$HERE/one; " SLEEPER);
    says(p, "10-two", "a", "TERM 5", SLEEPER);
    supervisor_starts(p);
    int one = becomes(p, "one", "running", 0);
    int two = becomes(p, "two", "running", 0);
    holds(p, "one", "first\n");

    says(p, "10-one", "b", "TERM 5", "echo second >>$HERE/one; " SLEEPER);
    supervisor_is_told(p, SIGHUP);
    holds(p, "one", "first\nsecond\n");
    assert_int_not_equal(becomes(p, "one", "running", 0), one);
    assert_int_equal(becomes(p, "two", "running", 0), two);
}

UNIT(entries_that_are_read_again_unchanged_still_start_their_processes)
{
    struct scenario *p = *state;
    says(p, "10-one", "a", "TERM 5", SLEEPER);
    says(p, "10-two", "a", "TERM 5", SLEEPER);
    supervisor_starts(p);
    int two = becomes(p, "two", "running", 0);
    for (int i = 0; i < 3; i++) {
        char file[32], name[32];
        snprintf(file, sizeof(file), "20-marker%d", i);
        snprintf(name, sizeof(name), "marker%d", i);
        says(p, file, "a", "TERM 5", SLEEPER);
        supervisor_is_told(p, SIGHUP);
        becomes(p, name, "running", 0); /* the directory was read */
        int one = becomes(p, "one", "running", (unsigned)i);
        assert_int_equal(kill(one, SIGKILL), 0);
        becomes(p, "one", "running", (unsigned)i + 1);
    }
    assert_int_equal(becomes(p, "two", "running", 0), two);
    supervisor_is_told(p, SIGTERM);
    supervisor_ends(p);
}

UNIT(new_entries_start_and_vanished_ones_end)
{
    struct scenario *p = *state;
    says(p, "10-old", "a", "TERM 5", SLEEPER);
    supervisor_starts(p);
    int old = becomes(p, "old", "running", 0);

    char path[128];
    snprintf(path, sizeof(path), "%s/processes/10-old", p->run);
    assert_int_equal(unlink(path), 0);
    says(p, "20-new", "a", "TERM 5", SLEEPER);
    supervisor_is_told(p, SIGHUP);
    becomes(p, "new", "running", 0);
    vanishes(p, "old");
    is_gone(old);
}

UNIT(the_highest_rank_ends_first_and_the_next_waits_for_it)
{
    struct scenario *p = *state;
    static const char bottom[] = "trap 'echo bottom >>$HERE/order; exit 0' TERM; touch $HERE/b; "
                                 "while :; do sleep 0.02; done";
    static const char top[] = "trap 'sleep 0.3; echo top >>$HERE/order; exit 0' TERM; "
                              "touch $HERE/t; while :; do sleep 0.02; done";
    says(p, "10-bottom", "a", "TERM 5", bottom);
    says(p, "40-top", "a", "TERM 5", top);
    supervisor_starts(p);
    holds(p, "b", "");
    holds(p, "t", "");
    usleep(300000); /* the traps stand before the files are touched; let the files be there */
    supervisor_is_told(p, SIGTERM);
    supervisor_ends(p);
    holds(p, "order", "top\nbottom\n");
}

UNIT(one_that_ignores_the_signal_is_killed_after_its_grace)
{
    struct scenario *p = *state;
    says(p, "10-deaf", "a", "TERM 1",
         "trap '' TERM; echo up >>$HERE/up; while :; do sleep 1; done");
    supervisor_starts(p);
    int deaf = becomes(p, "deaf", "running", 0);
    holds(p, "up", "up\n");
    supervisor_is_told(p, SIGTERM);
    supervisor_ends(p);
    is_gone(deaf);
}

UNIT(a_supervisor_killed_outright_takes_its_children_along)
{
    struct scenario *p = *state;
    says(p, "10-child", "a", "TERM 5", SLEEPER);
    supervisor_starts(p);
    int child = becomes(p, "child", "running", 0);
    supervisor_is_told(p, SIGKILL);
    assert_int_equal(waitpid(p->supervisor, NULL, 0), p->supervisor);
    p->supervisor = 0;
    is_gone(child);
}

UNIT(what_a_process_prints_is_in_its_log)
{
    struct scenario *p = *state;
    says(p, "10-talker", "a", "TERM 5", "echo out; echo err >&2; " SLEEPER);
    supervisor_starts(p);
    holds(p, "talker.log", "out\nerr\n");
}

UNIT(a_log_past_its_size_begins_anew_and_one_old_file_stays)
{
    struct scenario *p = *state;
    char script[128];
    snprintf(script, sizeof(script), "head -c %d /dev/zero; echo done >>$HERE/done; " SLEEPER,
             SINK_FILE_MAX + (1 << 20));
    says(p, "10-flood", "a", "TERM 5", script);
    supervisor_starts(p);
    holds(p, "done", "done\n");
    supervisor_is_told(p, SIGTERM);
    supervisor_ends(p);

    struct stat now, old;
    char path[128];
    snprintf(path, sizeof(path), "%s/flood.log", p->folder);
    assert_int_equal(stat(path, &now), 0);
    snprintf(path, sizeof(path), "%s/flood.log.1", p->folder);
    assert_int_equal(stat(path, &old), 0);
    assert_int_equal(now.st_size + old.st_size, SINK_FILE_MAX + (1 << 20));
    assert_true(old.st_size >= SINK_FILE_MAX && old.st_size < SINK_FILE_MAX + (128 << 10));
}

#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, begin, end)

/* As root only: no other user may become one. */
UNIT(a_process_runs_as_the_user_of_its_entry_and_as_no_other)
{
    struct scenario *p = *state;
    char path[256], text[512];
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(scratch_state.root, 0711), 0);
    assert_int_equal(chmod(p->folder, 0777), 0);
    snprintf(path, sizeof(path), "%s/processes/10-other", p->run);
    snprintf(text, sizeof(text),
             "stamp 1\nstop TERM 5\nuser 65534 65533\nenv HERE=%s\narg /bin/sh\narg -c\n"
             "arg id -u >$HERE/told; id -g >>$HERE/told; id -G >>$HERE/told; grep Cap.*f "
             "/proc/self/status >>$HERE/told; " SLEEPER "\n",
             p->folder);
    write_file(path, text);
    snprintf(path, sizeof(path), "%s/processes/20-foreign", p->run);
    write_file(path, "stamp 1\nuser 12345 12345\narg /bin/sleep\narg 1000\n");
    snprintf(path, sizeof(path), "%s/processes/30-root", p->run);
    write_file(path, "stamp 1\nuser 0 0\narg /bin/sleep\narg 1000\n");
    p->users = "7,65534";
    supervisor_starts(p);
    int pid = becomes(p, "other", "running", 0);
    char seen[64] = "";
    snprintf(path, sizeof(path), "%s/told", p->folder);
    for (int ms = 0; ms < PATIENCE_MS && strlen(seen) < 18; ms += 10) {
        usleep(10000);
        FILE *in = fopen(path, "re");
        if (!in)
            continue;
        seen[fread(seen, 1, sizeof(seen) - 1, in)] = '\0';
        fclose(in);
    }
    assert_true(slice_starts(slice_str(seen), SLICE("65534\n65533\n65533\n")));
    int none;
    char what[16];
    unsigned restarts;
    assert_false(status_of(p, "foreign", &none, what, &restarts));
    assert_false(status_of(p, "root", &none, what, &restarts));
    supervisor_is_told(p, SIGTERM); /* it can end what is another user's */
    supervisor_ends(p);
    assert_int_equal(kill(pid, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(an_entry_is_read_with_its_rank_arguments_and_environment),
        SCENARIO(a_malformed_entry_is_refused),
        SCENARIO(more_arguments_than_there_is_room_for_are_refused),
        SCENARIO(a_program_that_ends_is_started_again_with_growing_pauses),
        SCENARIO(another_stamp_restarts_that_process_and_no_other),
        SCENARIO(entries_that_are_read_again_unchanged_still_start_their_processes),
        SCENARIO(new_entries_start_and_vanished_ones_end),
        SCENARIO(the_highest_rank_ends_first_and_the_next_waits_for_it),
        SCENARIO(one_that_ignores_the_signal_is_killed_after_its_grace),
        SCENARIO(a_supervisor_killed_outright_takes_its_children_along),
        SCENARIO(a_process_runs_as_the_user_of_its_entry_and_as_no_other),
        SCENARIO(what_a_process_prints_is_in_its_log),
        SCENARIO(a_log_past_its_size_begins_anew_and_one_old_file_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
