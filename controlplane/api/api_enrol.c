/*
 * api_enrol — no admin token: the enrolment token is the credential, and says so once.
 */
#include "controlplane/api/api_enrol.h"

#include "common/base/clock.h"
#include "controlplane/channel/enrolment.h"

static enum err answer(struct call *c, const struct enrolled *e)
{
    json_t *t = json_object();
    json_set_text(t, "id", slice_str(e->id));
    json_set_text(t, "name", slice_str(e->name));
    json_set_text(t, "certificate", buf_slice(&e->certificate));
    json_set_text(t, "ca", enrolment_ca(c->app->enrolment));
    return call_answer(c, 200, &t);
}

/* 422 as every other: which member, and what is wrong with it */
static enum err refuse_member(struct call *c, const char *pointer, const char *detail)
{
    json_t *extra = json_pack("{s:[{s:s,s:s}]}", "errors", "pointer", pointer, "detail", detail);
    return call_problem_with(c, 422, "invalid", &extra, "the enrolment cannot be read");
}

enum err api_enrol_use(struct call *c)
{
    struct slice token = json_text(c->body, "token"), csr = json_text(c->body, "csr");
    struct enrolled enrolled;
    if (!token.ptr)
        return refuse_member(c, "/token", "is required, as a string");
    if (!csr.ptr)
        return refuse_member(c, "/csr", "is required, as a string");
    if (!c->app->enrolment)
        return call_problem(c, 503, "no_channel", "the channel is not running");
    enum err e =
        enrolment_use(c->app->enrolment, c->app->db, token, csr, clock_wall_us(), &enrolled);
    if (e == ERR_OK)
        e = answer(c, &enrolled);
    else if (e == ERR_DENIED)
        e = call_problem(c, 401, "enrolment_refused",
                         "this enrolment token is unknown, used or too old");
    else if (e == ERR_INVALID)
        e = refuse_member(c, "/csr", "must be one P-256 certificate request in PEM");
    enrolled_fini(&enrolled);
    return e;
}
