/*
 * upstream_log — one line for an upstream that failed, the same from all three gates.
 *
 *   upstream_failed gate=ai upstream=acme at=api.acme.test:443 phase=connect status=0 why=connect
 *
 * An upstream that is down fails every call of a busy plane, so a worker tells one a second; the
 * next line says how many were passed over, and a metric counts them.
 *
 * Threads  the env's loop.
 */
#pragma once

#include "common/request/request.h"

struct upstream_at {
    struct slice name;     /* of the provider, service or server, as the policy calls it */
    const struct url *url; /* host and port are told, nothing else of it */
};

/* No whole answer came. log names the gate as its component. An upstream that we let go ourselves
 * (ERR_CANCELLED) is not told. */
void upstream_log_lost(struct request_env *env, const struct log_ctx *log, struct upstream_at at,
                       enum err why, enum http_call_phase phase);
/* It answered, with a status that is a failure between it and us. */
void upstream_log_status(struct request_env *env, const struct log_ctx *log, struct upstream_at at,
                         unsigned status);
/* 401, 403, 407: it does not take the credential that is ours */
bool upstream_refused_us(unsigned status);

/* What a client is told of a way to fail: the error's own sentence, but a refusal to connect names
 * the rule that an administrator can change. */
struct slice upstream_why(enum err why);
