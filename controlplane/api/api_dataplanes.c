/*
 * api_dataplanes — tokens are made in the transaction that makes the plane.
 */
#include "controlplane/api/api_dataplanes.h"

#include "common/base/clock.h"
#include "common/base/secret.h"
#include "controlplane/channel/enrolment.h"

enum err api_dataplanes_token(struct change *x)
{
    char token[ENROL_TOKEN_MAX], at[CLOCK_TEXT_MAX];
    int64_t expires = 0;
    if (x->c->app->enrolment == NULL) {
        enum err said = call_problem(x->c, PROBLEM_NO_CHANNEL, "the channel is not running");
        return said == ERR_OK ? ERR_CANCELLED : said;
    }
    enum err e = enrolment_create(x->c->app->enrolment, &x->w.tx, slice_str(x->now.id),
                                  clock_wall_us(), token, &expires);
    if (e != ERR_OK)
        return e;
    x->extra = json_object();
    json_object_set_new(x->extra, "enrolment_token", json_string(token));
    json_set_text(x->extra, "enrolment_expires_at", clock_format(expires, at));
    secret_wipe(token, sizeof(token));
    return ERR_OK;
}

enum err api_dataplanes_renew(struct call *c)
{
    CHANGE_AUTO struct change x = {0};
    change_init(&x, c);
    enum err e = change_open(&x);
    if (e != ERR_OK)
        return change_result(e);
    change_keep(&x);
    e = change_store(&x);
    if (e == ERR_OK)
        e = api_dataplanes_token(&x);
    if (e == ERR_OK)
        e = change_end(&x, "enrolment-token", 200);
    return change_result(e);
}
