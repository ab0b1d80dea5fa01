/* ai_echo — common/upstream/echo for the credential of the attempt under way. */
#include "common/upstream/echo.h"

#include "common/base/secret.h"
#include "common/upstream/upstream_log.h"
#include "dataplane/ai/ai_echo.h"

static struct slice needle_of(const struct ai_call *c)
{
    return c->credential ? echo_needle(secret_reveal(c->credential)) : SLICE_NONE;
}

bool ai_echo_in(const struct ai_call *c, struct slice text)
{
    return echo_find(needle_of(c), text);
}

bool ai_echo_mask(struct ai_call *c, char *text, size_t len, const char *where)
{
    if (!echo_mask(needle_of(c), text, len))
        return false;
    ai_echo_alarm(c, where);
    return true;
}

void ai_echo_alarm(struct ai_call *c, const char *where)
{
    const struct upstream_at at = {.name = c->attempt->provider};
    upstream_log_echo(&c->rq->env->upstreams.log, &c->rq->log, at, where);
}
