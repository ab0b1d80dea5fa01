/*
 * api_enrol — no admin token: the enrolment token is the credential, and says so once.
 */
#include "controlplane/api/api_enrol.h"

#include "common/base/clock.h"
#include "controlplane/sync/enrolment.h"

static enum err answer(struct call *c, const struct enrolled *e)
{
    json_t *t = json_object();
    json_set_text(t, "id", slice_str(e->id));
    json_set_text(t, "name", slice_str(e->name));
    json_set_text(t, "certificate", buf_slice(&e->certificate));
    json_set_text(t, "ca", enrolment_ca(c->app->enrolment));
    return call_answer(c, 200, &t);
}

enum err api_enrol_use(struct call *c)
{
    struct slice token = json_text(c->body, "token"), csr = json_text(c->body, "csr");
    struct enrolled enrolled;
    if (!token.ptr || !csr.ptr)
        return call_problem(c, 422, "invalid", "\"token\" and \"csr\" are required, as strings");
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
        e = call_problem(c, 422, "invalid", "\"csr\" is not one P-256 certificate request in PEM");
    enrolled_fini(&enrolled);
    return e;
}
