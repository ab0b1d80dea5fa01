/*
 * exchange — one attempt at one upstream: a request there, its response back. All three gates use
 * it.
 *
 *   RESOLVING ─▶ CONNECTING ─▶ SENT ─▶ HEAD ─▶ BODY ─▶ DONE
 *        ▲                      │        from each: FAILED, CANCELLED
 *        └──── sent again ──────┘
 *
 * The gate says what to send, and gets on_head, on_body…, then on_end or on_fail. Whatever
 * happens, it closes the exchange exactly once, with the outcome as the trace shall keep it:
 *
 *   exchange_start(&env->upstreams, &spec, &events, w, &w->exchange)
 *   on_head(head) … on_body(data) … on_end()  →  exchange_close(&w->exchange, OUTCOME_OK,
 * SLICE_NONE) on_fail(failure)                          →  exchange_close(&w->exchange,
 * OUTCOME_ERROR, failure->code) the client hangs up                       →
 * exchange_close(&w->exchange, OUTCOME_CANCELLED, code)
 *
 * It keeps the attempt's record and clock, reports to the endpoint, writes the log line of a
 * failure, and masks our credential in what it passes on (common/upstream/echo.h); a response that
 * is encoded although a credential was sent fails, since nothing can be found in it. A request
 * that dies unread on a kept connection is sent again once by the client below
 * (common/net/http_client.h); exchange_has_sent tells afterwards whether the upstream may have
 * read any of the request, that is, whether the attempt can have cost anything.
 *
 * Owns     its call, its credential, its hold on the endpoint; attempt, waited_us and log are lent.
 * Fails    start: ERR_NOMEM, ERR_INVALID, ERR_EXHAUSTED, ERR_AGAIN (the endpoint does not admit
 * it); then the attempt is ended in its record, and the failure is logged. Afterwards on_fail,
 *          exactly once, unless on_end came or the gate closed first.
 * Threads  its worker's loop.
 */
#pragma once

#include "common/base/secret.h"
#include "common/upstream/attempt.h"
#include "common/upstream/upstreams.h"

struct exchange;

enum exchange_state {
    EXCHANGE_RESOLVING,  /* the upstream's name */
    EXCHANGE_CONNECTING, /* TCP, TLS */
    EXCHANGE_SENT,       /* the request is on a connection, and not a byte came back */
    EXCHANGE_HEAD,       /* inside the head of the response, or of an interim one */
    EXCHANGE_BODY,
    EXCHANGE_DONE,
    EXCHANGE_FAILED,
    EXCHANGE_CANCELLED, /* by its gate */
};

struct exchange_failure {
    enum err why;
    enum http_call_phase phase;
    struct slice code; /* for the trace; constant */
    struct slice text; /* for the client: a clause that follows "the upstream failed: "; constant */
};

/* The gate may close the exchange inside any of these. */
struct exchange_events {
    void (*on_head)(void *arg,
                    const struct http_head *head); /* lent until the exchange is closed */
    void (*on_body)(void *arg, struct slice data); /* lent for the call; masked */
    void (*on_end)(void *arg);
    void (*on_fail)(void *arg, const struct exchange_failure *f);
    void (*on_drain)(void *arg); /* streamed requests: what was pending is sent; may be NULL */
};

struct exchange_spec {
    struct slice upstream;      /* its name in the policy, for the log; lent until the close */
    struct slice target_id;     /* as endpoint_key has it */
    struct slice credential_id; /* may be empty */
    struct slice region;        /* may be empty */
    uint64_t revision;          /* of the target in the policy */
    struct slice model;         /* the upstream's name for it; empty: what is sent is no model's */
    struct endpoint_limits limits;
    bool insists; /* sent although its breaker is open or it asked to wait: nothing else is left */
    struct http_call_spec call; /* what is sent, and the deadlines; url lent until the close */
    struct secret *credential;  /* that is in call.headers; NULL: none. Held. */
    const struct log_ctx *log;  /* lent until the close or exchange_disown */
    struct attempt *attempt; /* names and span_id are the gate's; the rest is filled; NULL: none */
    uint64_t *waited_us;     /* what was waited for upstreams is added to it; NULL: not counted */
};

/* Never calls back before it returns. */
MUST_USE enum err exchange_start(struct upstreams *u, const struct exchange_spec *spec,
                                 const struct exchange_events *events, void *arg,
                                 struct exchange **ret);
/* Ends the attempt in its record and lets go of everything, at once; no callback afterwards; leaves
 * NULL. One that was still under way becomes CANCELLED. NULL is fine. */
void exchange_close(struct exchange **x, enum request_outcome end, struct slice code);

/* The call it belongs to has ended, and the exchange goes on for its owner: attempt and waited_us
 * are not touched again; log is used from now on. */
void exchange_disown(struct exchange *x, const struct log_ctx *log);

/* A streamed request: as http_call_write and http_call_write_end. */
MUST_USE enum err exchange_write(struct exchange *x, struct slice data);
void exchange_write_end(struct exchange *x);
bool exchange_is_full(const struct exchange *x); /* the writer stops until on_drain */

/* Why the response is not read. It is read on when no reason is left. */
enum exchange_hold {
    EXCHANGE_HOLD_CLIENT = 1, /* the client does not keep up */
    EXCHANGE_HOLD_MONEY = 2,  /* more must be reserved first */
    EXCHANGE_HOLD_FILTER = 4, /* a filter of the response waits for something */
};
void exchange_hold(struct exchange *x, enum exchange_hold why);
void exchange_release(struct exchange *x, enum exchange_hold why);

enum exchange_state exchange_state(const struct exchange *x);
/* May the upstream have read any byte of the request? False: the attempt cost nothing. */
bool exchange_has_sent(const struct exchange *x);
bool exchange_is_sent(const struct exchange *x);            /* the request, to its last byte */
unsigned exchange_status(const struct exchange *x);         /* 0: no head yet */
unsigned exchange_retry_after_ms(const struct exchange *x); /* 0: the upstream named no time */
unsigned exchange_retry_after_s(const struct exchange *x);  /* rounded up */

/* False: our credential stands in the value of this header, which must not go on; it is logged. */
bool exchange_may_pass(struct exchange *x, struct slice value);
/* The line for a response whose status is a failure; one line for an exchange. */
void exchange_log_status(struct exchange *x);
/* The line for a response that is a failure by what it says; the same line. */
void exchange_log_lost(struct exchange *x, enum err why);
/* The first content of a stream has come. */
void exchange_first(struct exchange *x);
/* What the response took, once all of it has come: the endpoint's averages of the model follow. */
void exchange_used(struct exchange *x, const struct token_count *tokens);
/* How it went for the endpoint, where the gate knows better than the status says. */
void exchange_judge(struct exchange *x, enum endpoint_verdict verdict);
