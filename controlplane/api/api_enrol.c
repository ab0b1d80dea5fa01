/*
 * api_enrol — enrolment of a data plane: no admin token, because the one-time enrolment token is
 * the credential.
 */
#include "controlplane/api/api_enrol.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "controlplane/api/admin_auth.h"
#include "controlplane/api/api_metrics.h"
#include "controlplane/channel/enrolment.h"

static const struct log_ctx enrol_log = {.component = "enrol"};

static enum err respond(struct call *c, const struct enrolled *e)
{
    json_t *t = json_object();
    json_set_text(t, "id", slice_str(e->id));
    json_set_text(t, "name", slice_str(e->name));
    json_set_text(t, "certificate", buf_slice(&e->certificate));
    json_set_text(t, "ca", enrolment_ca(c->app->enrolment));
    return call_respond(c, 200, &t);
}

/* 422 as every other: which member, and what is wrong with it */
static enum err refuse_member(struct call *c, const char *pointer, const char *detail)
{
    json_t *extra = json_pack("{s:[{s:s,s:s}]}", "errors", "pointer", pointer, "detail", detail);
    return call_problem_with(c, PROBLEM_ENROLMENT_INVALID, &extra, "the enrolment cannot be read");
}

static enum err refuse_wait(struct call *c, uint64_t wait_us)
{
    metric_add(c->app->metrics, API_METRIC_ENROLMENT_REFUSED, 0, 1);
    call_header(c, "retry-after", "%llu", (unsigned long long)((wait_us + 999999) / 1000000));
    return call_problem(c, PROBLEM_TOO_MANY_ENROLMENTS,
                        "too many enrolments from this address were refused: wait");
}

/* Wrong tokens are counted, logged, and slow their source down, as failed sign-ins do. */
static enum err refuse_token(struct call *c)
{
    metric_add(c->app->metrics, API_METRIC_ENROLMENT_REFUSED, 0, 1);
    log_warn(&enrol_log, "enrolment_refused", "source=%s", c->actor.source);
    if (c->auth)
        admin_auth_failed(c->auth, c, clock_mono_us());
    return call_problem(c, PROBLEM_ENROLMENT_REFUSED,
                        "this enrolment token is unknown, used or too old");
}

enum err api_enrol_use(struct call *c)
{
    struct slice token = json_text(c->body, "token"), csr = json_text(c->body, "csr");
    struct enrolled enrolled;
    uint64_t wait_us = c->auth ? admin_auth_waiting(c->auth, c, clock_mono_us()) : 0;
    if (wait_us)
        return refuse_wait(c, wait_us);
    if (!token.ptr)
        return refuse_member(c, "/token", "is required, as a string");
    if (!csr.ptr)
        return refuse_member(c, "/csr", "is required, as a string");
    if (!c->app->enrolment)
        return call_problem(c, PROBLEM_NO_CHANNEL, "the channel is not running");
    enum err e =
        enrolment_use(c->app->enrolment, c->app->db, token, csr, clock_wall_us(), &enrolled);
    if (e == ERR_OK)
        e = respond(c, &enrolled);
    else if (e == ERR_DENIED)
        e = refuse_token(c);
    else if (e == ERR_INVALID)
        e = refuse_member(c, "/csr", "must be one P-256 certificate request in PEM");
    enrolled_fini(&enrolled);
    return e;
}
