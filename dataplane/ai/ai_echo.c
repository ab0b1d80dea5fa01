/* echo — what common/request/echo knows, asked for the credential of the attempt under way. */
#include "common/request/echo.h"

#include "common/base/secret.h"
#include "common/request/request_metrics.h"
#include "dataplane/ai/ai_private.h"

static struct slice needle_of(const struct ai_work *w)
{
    return w->credential ? echo_needle(secret_reveal(w->credential)) : SLICE_NONE;
}

bool ai_echo_in(const struct ai_work *w, struct slice text)
{
    struct slice needle = needle_of(w);
    return needle.len > 0 && slice_search(text, needle) >= 0;
}

bool ai_echo_mask(struct ai_work *w, char *text, size_t len, const char *where)
{
    if (!echo_mask(needle_of(w), text, len))
        return false;
    ai_echo_alarm(w, where);
    return true;
}

void ai_echo_alarm(struct ai_work *w, const char *where)
{
    count_add(w->rq->env, COUNT_ECHOES, 0, 1);
    log_error(&w->rq->log, "credential_echoed", "where=%s provider=%.*s", where,
              SLICE_ARG(w->attempt->provider));
}
