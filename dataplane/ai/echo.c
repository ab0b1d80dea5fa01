/* echo — what common/journey/echo knows, asked for the credential of the attempt under way. */
#include "common/journey/echo.h"

#include "common/base/secret.h"
#include "common/journey/metrics.h"
#include "dataplane/ai/work.h"

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
    count_add(w->j->env, COUNT_ECHOES, 0, 1);
    log_error(&w->j->log, "credential_echoed", "where=%s provider=%.*s", where,
              SLICE_ARG(w->attempt->provider));
}
