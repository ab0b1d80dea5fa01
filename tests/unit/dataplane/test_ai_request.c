/* request — the splice changes what it must and not a byte more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/ai/dialect/openai_body.h"

/* what goes upstream for `model`; the same text where nothing changes */
static void expect_spliced(const char *body, const char *model, const char *expected)
{
    struct arena *a = arena_new(4096, 65536);
    struct ai_request r = {0};
    struct slice detail = SLICE_NONE, in = slice_str(body);
    const struct ai_incoming incoming = {.body = in, .arena = a};
    struct slice pieces[AI_REQUEST_PIECES];
    struct ai_changes c = {.model = slice_str(model)};
    struct buf out;
    buf_init(&out, 65536);
    assert_int_equal(openai_read_chat(&incoming, &r, &detail), ERR_OK);
    assert_int_equal(openai_splice(&r, in, &c, a, pieces), ERR_OK);
    for (size_t i = 0; i < AI_REQUEST_PIECES; i++)
        assert_int_equal(buf_append(&out, pieces[i]), ERR_OK);
    if (strcmp(body, expected) == 0) /* nothing is new: it is the body itself */
        assert_true(pieces[0].ptr == body && pieces[0].len == in.len);
    struct slice got = buf_slice(&out);
    if (!slice_eq(got, slice_str(expected)))
        fail_msg("\n%.*s\nexpected\n%s", SLICE_ARG(got), expected);
    buf_fini(&out);
    arena_free(a);
}

static void nothing_to_change_is_the_body_itself(void **state)
{
    (void)state;
    const char *plain = "{\"model\":\"m\",\"messages\":[]}";
    const char *asked = "{\"model\":\"m\",\"stream\":true,\"messages\":[],"
                        "\"stream_options\":{\"include_usage\":true}}";
    expect_spliced(plain, "m", plain);
    expect_spliced(asked, "m", asked);
}

static void the_model_is_renamed_in_place(void **state)
{
    (void)state;
    expect_spliced(" {\"messages\":[{\"model\":\"m\"}],\"model\" : \"m\" }", "a\"b",
                   " {\"messages\":[{\"model\":\"m\"}],\"model\" : \"a\\\"b\" }");
}

static void usage_is_asked_for_wherever_the_options_stand(void **state)
{
    (void)state;
    expect_spliced("{\"model\":\"m\",\"stream\":true,\"messages\":[]}", "m",
                   "{\"stream_options\":{\"include_usage\":true},"
                   "\"model\":\"m\",\"stream\":true,\"messages\":[]}");
    expect_spliced("{\"stream_options\":{},\"model\":\"m\",\"stream\":true,\"messages\":[]}", "n",
                   "{\"stream_options\":{\"include_usage\":true},\"model\":\"n\","
                   "\"stream\":true,\"messages\":[]}");
    expect_spliced("{\"stream_options\":{ },\"model\":\"m\",\"stream\":true,\"messages\":[]}", "m",
                   "{\"stream_options\":{\"include_usage\":true },\"model\":\"m\","
                   "\"stream\":true,\"messages\":[]}");
    expect_spliced("{\"model\":\"m\",\"stream\":true,\"messages\":[],"
                   "\"stream_options\":{\"include_obfuscation\":false}}",
                   "n",
                   "{\"model\":\"n\",\"stream\":true,\"messages\":[],"
                   "\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false}}");
    expect_spliced("{\"model\":\"m\",\"stream\":true,\"messages\":[],"
                   "\"stream_options\":{\"include_usage\":false}}",
                   "m",
                   "{\"model\":\"m\",\"stream\":true,\"messages\":[],"
                   "\"stream_options\":{\"include_usage\":true}}");
    expect_spliced("{\"model\":\"m\",\"stream\":true,\"messages\":[],\"stream_options\":null}", "m",
                   "{\"model\":\"m\",\"stream\":true,\"messages\":[],"
                   "\"stream_options\":{\"include_usage\":true}}");
}

static void a_plain_call_is_not_asked_for_a_stream_s_usage(void **state)
{
    (void)state;
    const char *body = "{\"model\":\"m\",\"stream\":false,\"messages\":[]}";
    expect_spliced(body, "m", body);
}

static void ceilings_and_wishes_are_read(void **state)
{
    struct arena *a = arena_new(4096, 65536);
    struct ai_request r = {0};
    struct slice detail;
    const struct ai_incoming in = {
        .body = SLICE("{\"model\":\"gp\\u0074\",\"messages\":[],\"n\":3,\"max_tokens\":5,"
                      "\"max_completion_tokens\":7,\"stream\":true,"
                      "\"stream_options\":{\"include_usage\":true},"
                      "\"metadata\":{\"session_id\":\"s\"},\"prompt_cache_key\":\"k\"}"),
        .arena = a};
    (void)state;
    assert_int_equal(openai_read_chat(&in, &r, &detail), ERR_OK);
    assert_true(slice_eq(r.model, SLICE("gpt")));
    assert_int_equal(r.choices, 3);
    assert_int_equal(r.output_ceiling, 7);
    assert_true(r.stream && r.wants_usage);
    assert_true(slice_eq(r.session_id, SLICE("s")));
    assert_true(slice_eq(r.prompt_cache_key, SLICE("k")));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_change_is_the_body_itself),
        cmocka_unit_test(the_model_is_renamed_in_place),
        cmocka_unit_test(usage_is_asked_for_wherever_the_options_stand),
        cmocka_unit_test(a_plain_call_is_not_asked_for_a_stream_s_usage),
        cmocka_unit_test(ceilings_and_wishes_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
