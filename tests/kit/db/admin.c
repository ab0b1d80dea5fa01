/* admin — implements admin.h. */
#include "tests/kit/db/admin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "controlplane/api/admin_auth.h"
#include "controlplane/api/admin_routes.h"
#include "controlplane/api/api_metrics.h"
#include "controlplane/store/store_token.h"
#include "tests/kit/db/base.h"

void admin_open(struct app *a)
{
    routes_init();
    a->db = base.db;
    a->seal = base.seal;
    a->key_hmac = base.boot.key_hmac;
    a->token_hmac = base.boot.token_hmac;
    a->metrics = api_metrics_new();
    snprintf(a->org_id, sizeof(a->org_id), "%s", base.boot.org_id);
}

void admin_close(struct app *a)
{
    metric_set_free(a->metrics);
}

void admin_token(const char *name, enum role role)
{
    struct tx tx = {0};
    struct digest d;
    struct admin_token t = {.role = role};
    admin_auth_digest(base.boot.token_hmac, slice_str(name), &d);
    id_new("tok", t.id);
    snprintf(t.name, sizeof(t.name), "%s", name);
    snprintf(t.org_id, sizeof(t.org_id), "%s", base.boot.org_id);
    assert_int_equal(tx_begin(base.db, TX_EVERY_ORG, &tx), ERR_OK);
    assert_int_equal(store_token_put(&tx, &t, &d), ERR_OK);
    assert_int_equal(tx_commit(&tx), ERR_OK);
}
