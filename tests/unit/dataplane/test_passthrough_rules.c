/* passthrough_rules — what a path below a provider's base URL means, and what of a query goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/wire/keyprint.h"
#include "dataplane/ai/passthrough/passthrough_rules.h"

static void a_path_may_repeat_that_of_the_base(void **state)
{
    (void)state;
    static const struct {
        const char *base, *path, *below;
    } rows[] = {
        {"/v1", "/v1/files", "/files"},
        {"/v1", "/files", "/files"},
        {"/v1/", "/v1/files", "/files"},
        {"/v1", "/v1", "/"},
        {"/v1", "/v1beta/files", "/v1beta/files"},
        {"", "/v1/files", "/v1/files"},
        {"/v1", "/v1/v1/files", "/v1/files"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice is = passthrough_below(slice_str(rows[i].base), slice_str(rows[i].path));
        if (!slice_eq(is, slice_str(rows[i].below)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(is));
    }
}

static void a_pattern_covers_what_it_names_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool allowed;
    } rows[] = {
        {"/v1/files/**", "/files/1", true}, {"/files/**", "/files/1", true},
        {"/*/files", "/files", false},      {"/v1/*", "/files", true},
        {"/v1/*", "/files/1", false},       {"/**", "/anything/at/all", true},
        {"/files", "/files/", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice post = SLICE("POST");
        struct policy_route route = {
            .methods = &post, .method_count = 1, .path = slice_str(rows[i].pattern)};
        struct policy_grant g = {.routes = &route, .route_count = 1, .routes_set = true};
        struct slice path = slice_str(rows[i].path);
        if ((passthrough_route(&g, SLICE("/v1"), post, path) != NULL) != rows[i].allowed)
            fail_msg("row %zu: %s", i, rows[i].pattern);
        assert_null(passthrough_route(&g, SLICE("/v1"), SLICE("GET"), path));
        g.routes_set = false; /* what names no route opens nothing */
        assert_null(passthrough_route(&g, SLICE("/v1"), post, path));
    }
}

static void what_administers_an_account_is_known_by_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *dialect, *path;
        bool is;
    } rows[] = {
        {"openai", "/organization/users", true},
        {"openai", "/Organization/users", true},
        {"azure", "/openai/v1/organization/users", true},
        {"anthropic", "/v1/organizations/api_keys", true},
        {"anthropic", "/v1/organizations", true},
        {"openai", "/organizational-chart", false},
        {"openai", "/fine_tuning/checkpoints/c/permissions", true},
        {"openai", "/fine_tuning/jobs", false},
        {"openai", "/keys", true},
        {"openai", "/realtime/client_secrets", true},
        {"azure", "/openai/v1/realtime/sessions", true},
        {"openai", "/realtime/calls", false},
        {"gemini", "/v1alpha/auth_tokens", true},
        {"openai", "/api/v1/keys/1", true},
        {"ollama", "/api/pull", true},
        {"ollama", "/api/chat", false},
        {"openai", "/api/pull", false},
        {"openai", "/chat/keys", false},
        {"openai", "/", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (passthrough_is_administration(slice_str(rows[i].dialect), slice_str(rows[i].path)) !=
            rows[i].is)
            fail_msg("row %zu: %s", i, rows[i].path);
}

static void what_has_owners_at_the_ai_gate_is_known_by_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *dialect, *method, *path;
        bool is;
    } rows[] = {
        {"openai", "GET", "/files", true},
        {"openai", "GET", "/Files/file-1/content", true},
        {"azure", "POST", "/openai/v1/files", true},
        {"openai", "POST", "/batches/b/cancel", true},
        {"openai", "GET", "/responses/resp_1", true},
        {"openai", "GET", "/responses/", true},
        {"openai", "POST", "/responses", false},
        {"openai", "POST", "/responses/input_tokens", false},
        {"openai", "GET", "/conversations/conv_1/items", true},
        {"openai", "POST", "/v1/conversations", true},
        {"openai", "GET", "/chat/completions", true},
        {"openai", "HEAD", "/v1/Chat/Completions/", true},
        {"openai", "GET", "/chat/completions/chatcmpl-1/messages", true},
        {"openai", "POST", "/chat/completions/chatcmpl-1", true},
        {"openai", "POST", "/chat/completions", false},
        {"openai", "POST", "/v1/chat/completions/", false},
        {"anthropic", "GET", "/v1/chat/completions", false},
        {"openai", "GET", "/filesystem", false},
        {"anthropic", "GET", "/v1/files", false},
        {"openai", "GET", "/vector_stores/v/files", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (passthrough_is_kept(slice_str(rows[i].dialect), slice_str(rows[i].method),
                                slice_str(rows[i].path)) != rows[i].is)
            fail_msg("row %zu: %s", i, rows[i].path);
}

/* A server may take more spellings than its documentation has; none of them is unmetered. */
static void a_modelled_path_is_known_in_every_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *known;
    } rows[] = {
        {"POST", "/chat/completions", "/v1/chat/completions"},
        {"POST", "/v1/chat/completions", "/v1/chat/completions"},
        {"POST", "/v1/chat/completions/", "/v1/chat/completions"},
        {"POST", "/chat/completions/", "/v1/chat/completions"},
        {"POST", "/openai/v1/chat/completions", "/v1/chat/completions"},
        {"POST", "/api/v3/Chat/Completions", "/v1/chat/completions"},
        {"POST", "/v1/chat/%63ompletions", "/v1/chat/completions"},
        {"POST", "/v1beta/models/gem:generateContent", "/v1beta/models/gem:generateContent"},
        {"POST", "/v1beta/models/gem%3AgenerateContent", "/v1beta/models/gem:generateContent"},
        {"POST", "/v1alpha/models/gem:generateContent", "/v1/models/gem:generateContent"},
        {"POST", "/model/eu.claude%3A0/converse", "/model/eu.claude%3A0/converse"},
        {"POST", "/model/eu.claude%3A0/converse/", "/model/eu.claude:0/converse"},
        {"POST", "/v2/chat", "/v2/chat"},
        {"POST", "/v1/chat", NULL}, /* Cohere's older one is another API */
        {"GET", "/v1/chat/completions", NULL},
        {"POST", "/v1/fine_tuning/jobs", NULL},
        {"POST", "/", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_new(4096, 1u << 20);
        struct passthrough_modelled m;
        const struct http_head h = {.method = slice_str(rows[i].method),
                                    .target = slice_str(rows[i].path)};
        assert_int_equal(passthrough_model_path(&h, slice_str(rows[i].path), a, &m), ERR_OK);
        bool as_wanted =
            rows[i].known ? m.endpoint && slice_eq(m.path, slice_str(rows[i].known)) : !m.endpoint;
        if (!as_wanted)
            fail_msg("row %zu: %.*s", i, SLICE_ARG(m.path));
        arena_free(a);
    }
}

