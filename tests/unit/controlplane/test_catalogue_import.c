/* catalogue_import — entries of LiteLLM's price file, made up here, as catalogues that the API
 * takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/domain/catalogue_import.h"
#include "controlplane/domain/nouns.h"

static const char file_text[] =
    "{\"sample_spec\":{\"mode\":\"one of chat, embedding\",\"litellm_provider\":\"one of ...\"},"
    "\"gpt-x\":{\"litellm_provider\":\"openai\",\"mode\":\"chat\",\"input_cost_per_token\":2.5e-06,"
    "\"output_cost_per_token\":1e-05,\"cache_read_input_token_cost\":1.25e-06,"
    "\"max_input_tokens\":128000,\"max_output_tokens\":16384,\"supports_vision\":true,"
    "\"supports_function_calling\":true,\"supports_reasoning\":false,"
    "\"supports_response_schema\":true},"
    "\"gemini/gem-x\":{\"litellm_provider\":\"gemini\",\"input_cost_per_token\":1.25e-06,"
    "\"output_cost_per_token\":1e-05,\"input_cost_per_token_above_200k_tokens\":2.5e-06,"
    "\"output_cost_per_token_above_200k_tokens\":1.5e-05},"
    "\"vertex_ai/gem-x\":{\"litellm_provider\":\"vertex_ai-language-models\","
    "\"input_cost_per_token\":9,\"output_cost_per_token\":9},"
    "\"openrouter/a/b\":{\"litellm_provider\":\"openrouter\",\"input_cost_per_token\":1e-06,"
    "\"output_cost_per_token\":2e-06},"
    "\"embed-x\":{\"litellm_provider\":\"openai\",\"mode\":\"embedding\","
    "\"input_cost_per_token\":2e-08},"
    "\"image-x\":{\"litellm_provider\":\"openai\",\"input_cost_per_pixel\":1e-08},"
    "\"who-x\":{\"litellm_provider\":\"unheard_of\",\"input_cost_per_token\":1e-06},"
    "\"odd-x\":{\"litellm_provider\":\"openai\",\"input_cost_per_token\":\"free\"}}";

static const json_t *row(const json_t *all, const char *vendor, const char *model)
{
    const json_t *one, *m;
    size_t i, j;
    json_array_foreach(all, i, one)
    {
        if (!slice_eq(json_text(one, "name"), slice_str(vendor)))
            continue;
        json_array_foreach(json_object_get(one, "models"), j, m)
        {
            if (slice_eq(json_text(m, "model"), slice_str(model)))
                return m;
        }
    }
    return NULL;
}

static void expect_price(const json_t *model, const char *name, const char *want)
{
    struct slice got = json_text(json_object_get(model, "price"), name);
    if (!slice_eq(got, slice_str(want)))
        fail_msg("%s is %.*s", name, SLICE_ARG(got));
}

static void entries_become_the_models_of_their_vendors(void **state)
{
    (void)state;
    JSON_AUTO json_t *file = NULL;
    struct json_problem problem;
    size_t left_out = 0;
    assert_int_equal(json_read(slice_str(file_text), &file, &problem), ERR_OK);
    assert_true(catalogue_is_litellm(file));
    JSON_AUTO json_t *all = catalogue_from_litellm(file, &left_out);
    const json_t *gpt = row(all, "openai", "gpt-x"), *gem = row(all, "gemini", "gem-x");
    expect_price(gpt, "input_per_mtok", "2.500000");
    expect_price(gpt, "cache_read_per_mtok", "1.250000");
    assert_int_equal(json_integer_value(json_object_get(gpt, "context_tokens")), 128000);
    assert_int_equal(json_integer_value(json_object_get(gpt, "max_output_tokens")), 16384);
    JSON_AUTO json_t *able = json_pack("[ssss]", "tools", "vision", "json_schema", "json_mode");
    assert_true(json_equal(json_object_get(gpt, "capabilities"), able));
    assert_null(json_object_get(gem, "capabilities")); /* nothing is said of them */
    expect_price(gem, "input_per_mtok", "1.250000");   /* not that of Vertex, which comes later */
    const json_t *tier = json_array_get(json_object_get(json_object_get(gem, "price"), "above"), 0);
    assert_int_equal(json_integer_value(json_object_get(tier, "tokens")), 200000);
    assert_true(slice_eq(json_text(tier, "output_per_mtok"), SLICE("15.000000")));
    assert_non_null(row(all, "openrouter", "a/b"));
    expect_price(row(all, "openai", "embed-x"), "output_per_mtok", "0");
    assert_null(row(all, "openai", "image-x"));
    assert_int_equal(left_out, 5); /* sample_spec, Vertex's, image-x, who-x, odd-x */
}

static void what_comes_out_is_what_the_api_takes(void **state)
{
    (void)state;
    JSON_AUTO json_t *file = NULL;
    struct json_problem problem;
    size_t left_out, i;
    const json_t *one;
    assert_int_equal(json_read(slice_str(file_text), &file, &problem), ERR_OK);
    JSON_AUTO json_t *all = catalogue_from_litellm(file, &left_out);
    json_array_foreach(all, i, one)
    {
        struct reading r = {.creating = true};
        JSON_AUTO json_t *body = json_pack("{s:O}", "models", json_object_get(one, "models"));
        JSON_AUTO json_t *spec = field_read(&r, noun_catalogue.fields, body, NULL, "");
        assert_non_null(spec);
        noun_catalogue.check(&r, NULL, spec);
        assert_int_equal(json_array_size(r.problems), 0);
        reading_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_become_the_models_of_their_vendors),
        cmocka_unit_test(what_comes_out_is_what_the_api_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
