/*
 * channel_kill — the referee: kills one end of the channel after the other under traffic, and
 * checks that it always comes back and that nothing was lost, repeated or leaked.
 *
 *   KILLS=500 channel_kill      ends with one line `N passed, N failed`
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "tests/chaos/channel_kill/board.h"
#include "tests/kit/wire/channel_kit.h"

#define KILLS_MAX 5000
#define BLOCK 5            /* kills of one end in a row, so that the other lives through several */
#define COME_BACK_MS 20000 /* far above any backoff; the real figures are printed */
#define SETTLE_MS 10000    /* until descriptors of the old connection are gone */

enum side { HUB, PLANE };
static const char *const side_name[] = {"hub", "plane"};

struct referee {
    struct kit kit;
    struct board *board;
    char board_path[KIT_PATH_MAX];
    char port[8];
    pid_t pid[2];
    size_t descriptors[2]; /* of a process that has been connected, at rest; 0: not yet */
    unsigned took_ms[2][KILLS_MAX];
    size_t count[2];
    unsigned passed, failed;
};

static void check(struct referee *r, bool ok, const char *what)
{
    if (ok) {
        r->passed++;
        return;
    }
    r->failed++;
    printf("FAILED %s\n", what);
}

static void start(struct referee *r, enum side side)
{
    extern char **environ;
    char *argv[] = {"channel_kill", (char *)side_name[side], r->kit.dir, r->port, NULL};
    MUST(posix_spawn(&r->pid[side], "/proc/self/exe", NULL, NULL, argv, environ) == 0);
    r->descriptors[side] = 0;
}

static void kill_end(struct referee *r, enum side side)
{
    int status;
    kill(r->pid[side], SIGKILL);
    MUST(waitpid(r->pid[side], &status, 0) == r->pid[side]);
    /* an end that stopped by itself has found a bug, and its words are above */
    check(r, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
          "the end lived until it was killed");
}

/* Both legs carry messages between the two processes that live now. */
static bool have_met(void *arg)
{
    struct board *b = ((struct referee *)arg)->board;
    uint64_t plane = atomic_load(&b->plane_life), hub = atomic_load(&b->hub_life);
    uint64_t now = plane << 32 | hub;
    return plane && hub && atomic_load(&b->push_met) == now && atomic_load(&b->answer_met) == now;
}

struct settling {
    pid_t pid;
    size_t limit;
    size_t now;
};

static bool has_settled(void *arg)
{
    struct settling *s = arg;
    s->now = kit_descriptors(s->pid);
    return s->now <= s->limit;
}

static void check_descriptors(struct referee *r, enum side survivor)
{
    if (r->descriptors[survivor] == 0) {
        usleep(50 * 1000); /* what was opened to start it is closed */
        r->descriptors[survivor] = kit_descriptors(r->pid[survivor]);
        return;
    }
    struct settling s = {.pid = r->pid[survivor], .limit = r->descriptors[survivor]};
    bool ok = kit_until(has_settled, &s, SETTLE_MS);
    check(r, ok, "the survivor leaks no descriptor");
    if (!ok)
        printf("  %s: %zu, before %zu\n", side_name[survivor], s.now, s.limit);
}

static bool one_kill(struct referee *r, enum side victim)
{
    uint64_t before_life =
        victim == HUB ? atomic_load(&r->board->hub_life) : atomic_load(&r->board->plane_life);
    check_descriptors(r, victim == HUB ? PLANE : HUB);
    usleep((useconds_t)(rand() % 20000)); /* anywhere in the middle of something */
    uint64_t from = clock_mono_us();
    kill_end(r, victim);
    start(r, victim);
    while ((victim == HUB ? atomic_load(&r->board->hub_life)
                          : atomic_load(&r->board->plane_life)) == before_life &&
           clock_mono_us() - from < COME_BACK_MS * 1000ull)
        usleep(500);
    bool back = kit_until(have_met, r, COME_BACK_MS);
    check(r, back, "both legs come back after a kill");
    if (back)
        r->took_ms[victim][r->count[victim]++] = (unsigned)((clock_mono_us() - from) / 1000);
    check_descriptors(r, victim == HUB ? PLANE : HUB);
    return back;
}

static bool is_even(void *arg)
{
    struct board *b = arg;
    return atomic_load(&b->applied) == atomic_load(&b->published);
}

