/* upstream_log — writes the lines of failed upstreams, at most one a second. */
#include "common/upstream/upstream_log.h"

#include <inttypes.h>

#include "common/base/clock.h"

#define TELL_US 1000000

static void count(const struct upstream_log *l, enum upstream_count what)
{
    if (l->count)
        l->count(l->arg, what);
}

/* Counts what is passed over. */
static bool may_tell(struct upstream_log *l)
{
    uint64_t now_us = clock_mono_us();
    if (l->told_us && now_us - l->told_us < TELL_US) {
        l->untold++;
        count(l, UPSTREAM_COUNT_UNTOLD);
        return false;
    }
    l->told_us = now_us;
    return true;
}

static void tell(struct upstream_log *l, const struct log_ctx *log, struct upstream_at at,
                 const char *phase, unsigned status, const char *why)
{
    if (!may_tell(l))
        return;
    bool v6 = slice_search(at.url->host, SLICE(":")) >= 0;
    log_warn(log, "upstream_failed",
             "gate=%s upstream=%.*s at=%s%.*s%s:%u phase=%s status=%u why=%s suppressed=%" PRIu64,
             log->component, SLICE_ARG(at.name), v6 ? "[" : "", SLICE_ARG(at.url->host),
             v6 ? "]" : "", (unsigned)at.url->port, phase, status, why, l->untold);
    l->untold = 0;
}

void upstream_log_lost(struct upstream_log *l, const struct log_ctx *log, struct upstream_at at,
                       enum err why, enum http_call_phase phase)
{
    static const char *const phases[] = {[HTTP_PHASE_RESOLVE] = "resolve",
                                         [HTTP_PHASE_CONNECT] = "connect",
                                         [HTTP_PHASE_SEND] = "send",
                                         [HTTP_PHASE_FIRST_BYTE] = "first_byte",
                                         [HTTP_PHASE_BODY] = "body"};
    MUST((size_t)phase < ARRAY_LEN(phases));
    if (why != ERR_CANCELLED)
        tell(l, log, at, phases[phase], 0, err_name(why));
}

bool upstream_refused_us(unsigned status)
{
    return status == 401 || status == 403 || status == 407;
}

void upstream_log_status(struct upstream_log *l, const struct log_ctx *log, struct upstream_at at,
                         unsigned status)
{
    tell(l, log, at, "answer", status,
         upstream_refused_us(status) ? "credential_refused" : "status");
}

void upstream_log_echo(struct upstream_log *l, const struct log_ctx *log, struct upstream_at at,
                       const char *where)
{
    count(l, UPSTREAM_COUNT_ECHO);
    log_error(log, "credential_echoed", "where=%s upstream=%.*s", where, SLICE_ARG(at.name));
}

void upstream_log_refused(struct upstream_log *l, const struct log_ctx *log, struct upstream_at at,
                          struct slice credential, unsigned status)
{
    count(l, UPSTREAM_COUNT_REFUSED);
    log_error(log, "upstream_credential_refused",
              "gate=%s upstream=%.*s credential=%.*s status=%u action=\"replace it, or mend its "
              "rights\"",
              log->component, SLICE_ARG(at.name), SLICE_ARG(credential), status);
}

struct slice upstream_why(enum err why)
{
    if (why == ERR_DENIED)
        return SLICE("not allowed by the egress rule (allow_cidrs)");
    return slice_str(err_text(why));
}
