/*
 * endpoint — what one worker knows about one way to an upstream: target × credential × region.
 *
 * An endpoint is found or made by its key. It counts what is under way, keeps moving averages of
 * latency and errors, and for each of the models last used there how fast it was, and says whether
 * a request may be sent now: a breaker, ceilings, and the waits that the upstream itself named.
 * Exchanges report to it; routing reads it.
 *
 *   breaker   CLOSED ──failures in a row──▶ OPEN ──time──▶ PROBING ──success──▶ CLOSED
 *                                             ▲──────────failure──────┘
 *
 * Owns     an endpoint belongs to its table. endpoint_hold keeps it there; unheld ones stay until
 *          LIMIT_ENDPOINTS are there, then the one that was unused longest is freed.
 * Fails    ERR_NOMEM, ERR_TOO_BIG (a key above ENDPOINT_KEY_MAX), ERR_EXHAUSTED (all are held).
 * Threads  its worker's.
 */
#pragma once

#include <stdint.h>

#include "common/base/list.h"
#include "common/base/map.h"
#include "common/net/address.h"

#define ENDPOINT_KEY_MAX 1024

struct endpoint;

#define ENDPOINT_MEMO 256 /* a power of two */

/* What endpoint_recall has found. */
struct endpoint_memo {
    const void *way;
    uint64_t epoch, changes;
    const struct endpoint *found; /* NULL: there is none */
};

struct endpoint_table {
    struct map *map;    /* made with the first endpoint */
    struct list unheld; /* unused longest first */
    size_t count;
    uint64_t changes;           /* grows with each endpoint that is made or freed */
    struct endpoint_memo *memo; /* ENDPOINT_MEMO of them; made with the first recall */
};

struct endpoint_key {
    struct slice target;     /* id of the provider, service or server */
    struct slice credential; /* id; empty: none, or the only one */
    struct slice region;     /* may be empty */
    const struct url *url;   /* its host, port and scheme are a part of the key */
    uint64_t revision;       /* of the target in the policy, no part of the key: a new one may have
                                another       secret or another limit, so waits and the breaker are
                                forgotten */
};

/* Ceilings of one worker's share; 0: none. */
struct endpoint_limits {
    unsigned parallel; /* requests under way */
    unsigned failures; /* in a row, after which the breaker opens */
    unsigned open_ms;  /* how long it stays open; 0: LIMIT_BREAKER_OPEN_MS */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };

/* How an attempt went, as far as the endpoint is concerned. */
enum endpoint_verdict {
    ENDPOINT_UNKNOWN, /* ended by the gateway before there was a result */
    ENDPOINT_OK,      /* it responded, whatever it said of the request itself */
    ENDPOINT_FAILED,  /* no response, a broken one, or 5xx */
    ENDPOINT_LIMITED, /* 429: the credential or the target is at its limit */
    ENDPOINT_REFUSED, /* 401, 403, 407: it does not take the credential */
};

/* What routing and status pages read. */
struct endpoint_health {
    unsigned in_flight;
    uint64_t latency_us;      /* peak EWMA of the time to the head; 0: nothing measured */
    unsigned errors_permille; /* moving average of failed attempts */
    unsigned failures;        /* in a row */
    enum breaker_state breaker;
    uint64_t ready_at_us; /* monotonic; 0: now */
};

/* How one model of the upstream's has been there of late: averages that follow each measurement by
 * an eighth, and by more, the longer ago the last one was. 0: not measured within
 * ENDPOINT_PACE_US. */
#define ENDPOINT_PACE_US 300000000u
struct endpoint_pace {
    uint64_t first_us;        /* of streams: from the request to the first content */
    uint64_t whole_us;        /* of plain responses: from the request to the head */
    uint64_t speed;           /* tokens of output in 1000 seconds */
    uint64_t output;          /* tokens of a response */
    unsigned cached_permille; /* of the prompt, what was read from the upstream's cache */
};

/* What one response was like. */
struct endpoint_use {
    uint64_t input, cache_read, output; /* tokens */
    uint64_t wrote_us;                  /* how long the output took; 0: not known */
};

void endpoint_table_init(struct endpoint_table *t);
void endpoint_table_fini(struct endpoint_table *t); /* none is held any more */

/* Finds or makes it, and holds it. */
MUST_USE enum err endpoint_hold(struct endpoint_table *t, const struct endpoint_key *key,
                                struct endpoint **ret);
void endpoint_drop(struct endpoint_table *t, struct endpoint **e); /* leaves NULL */
/* NULL: not used yet, so a request may be sent. Lent until the next hold or drop. */
const struct endpoint *endpoint_find(const struct endpoint_table *t,
                                     const struct endpoint_key *key);

/* The same, remembered: `way` stands for the key's members while `epoch` is the same. The epoch of
 * a policy's version is snapshot_serial. Costs a few instructions where it was asked before. */
const struct endpoint *endpoint_recall(struct endpoint_table *t, const void *way, uint64_t epoch,
                                       const struct endpoint_key *key);

/* May a request be sent now? ERR_EXHAUSTED: its ceiling is reached. ERR_AGAIN: the breaker is
 * open, or the upstream asked to wait; see endpoint_health.ready_at_us. */
MUST_USE enum err endpoint_admits(const struct endpoint *e, const struct endpoint_limits *limits,
                                  uint64_t now_us);
/* A request is sent: counts it, and while the breaker is due for a probe makes it the probe. */
void endpoint_begin(struct endpoint *e, uint64_t now_us);
/* The head came so long after the request was sent. */
void endpoint_latency(struct endpoint *e, uint64_t took_us, uint64_t now_us);
/* Was its credential refused, and is it kept out for that now? */
bool endpoint_is_refused(const struct endpoint *e, uint64_t now_us);
/* Ends what endpoint_begin began. retry_ms: as the upstream said; 0: it did not. */
void endpoint_end(struct endpoint *e, const struct endpoint_limits *limits,
                  enum endpoint_verdict verdict, uint64_t retry_ms, uint64_t now_us);

struct endpoint_health endpoint_health(const struct endpoint *e, uint64_t now_us);
/* Expected wait of one more request: latency × (in flight + 1); 0: nothing measured. */
uint64_t endpoint_load(const struct endpoint *e, uint64_t now_us);

/* The number of a model by the upstream's name for it; never 0. Two that share a number share their
 * averages. */
uint32_t endpoint_model(struct slice name);
void endpoint_first(struct endpoint *e, uint32_t model, uint64_t took_us, uint64_t now_us);
void endpoint_whole(struct endpoint *e, uint32_t model, uint64_t took_us, uint64_t now_us);
void endpoint_used(struct endpoint *e, uint32_t model, const struct endpoint_use *use,
                   uint64_t now_us);
/* Of a model that was not used there: all is 0. */
struct endpoint_pace endpoint_pace(const struct endpoint *e, uint32_t model, uint64_t now_us);

/* One of several ways to the same target, as the picker sees it. */
struct endpoint_choice {
    const struct endpoint *endpoint; /* NULL: not used yet */
    uint32_t weight;
};

/* Draws one of n by weight among those that are ready now; without any weight the first of them.
 * Where none is ready, the one that will be soonest. n > 0. */
size_t endpoint_pick(const struct endpoint_choice *choices, size_t n,
                     const struct endpoint_limits *limits, uint64_t now_us,
                     uint32_t (*random)(void *arg), void *arg);
