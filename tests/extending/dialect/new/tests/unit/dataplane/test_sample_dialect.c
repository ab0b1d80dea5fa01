/* sample_dialect — its path is served, and its bodies are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/ai/dialect/dialect.h"

static void its_path_leads_to_it(void **state)
{
    struct arena *a = arena_new(4096, 65536);
    const struct http_head head = {.method = SLICE("POST")};
    struct ai_incoming in = {.body = SLICE("{\"model\":\"m\"}"), .arena = a};
    struct ai_request r = {0};
    struct slice detail;
    bool allowed;
    (void)state;
    const struct ai_endpoint *e = ai_endpoint_find(&head, SLICE("/v1/sample"), &allowed);
    assert_non_null(e);
    assert_true(allowed);
    assert_int_equal(e->dialect->read(&in, &r, &detail), ERR_OK);
    assert_true(slice_eq(r.model, SLICE("m")));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(its_path_leads_to_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
