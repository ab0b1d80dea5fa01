/* match — names with wildcards and routes, as tables. */
#include "tests/unit/policy/policy_kit.h"

static void lists_allow_exact_names_prefixes_and_everything(void **state)
{
    (void)state;
    static const struct {
        const char *entry, *name;
        bool allowed;
    } rows[] = {
        {"gpt-4o", "gpt-4o", true},
        {"gpt-4o", "gpt-4o-mini", false},
        {"gpt-4o", "GPT-4o", false},
        {"openai/*", "openai/gpt", true},
        {"openai/*", "openai/", false},
        {"openai/*", "openai", false},
        {"openai/*", "openaix/g", false},
        {"*", "anything/at all", true},
        {"g*", "gpt", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice entry = slice_str(rows[i].entry);
        struct name_list l = {.set = true, .count = 1, .names = &entry};
        if (name_list_allows(&l, slice_str(rows[i].name)) != rows[i].allowed)
            fail_msg("%s against %s", rows[i].name, rows[i].entry);
    }
    struct name_list absent = {0};
    assert_false(name_list_allows(&absent, SLICE("gpt")));
}

static void patterns_of_a_catalogue_match_names(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *name;
        bool fits;
    } rows[] = {
        {"gpt-4o", "gpt-4o", true},
        {"gpt-4o", "GPT-4O", true},
        {"gpt-4o", "gpt-4o-mini", false},
        {"gpt-4o*", "gpt-4o-mini", true},
        {"*claude*", "anthropic.claude-v2", true},
        {"*claude*", "claude", true},
        {"*-latest", "m-latest", true},
        {"*-latest", "m-latest-1", false},
        {"gpt-####-##-##", "gpt-2026-01-31", true},
        {"gpt-####-##-##", "gpt-2026-01-3x", false},
        {"gpt-####-##-##", "gpt-2026-01-311", false},
        {"a*b*c", "aXbbYbc", true},
        {"a*b*c", "aXbbYb", false},
        {"*", "", true},
        {"", "", true},
        {"", "a", false},
        {"gemini* & !*-tts*", "gemini-2.5-pro", true},
        {"gemini* & !*-tts*", "gemini-2.5-pro-tts", false},
        {"!a & !b", "c", true},
        {"!a & !b", "b", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (policy_pattern_fits(slice_str(rows[i].pattern), slice_str(rows[i].name)) !=
            rows[i].fits)
            fail_msg("%s against %s", rows[i].name, rows[i].pattern);
}

static void routes_match_whole_segments(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool allowed;
    } rows[] = {
        {"/customers/*", "/customers/1", true},
        {"/customers/*", "/customers", false},
        {"/customers/*", "/customers/", false},
        {"/customers/*", "/customers/1/orders", false},
        {"/customers/**", "/customers", true},
        {"/customers/**", "/customers/1/2/3", true},
        {"/customers/**", "/customersx", false},
        {"/**", "/", true},
        {"/**", "/a/b", true},
        {"/a", "/a", true},
        {"/a", "/a/", false},
        {"/a", "/A", false},
        {"/*/orders", "/7/orders", true},
        {"/*/orders", "/7/8/orders", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_route r = {.path = slice_str(rows[i].pattern)};
        if (policy_route_allows(&r, 1, SLICE("GET"), slice_str(rows[i].path), false) !=
            rows[i].allowed)
            fail_msg("%s against %s", rows[i].path, rows[i].pattern);
    }
}

static void head_follows_get_and_other_methods_do_not(void **state)
{
    (void)state;
    struct slice get = SLICE("GET"), post = SLICE("POST");
    struct policy_route reads = {.methods = &get, .method_count = 1, .path = SLICE("/a")};
    struct policy_route writes = {.methods = &post, .method_count = 1, .path = SLICE("/a")};
    assert_true(policy_route_allows(&reads, 1, SLICE("HEAD"), SLICE("/a"), false));
    assert_true(policy_route_allows(&reads, 1, SLICE("GET"), SLICE("/a"), false));
    assert_false(policy_route_allows(&reads, 1, SLICE("get"), SLICE("/a"), false));
    assert_false(policy_route_allows(&reads, 1, SLICE("DELETE"), SLICE("/a"), false));
    assert_false(policy_route_allows(&writes, 1, SLICE("HEAD"), SLICE("/a"), false));
    assert_false(policy_route_allows(NULL, 0, SLICE("GET"), SLICE("/a"), false));
}

static void a_path_without_one_spelling_needs_a_route_that_says_so(void **state)
{
    (void)state;
    struct policy_route routes[] = {{.path = SLICE("/**")},
                                    {.path = SLICE("/files/*"), .opaque = true}};
    assert_true(policy_route_allows(routes, 2, SLICE("GET"), SLICE("/files/a%2Fb"), true));
    assert_false(policy_route_allows(routes, 2, SLICE("GET"), SLICE("/other/a%2Fb"), true));
    assert_false(policy_route_allows(routes, 1, SLICE("GET"), SLICE("/files/a%2Fb"), true));
    assert_true(policy_route_allows(routes, 2, SLICE("GET"), SLICE("/files/a"), false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_allow_exact_names_prefixes_and_everything),
        cmocka_unit_test(patterns_of_a_catalogue_match_names),
        cmocka_unit_test(routes_match_whole_segments),
        cmocka_unit_test(head_follows_get_and_other_methods_do_not),
        cmocka_unit_test(a_path_without_one_spelling_needs_a_route_that_says_so),
    };
    return cmocka_run_group_tests_name("match", tests, NULL, NULL);
}
