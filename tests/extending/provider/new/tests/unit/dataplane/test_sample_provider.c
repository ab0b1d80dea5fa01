/* sample_provider — it is found by its name, and its response becomes the client's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/provider/provider.h"

static void a_response_of_it_becomes_a_completion(void **state)
{
    const struct ai_provider *p = ai_provider_named(SLICE("sample"));
    struct ai_assembly *a = ai_assembly_new();
    struct ai_decoder d = {0};
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    assert_non_null(p);
    assert_int_equal(p->decode_whole(&d, SLICE("{\"text\":\"hi\"}"), ai_assembly_add, a), ERR_OK);
    assert_true(ai_assembly_is_whole(a));
    assert_int_equal(dialect_openai_chat.write_whole(a, &out), ERR_OK);
    assert_true(slice_search(buf_slice(&out), SLICE("\"content\":\"hi\"")) > 0);
    buf_fini(&out);
    ai_assembly_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_response_of_it_becomes_a_completion)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
