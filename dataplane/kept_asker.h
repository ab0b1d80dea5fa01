/*
 * kept_asker — carries a question for what an owner keeps from a worker to the plane on the main
 * loop, and its answer back.
 *
 * Owns     the lists while they are under way; one whose worker has ended is freed.
 * Threads  kept_asker_ask: a worker's; all else happens on the main loop.
 */
#pragma once

#include "common/net/loop.h"
#include "common/policy/plane.h"

struct worker;

struct kept_asker {
    struct loop *loop; /* the main one */
    struct plane **plane;
    struct worker ***workers;
    const size_t *worker_count;
};

/* As request_env.ask_kept. arg: struct kept_asker */
void kept_asker_ask(void *arg, struct kept_list *list);
