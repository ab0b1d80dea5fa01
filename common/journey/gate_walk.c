/*
 * gate_walk — from gate to gate, and back.
 */
#include "common/journey/walk.h"

void gate_walk_on(struct journey *j)
{
    const struct gate *g;
    while ((g = j->wing->gates[j->gate_at])) {
        enum gate_answer a = g->ask(j);
        if (j->stage != JOURNEY_GATES)
            return; /* the gate's own doing ended the journey */
        if (j->client_gone) {
            if (a == GATE_WAIT && g->abandon)
                g->abandon(j);
            else if (a == GATE_PASS)
                j->gate_at++;
            journey_finish(j, JOURNEY_CANCELLED);
            return;
        }
        if (a == GATE_WAIT) {
            j->waiting = true;
            return;
        }
        if (a == GATE_REFUSE) {
            journey_finish(j, JOURNEY_REFUSED);
            return;
        }
        j->gate_at++;
    }
    journey_move(j, JOURNEY_WORK);
    j->wing->work(j);
}

void gate_walk_abandon(struct journey *j)
{
    if (!j->waiting)
        return;
    j->waiting = false;
    const struct gate *g = j->wing->gates[j->gate_at];
    if (g->abandon)
        g->abandon(j);
}

void gate_walk_leave(struct journey *j)
{
    while (j->gate_at > 0) {
        const struct gate *g = j->wing->gates[--j->gate_at];
        if (g->leave)
            g->leave(j);
    }
}

void journey_go_on(struct journey *j, enum gate_answer a)
{
    MUST(j->stage == JOURNEY_GATES && j->waiting && a != GATE_WAIT);
    j->waiting = false;
    if (a == GATE_REFUSE) {
        journey_finish(j, JOURNEY_REFUSED);
        return;
    }
    j->gate_at++;
    gate_walk_on(j);
}
