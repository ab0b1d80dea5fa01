/* plane_main — the process that holds the plane: applies pushes, asks without end, waits to be
 * killed. It closes gaps as policy sync does: by asking for the newest. */
#include <stdio.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/wire/bus.h"
#include "tests/chaos/channel_kill/board.h"
#include "tests/kit/wire/channel_kit.h"

#define ASKERS 4
#define ASK_GAP_MS 2
#define ASK_MS 60000 /* longer than any reconnect: a request that fails is a fault */
#define ASK_MAX (64 * 1024)

struct asker {
    struct timer timer;
    uint64_t number;
};

static struct board *board;
static uint32_t life;
static struct bus_plane *bus;
static struct asker askers[ASKERS];
static uint64_t last_push; /* since the leg came up; 0: none yet */
static uint64_t last_ever;
static char *message;

static uint64_t met(uint32_t hub_life)
{
    return (uint64_t)life << 32 | hub_life;
}

static void apply(uint64_t number)
{
    if (number > atomic_load(&board->applied))
        atomic_store(&board->applied, number);
}

static void on_newest(void *arg, enum err e, struct slice reply)
{
    struct end_head head;
    (void)arg;
    if (e || reply.len != sizeof(head)) {
        atomic_fetch_add(&board->failed, 1);
        return;
    }
    memcpy(&head, reply.ptr, sizeof(head));
    apply(head.number);
}

static void ask_newest(void)
{
    const struct end_head head = {.plane_life = life};
    if (bus_plane_request(bus, slice_of(&head, sizeof(head)), ASK_MS, on_newest, NULL))
        atomic_fetch_add(&board->failed, 1);
}

static void on_push(void *arg, struct slice m)
{
    struct end_head head;
    (void)arg;
    MUST(m.len >= sizeof(head));
    memcpy(&head, m.ptr, sizeof(head));
    if (head.number <= last_ever)
        atomic_fetch_add(&board->disorder, 1);
    if (last_push && head.number != last_push + 1)
        atomic_fetch_add(&board->holes, 1);
    if (head.number != atomic_load(&board->applied) + 1)
        ask_newest();
    last_push = last_ever = head.number;
    apply(head.number);
    atomic_fetch_add(&board->pushes, 1);
    atomic_store(&board->push_met, met(head.hub_life));
}

static void on_state(void *arg, bool up)
{
    (void)arg;
    last_push = 0;
    if (up)
        ask_newest();
}

static void on_answer(void *arg, enum err e, struct slice reply)
{
    struct asker *a = arg;
    struct end_head head = {0};
    if (!e && reply.len == sizeof(head))
        memcpy(&head, reply.ptr, sizeof(head));
    if (e) {
        atomic_fetch_add(&board->failed, 1);
    } else if (head.number != a->number || head.plane_life != life) {
        atomic_fetch_add(&board->wrong, 1);
    } else {
        atomic_store(&board->told[a->number], 1);
        atomic_fetch_add(&board->answered, 1);
        atomic_store(&board->answer_met, met(head.hub_life));
    }
    timer_start(&a->timer, ASK_GAP_MS);
}

static void on_ask(struct timer *t)
{
    struct asker *a = CONTAINER_OF(t, struct asker, timer);
    if (atomic_load(&board->quiet))
        return;
    a->number = atomic_fetch_add(&board->asked, 1) + 1;
    MUST(a->number < BOARD_REQUESTS);
    const struct end_head head = {.number = a->number, .plane_life = life};
    memcpy(message, &head, sizeof(head));
    size_t len = a->number % 16 == 0 ? ASK_MAX : sizeof(head);
    MUST(bus_plane_request(bus, slice_of(message, len), ASK_MS, on_answer, a) == ERR_OK);
}

int plane_main(const struct end_args *a)
{
    struct kit kit = {0};
    board = a->board;
    life = (uint32_t)atomic_fetch_add(&board->plane_life, 1) + 1;
    snprintf(kit.dir, sizeof(kit.dir), "%s", a->dir);
    message = mem_zalloc(ASK_MAX);
    struct loop *loop;
    MUST(message && loop_new(&loop) == ERR_OK);
    const struct bus_plane_config config = {.host = SLICE("127.0.0.1"),
                                            .push_port = a->push_port,
                                            .request_port = a->request_port,
                                            .tls = kit_client_tls(&kit, "plane-1", &kit),
                                            .instance = SLICE("kill")};
    static const struct bus_plane_events events = {.on_push = on_push, .on_state = on_state};
    MUST(bus_plane_open(&config, loop, &events, NULL, &bus) == ERR_OK);
    for (size_t i = 0; i < ASKERS; i++) {
        timer_init(&askers[i].timer, loop, on_ask);
        timer_start(&askers[i].timer, 1);
    }
    loop_run(loop);
    return 0;
}
