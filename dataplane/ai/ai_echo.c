/* ai_echo — common/upstream/echo for the credential of the attempt under way. */
#include "common/upstream/echo.h"

#include "common/base/secret.h"
#include "common/upstream/upstream_log.h"
#include "dataplane/ai/ai_private.h"

static struct slice needle_of(const struct ai_work *w)
{
    return w->credential ? echo_needle(secret_reveal(w->credential)) : SLICE_NONE;
}

bool ai_echo_in(const struct ai_work *w, struct slice text)
{
    return echo_find(needle_of(w), text);
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
    const struct upstream_at at = {.name = w->attempt->provider};
    upstream_log_echo(&w->rq->env->upstreams.log, &w->rq->log, at, where);
}
