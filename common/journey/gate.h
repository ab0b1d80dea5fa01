/*
 * gate — one question asked of every request on its way in, and its other half on the way out.
 *
 * `ask` passes, waits or refuses. `leave` is called once, in reverse order, for every gate that
 * passed, however the journey ends: a slot given back, a reservation settled. Nothing else frees
 * them. A gate that waits calls journey_go_on exactly once later, unless `abandon` comes first
 * (the client hung up): then it must forget the journey.
 */
#pragma once

struct journey;

enum gate_answer { GATE_PASS, GATE_WAIT, GATE_REFUSE };

struct gate {
    const char *name;
    enum gate_answer (*ask)(struct journey *j);
    void (*leave)(struct journey *j);   /* NULL: nothing to give back */
    void (*abandon)(struct journey *j); /* NULL: the gate never waits */
};

/* The gates every wing shares; a wing's table puts them in its order. */
extern const struct gate gate_authn;   /* who is asking? head only, before any body */
extern const struct gate gate_body;    /* the whole body, up to the wing's ceiling */
extern const struct gate gate_session; /* which conversation is this part of? */
extern const struct gate gate_task;    /* on which task? */
extern const struct gate gate_limit;   /* not so fast, not so many at once */
extern const struct gate gate_budget;  /* who pays? reserves the wing's worst case */
