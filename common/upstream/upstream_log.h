/*
 * upstream_log — one line for an upstream that failed, the same from all three gates.
 *
 *   upstream_failed gate=ai upstream=acme at=api.acme.test:443 phase=connect status=0 why=connect
 *
 * An upstream that is down fails every call of a busy plane, so a worker writes one line a second;
 * the next line says how many failures were not written, and a metric counts them.
 *
 * Threads  its worker's loop.
 */
#pragma once

#include "common/base/log.h"
#include "common/net/http_client.h"

/* What a worker counts about its upstreams. */
enum upstream_count {
    UPSTREAM_COUNT_ECHO,    /* a response in which our credential came back */
    UPSTREAM_COUNT_UNTOLD,  /* a failure that left no line */
    UPSTREAM_COUNT_REFUSED, /* a credential that was taken out */
};

struct upstream_log {
    uint64_t untold;  /* failures not written yet */
    uint64_t told_us; /* when the last line was written; 0: never */
    void (*count)(void *arg, enum upstream_count what); /* NULL: not counted */
    void *arg;
};

struct upstream_at {
    struct slice name;     /* of the provider, service or server, as the policy calls it */
    const struct url *url; /* host and port are written, nothing else of it */
};

/* No whole response came. log names the gate as its component. What the gateway cancelled itself
 * (ERR_CANCELLED) is not written. */
void upstream_log_lost(struct upstream_log *l, const struct log_ctx *log, struct upstream_at at,
                       enum err why, enum http_call_phase phase);
/* The response's status is a failure between the gateway and the upstream. */
void upstream_log_status(struct upstream_log *l, const struct log_ctx *log, struct upstream_at at,
                         unsigned status);
/* Our credential came back in a response; it was masked. Always written. where: "header", … */
void upstream_log_echo(struct upstream_log *l, const struct log_ctx *log, struct upstream_at at,
                       const char *where);
/* The alarm: the upstream does not take this credential, which is not drawn for a while. Always
 * written. credential: its id in the policy; may be empty. */
void upstream_log_refused(struct upstream_log *l, const struct log_ctx *log, struct upstream_at at,
                          struct slice credential, unsigned status);
/* 401, 403, 407: the upstream does not take the gateway's credential */
bool upstream_refused_us(unsigned status);

/* The sentence for a client about a way to fail: the error's own sentence, but a refusal to connect
 * names the rule that an administrator can change. */
struct slice upstream_why(enum err why);
