/*
 * gate — one question asked of every request on its way in, and its other half on the way out.
 *
 * `ask` passes, waits or refuses. `leave` is called once, in reverse order, for every gate that
 * passed, however the request ends: a slot given back, a reservation settled. Nothing else frees
 * them. A gate that waits calls request_go_on exactly once later, unless `abandon` comes first
 * (the client hung up): then it must forget the request.
 */
#pragma once

struct request;

enum filter_result { FILTER_PASS, FILTER_WAIT, FILTER_REFUSE };

struct filter {
    const char *name;
    enum filter_result (*on_request)(struct request *rq);
    void (*on_finish)(struct request *rq);  /* NULL: nothing to give back */
    void (*on_abandon)(struct request *rq); /* NULL: the gate never waits */
};

/* The gates every gate shares; a gate's table puts them in its order. */
extern const struct filter filter_authenticate; /* who is asking? head only, before any body */
extern const struct filter filter_body;         /* the whole body, up to the gate's ceiling */
extern const struct filter filter_session;      /* which conversation is this part of? */
extern const struct filter filter_task;         /* on which task? */
extern const struct filter filter_limit;        /* not so fast, not so many at once */
extern const struct filter filter_budget;       /* who pays? reserves the gate's worst case */
