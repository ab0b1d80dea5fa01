/*
 * filter — one step of a request, with a request side, a response side and an end.
 *
 * A gate's table holds its filters in their order. `on_request` passes, waits or refuses. A filter
 * that waits calls request_go_on exactly once later, unless `on_finish` comes first. Once it has
 * passed, `on_response` may name a sink that the response goes through (response.h). `on_finish` is
 * called once, in reverse order, for every filter whose `on_request` was entered, however the
 * request ends: it gives back what its state holds, and forgets what the filter waits for.
 * `on_recorded` follows, in reverse order too, once the call's record is in the journal.
 *
 * Owns     `state_size` bytes in the request's arena, zeroed before the first filter is entered.
 * Threads  the request's loop.
 */
#pragma once

#include <stddef.h>

struct request;
struct response_sink;

enum filter_result { FILTER_PASS, FILTER_WAIT, FILTER_REFUSE };

/* Where a request finds a filter's state. No two filters with a state in one gate's table have the
 * same; those that a gate does not share take FILTER_OWN and above. */
enum filter_slot {
    FILTER_STATELESS,
    FILTER_BODY,
    FILTER_SIGNATURE,
    FILTER_LIMIT,
    FILTER_BUDGET,
    FILTER_OWN,
    FILTER_SLOTS = FILTER_OWN + 8
};

struct filter {
    const char *name;
    enum filter_slot slot;
    size_t state_size; /* 0 where the slot is FILTER_STATELESS */
    enum filter_result (*on_request)(struct request *rq);
    /* the sink, in the filter's state, with its ops set; NULL, and a result of NULL: none */
    struct response_sink *(*on_response)(struct request *rq);
    void (*on_finish)(struct request *rq);   /* NULL: nothing to give back */
    void (*on_recorded)(struct request *rq); /* NULL: nothing that waits for the record */
};

/* The state of a filter of this request's gate; NULL where the gate has no such filter, or it has
 * no state. */
void *filter_state(const struct request *rq, const struct filter *f);

/* The filters that gates share; a gate's table puts them in its order. */
extern const struct filter filter_authenticate; /* the principal, from the head alone */
extern const struct filter filter_body;         /* the whole body, up to the gate's ceiling */
extern const struct filter filter_signature;    /* of the whole request, where a client signs */
extern const struct filter filter_session;      /* the session that the call belongs to */
extern const struct filter filter_task;         /* the task that it is done on */
extern const struct filter filter_limit;        /* rates and parallel calls of the key */
extern const struct filter filter_budget;       /* reserves the gate's worst case */
