/*
 * echo — an upstream that sends our credential back must not hand it to the client
 * (security.md, What goes out).
 */
#include "common/base/secret.h"
#include "common/journey/metrics.h"
#include "dataplane/ai/work.h"

#define SHORTEST 8 /* a shorter credential would be found in innocent text */

static struct slice credential_of(const struct ai_work *w)
{
    struct slice s = w->credential ? secret_reveal(w->credential) : SLICE_NONE;
    return s.len >= SHORTEST ? s : SLICE_NONE;
}

bool echo_in(const struct ai_work *w, struct slice text)
{
    struct slice s = credential_of(w);
    return s.len && text.len >= s.len && slice_search(text, s) >= 0;
}

void echo_mask(const struct ai_work *w, char *text, size_t len)
{
    struct slice s = credential_of(w), rest = slice_of(text, len);
    for (ptrdiff_t at; s.len && (at = slice_search(rest, s)) >= 0;) {
        size_t from = (size_t)(rest.ptr - text) + (size_t)at;
        memset(text + from, '*', s.len);
        rest = slice_from(slice_of(text, len), from + s.len);
    }
}

void echo_alarm(struct ai_work *w, const char *where)
{
    count_add(w->j->env, COUNT_ECHOES, 0, 1);
    log_error(&w->j->log, "credential_echoed", "where=%s provider=%.*s", where,
              SLICE_ARG(w->attempt->provider));
}
