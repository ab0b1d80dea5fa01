/*
 * explanations — carries a question of the control plane (which targets would this call be sent
 * to?) from the main loop to a worker, and the answer back.
 *
 * One worker answers for the plane, by its own view of the endpoints. Nothing is sent to an
 * upstream.
 *
 * Owns     the messages between the threads.
 * Threads  ask is the main thread's.
 */
#pragma once

#include "common/net/loop.h"
#include "common/policy/plane.h"

struct worker;

struct explanations {
    struct loop *loop; /* the main one */
    struct plane **plane;
};

/* worker NULL: there is none (any more), and the answer says so. */
void explanations_ask(struct explanations *x, struct worker *w,
                      const Gatehouse__ExplainQuestion *question);
