/*
 * ai_retry — classes of failures, waits, and what the policy says of them.
 */
#include "dataplane/ai/ai_retry.h"

#include "common/base/limits.h"

#define WAIT_MS 250
#define DOUBLINGS 5 /* LIMIT_RETRY_WAIT_MS, about */

unsigned ai_retry_wait_ms = WAIT_MS;

enum failure_class ai_failure_class(enum ai_verdict verdict, unsigned status)
{
    switch (verdict) {
    case AI_LIMITED:
        return FAILURE_RATE_LIMITED;
    case AI_CREDENTIAL_BAD:
        return FAILURE_CREDENTIAL;
    case AI_TOO_LONG:
        return FAILURE_CONTEXT_TOO_LONG;
    case AI_CONTENT:
        return FAILURE_CONTENT_REFUSED;
    case AI_FATAL:
        return FAILURE_4XX;
    case AI_RETRY:
    case AI_OK:
        break;
    }
    return status == 408 ? FAILURE_TIMEOUT : FAILURE_5XX;
}

static unsigned wait_of(const struct ai_retry *r)
{
    unsigned doublings = r->tries - 1 < DOUBLINGS ? r->tries - 1 : DOUBLINGS;
    unsigned whole = ai_retry_wait_ms << doublings;
    unsigned wait = whole - whole / 2 + r->dice % (whole / 2 + 1);
    return wait > r->failure->retry_after_ms ? wait : r->failure->retry_after_ms;
}

bool ai_retry_again(const struct ai_retry *r, unsigned *wait_ms)
{
    const struct ai_failure *f = r->failure;
    if (f->is_final || r->tries > r->model->retry_attempts ||
        !(r->model->retry_on & FAILURE_BIT(f->class)))
        return false;
    unsigned wait = wait_of(r);
    if (wait > LIMIT_RETRY_WAIT_MS || wait >= r->left_ms)
        return false;
    *wait_ms = wait;
    return retry_budget_spend(r->budget, r->now_us);
}

static bool names_status(const struct policy_model *m, unsigned status)
{
    for (size_t i = 0; i < m->fallback_status_count; i++)
        if (m->fallback_status[i] == status)
            return true;
    return false;
}

bool ai_retry_elsewhere(const struct policy_model *m, const struct ai_failure *f)
{
    if (f->is_final)
        return false;
    if (!m->fallback_set)
        return !f->of_request;
    return m->fallback_on & FAILURE_BIT(f->class) || (f->status && names_status(m, f->status));
}
