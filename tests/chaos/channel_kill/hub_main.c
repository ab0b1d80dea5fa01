/* hub_main — the process that holds the hub: pushes numbers, runs requests, waits to be killed. */
#include <stdio.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/wire/bus.h"
#include "tests/chaos/channel_kill/board.h"
#include "tests/kit/wire/channel_kit.h"

#define PUSH_GAP_US 1000
#define PUSH_MAX (300 * 1024)

static struct board *board;
static uint32_t life;

static bool on_admit(void *arg, struct slice plane, char pool[static 64])
{
    (void)arg, (void)plane;
    snprintf(pool, 64, "pool");
    return true;
}

/* The effect is idempotent by the request's number, as every real handler's is; that it
 * was run at all is noted by the hub's life, to see what the bus itself promises. */
static void run(uint64_t number)
{
    MUST(number < BOARD_REQUESTS);
    if (atomic_exchange(&board->ran_in[number], (uint16_t)life) == (uint16_t)life)
        atomic_fetch_add(&board->ran_twice, 1);
    if (atomic_exchange(&board->done[number], 1) == 0)
        atomic_fetch_add(&board->effects, 1);
}

static void on_request(void *arg, struct slice plane, struct slice request, struct buf *reply)
{
    struct end_head head;
    (void)arg, (void)plane;
    MUST(request.len >= sizeof(head));
    memcpy(&head, request.ptr, sizeof(head));
    head.hub_life = life;
    if (head.number == 0)
        head.number = atomic_load(&board->published);
    else
        run(head.number);
    MUST(buf_append(reply, slice_of(&head, sizeof(head))) == ERR_OK);
}

/* Most are small; some are cut in half by a kill. */
static size_t push_len(uint64_t number)
{
    if (number % 64 == 0)
        return PUSH_MAX;
    return number % 8 == 0 ? 40 * 1024 : sizeof(struct end_head);
}

static void publish(struct bus_hub *hub, char *message)
{
    const struct end_head head = {.number = atomic_load(&board->published) + 1, .hub_life = life};
    memcpy(message, &head, sizeof(head));
    atomic_store(&board->published, head.number);
    MUST(bus_hub_publish(hub, SLICE("pool"), slice_of(message, push_len(head.number))) == ERR_OK);
}

int hub_main(const struct end_args *a)
{
    struct kit kit = {0};
    board = a->board;
    life = (uint32_t)atomic_fetch_add(&board->hub_life, 1) + 1;
    snprintf(kit.dir, sizeof(kit.dir), "%s", a->dir);
    const struct bus_hub_config config = {.push_at = kit_loopback(a->push_port),
                                          .request_at = kit_loopback(a->request_port),
                                          .tls = kit_server_tls(&kit, "server"),
                                          .threads = 4,
                                          .admit = on_admit,
                                          .handle = on_request};
    struct bus_hub *hub;
    MUST(bus_hub_open(&config, &hub) == ERR_OK);
    char *message = mem_zalloc(PUSH_MAX);
    MUST(message);
    for (;;) {
        if (!atomic_load(&board->quiet))
            publish(hub, message);
        usleep(PUSH_GAP_US);
    }
}