/* Everything the last plane asked is answered: those of killed planes never will be. */
static bool is_answered(void *arg)
{
    struct board *b = arg;
    uint64_t asked = atomic_load(&b->asked);
    uint64_t last = asked;
    for (uint64_t n = asked > 8 ? asked - 8 : 1; n <= asked; n++)
        last = atomic_load(&b->told[n]) ? last : n - 1;
    return last == asked;
}

static void check_books(struct referee *r)
{
    struct board *b = r->board;
    uint64_t asked = atomic_load(&b->asked), effects = 0, broken = 0;
    for (uint64_t n = 1; n < BOARD_REQUESTS; n++) {
        bool done = atomic_load(&b->done[n]), told = atomic_load(&b->told[n]);
        effects += done;
        broken += (told && !done) || (done && n > asked);
    }
    check(r, is_even(b), "the plane has the newest push");
    check(r, atomic_load(&b->disorder) == 0, "no push came twice or out of order");
    check(r, atomic_load(&b->holes) == 0, "no push was lost while the leg was up");
    check(r, atomic_load(&b->ran_twice) == 0, "no request was run twice in one life of the hub");
    check(r, broken == 0, "what was answered was done, and nothing that nobody asked");
    check(r, effects == atomic_load(&b->effects), "effects are counted once");
    check(r, atomic_load(&b->failed) == 0 && atomic_load(&b->wrong) == 0,
          "every request of a plane that lived was answered with its own answer");
    check(r, asked - effects <= 4ull * r->count[PLANE],
          "only what a killed plane had under way was not done");
    printf("%llu pushes of %llu received, %llu requests, %llu answered, %llu done\n",
           (unsigned long long)atomic_load(&b->pushes),
           (unsigned long long)atomic_load(&b->published), (unsigned long long)asked,
           (unsigned long long)atomic_load(&b->answered), (unsigned long long)effects);
}

static int by_size(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x > y) - (x < y);
}

static void print_times(struct referee *r, enum side side)
{
    size_t n = r->count[side];
    if (n == 0)
        return;
    qsort(r->took_ms[side], n, sizeof(unsigned), by_size);
    printf("%zu kills of the %s: both legs back after %u ms (median), %u ms (99%%), %u ms (most)\n",
           n, side_name[side], r->took_ms[side][n / 2], r->took_ms[side][n * 99 / 100],
           r->took_ms[side][n - 1]);
}

static void referee(unsigned kills)
{
    static struct referee r;
    const char *port = getenv("CHANNEL_PORT");
    snprintf(r.port, sizeof(r.port), "%s", port ? port : "18640");
    kit_open(&r.kit);
    kit_issue_server(&r.kit);
    kit_issue_plane(&r.kit, "plane-1");
    r.board = board_open(kit_path(&r.kit, "board", r.board_path), true);
    start(&r, HUB);
    start(&r, PLANE);
    check(&r, kit_until(have_met, &r, COME_BACK_MS), "both ends meet");
    for (unsigned k = 0; k < kills; k++)
        if (!one_kill(&r, k / BLOCK % 2 ? HUB : PLANE))
            break; /* it will not come back for the next ones either */
    atomic_store(&r.board->quiet, true);
    check(&r, kit_until(is_answered, r.board, COME_BACK_MS), "the last requests are answered");
    kit_until(is_even, r.board, COME_BACK_MS);
    check_books(&r);
    kill_end(&r, HUB);
    kill_end(&r, PLANE);
    kit_close(&r.kit);
    print_times(&r, HUB);
    print_times(&r, PLANE);
    printf("%u passed, %u failed\n", r.passed, r.failed);
    exit(r.failed ? 1 : 0);
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        const char *kills = getenv("KILLS");
        int n = kills ? atoi(kills) : 500;
        setvbuf(stdout, NULL, _IOLBF, 0);
        referee((unsigned)(n < 1 ? 1 : n > KILLS_MAX ? KILLS_MAX : n));
    }
    MUST(argc == 4);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* an end never outlives the referee */
    log_setup("channel_kill", LOG_ERROR);
    char path[KIT_PATH_MAX];
    snprintf(path, sizeof(path), "%s/board", argv[2]);
    uint16_t port = (uint16_t)atoi(argv[3]);
    const struct end_args a = {argv[2], port, (uint16_t)(port + 1), board_open(path, false)};
    return argv[1][0] == 'h' ? hub_main(&a) : plane_main(&a);
}