static void a_query_goes_on_without_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *dialect, *base, *add, *query, *sent;
        bool metered;
    } rows[] = {
        {"openai", "", "", "a=1&b=%2F&&c", "a=1&b=%2F&c", false},
        {"openai", "", "", "key=k&a=1", "a=1", false}, /* the gate reads it as a credential */
        {"gemini", "", "", "key=k&a=1&%4Bey=x&KEY=y", "a=1", false},
        {"vertex", "", "", "a=1&access%5Ftoken=x", "a=1", false},
        {"azure", "t=1", "api-version=2", "api-key=x&a=1", "t=1&a=1&api-version=2", false},
        {"bedrock", "", "", "X-Amz-Signature=00&a=1", "a=1", false},
        {"openai", "t=1", "", "", "t=1", false},
        {"openai", "", "", "", "", false},
        {"gemini", "", "", "alt=proto&fields=x&callback=f", "alt=proto&fields=x&callback=f", false},
        {"gemini", "", "", "alt=proto&%61lt=media&$alt=proto&alt=sse&a=1", "alt=sse&a=1", true},
        {"gemini", "", "", "fields=candidates&$fields=x&callback=f&alt=json", "alt=json", true},
        {"openai", "", "", "fields=x&alt=y", "fields=x&alt=y", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_new(4096, 1u << 20);
        struct slice is = passthrough_query(
            &(struct passthrough_query_in){slice_str(rows[i].base), slice_str(rows[i].add),
                                           slice_str(rows[i].query), slice_str(rows[i].dialect),
                                           rows[i].metered},
            a);
        if (!slice_eq(is, slice_str(rows[i].sent)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(is));
        arena_free(a);
    }
}

static void a_key_of_ours_is_in_no_member(void **state)
{
    (void)state;
    char key[KEYPRINT_KEY_LEN + 1], query[256];
    struct arena *a = arena_new(4096, 1u << 20);
    keyprint_make(key);
    snprintf(query, sizeof(query), "whatever=%s&a=1", key);
    struct slice is = passthrough_query(
        &(struct passthrough_query_in){.sent = slice_str(query), .dialect = SLICE("openai")}, a);
    assert_true(slice_eq(is, SLICE("a=1")));
    arena_free(a);
}

static void a_query_is_sorted_and_escaped_in_one_way_to_be_signed(void **state)
{
    (void)state;
    static const struct {
        const char *query, *sorted;
    } rows[] = {
        {"b=2&a=1", "a=1&b=2"}, {"a=2&a=1", "a=1&a=2"},        {"b", "b="},
        {"a=x%2fy", "a=x%2Fy"}, {"a=x:y&%61b", "a=x%3Ay&ab="}, {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena *a = arena_new(4096, 1u << 20);
        struct slice is = passthrough_sorted_query(slice_str(rows[i].query), a);
        if (!slice_eq(is, slice_str(rows[i].sorted)))
            fail_msg("row %zu: %.*s", i, SLICE_ARG(is));
        arena_free(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_may_repeat_that_of_the_base),
        cmocka_unit_test(a_pattern_covers_what_it_names_and_nothing_else),
        cmocka_unit_test(what_administers_an_account_is_known_by_its_path),
        cmocka_unit_test(what_has_owners_at_the_ai_gate_is_known_by_its_path),
        cmocka_unit_test(a_modelled_path_is_known_in_every_spelling),
        cmocka_unit_test(a_query_goes_on_without_credentials),
        cmocka_unit_test(a_key_of_ours_is_in_no_member),
        cmocka_unit_test(a_query_is_sorted_and_escaped_in_one_way_to_be_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
