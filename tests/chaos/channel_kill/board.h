/*
 * board — what survives every kill: a file in memory that the referee and both ends share.
 *
 * Both ends write down what they did, the referee compares. Numbers of pushes and of requests
 * never start again, so whatever is lost or done twice shows.
 *
 * Threads  atomics only.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_REQUESTS (2u * 1024 * 1024) /* a run makes some 200,000 */

struct board {
    atomic_uint_fast32_t hub_life, plane_life; /* counted up by each start */
    /* the hub's */
    atomic_uint_fast64_t published; /* newest number; written before it is pushed */
    atomic_bool quiet;              /* the referee: publish and ask no more */
    atomic_uint_fast64_t ran_twice; /* in one life of a hub */
    atomic_uint_fast64_t effects;   /* requests that had their effect, each counted once */
    /* the plane's */
    atomic_uint_fast64_t applied;  /* newest number it has */
    atomic_uint_fast64_t pushes;   /* received */
    atomic_uint_fast64_t disorder; /* a push not newer than the one before it */
    atomic_uint_fast64_t holes;    /* numbers missing while the leg stayed up */
    atomic_uint_fast64_t asked, answered, failed, wrong;
    /* which lives last met on each leg: plane_life << 32 | hub_life */
    atomic_uint_fast64_t push_met, answer_met;
    /* by a request's number */
    atomic_uint_least16_t ran_in[BOARD_REQUESTS]; /* hub life that ran it last */
    atomic_uchar done[BOARD_REQUESTS];            /* its effect is there */
    atomic_uchar told[BOARD_REQUESTS];            /* the plane was told so */
};

struct board *board_open(const char *path, bool make);

/* What the ends are started with. */
struct end_args {
    const char *dir; /* with certificates */
    uint16_t push_port, request_port;
    struct board *board;
};

/* A push and a request begin with this; the rest is padding. */
struct end_head {
    uint64_t number; /* of a request: 0 asks for the newest push */
    uint32_t hub_life, plane_life;
};

int hub_main(const struct end_args *a);
int plane_main(const struct end_args *a);
