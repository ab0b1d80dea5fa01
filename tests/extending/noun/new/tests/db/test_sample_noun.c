/* A noun that was added is stored, read, listed, described and measured as a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/api/admin_auth.h"
#include "controlplane/api/dispatch.h"
#include "tests/kit/db/admin.h"
#include "tests/kit/db/base.h"

static struct app app;
static struct admin_auth *auth;

static unsigned ask(const char *method, const char *target, const char *body, json_t **ret)
{
    struct call c;
    struct dispatch_head head = {.method = slice_str(method),
                                 .target = slice_str(target),
                                 .content_type = SLICE("application/json"),
                                 .authorization = SLICE("Bearer owner"),
                                 .has_body = body != NULL};
    struct json_problem problem;
    call_init(&c, &app);
    snprintf(c.actor.source, sizeof(c.actor.source), "192.0.2.1");
    if (dispatch_head(&c, auth, &head))
        dispatch_body(&c, body != NULL ? slice_str(body) : SLICE(""));
    *ret = NULL;
    if (c.response.len > 0)
        assert_int_equal(json_read(buf_slice(&c.response), ret, &problem), ERR_OK);
    unsigned status = c.status;
    call_fini(&c);
    return status;
}

static void a_noun_is_made_read_and_listed(void **state)
{
    (void)state;
    json_t *got;
    assert_int_equal(ask("POST", "/admin/v1/notices", "{\"name\":\"a\",\"text\":\"b\"}", &got), 201);
    json_decref(got);
    assert_int_equal(ask("GET", "/admin/v1/notices/a", NULL, &got), 200);
    assert_string_equal(json_string_value(json_object_get(got, "text")), "b");
    json_decref(got);
    assert_int_equal(ask("POST", "/admin/v1/notices", "{\"name\":\"c\"}", &got), 422);
    json_decref(got);
    assert_int_equal(ask("GET", "/admin/v1/openapi.json", NULL, &got), 200);
    assert_non_null(json_object_get(json_object_get(got, "paths"), "/admin/v1/notices"));
    json_decref(got);
}

static int open_all(void **state)
{
    base_open(state);
    admin_open(&app);
    admin_token("owner", ROLE_OWNER);
    auth = admin_auth_new(app.token_hmac);
    return 0;
}

static int close_all(void **state)
{
    admin_auth_free(auth);
    admin_close(&app);
    return base_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_noun_is_made_read_and_listed)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
