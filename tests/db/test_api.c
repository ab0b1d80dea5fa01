/*
 * api — behaviour that depends on the caller and on time: roles, sign-ins against the clock, an
 * unreachable database, the first token. tests/e2e/admin.test.mjs tests the rest from outside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "controlplane/api/admin_auth.h"
#include "controlplane/api/dispatch.h"
#include "controlplane/api/first_token.h"
#include "controlplane/store/store_token.h"
#include "tests/kit/db/admin.h"
#include "tests/kit/db/base.h"
#include "tests/kit/scratch.h"

static struct app app;
static struct admin_auth *auth;

/* ---- asking ---- */

struct response {
    unsigned status;
    json_t *json;
    char code[64];
    char version[32];
};

static void response_fini(struct response *a)
{
    json_decref(a->json);
}
#define RESPONSE_AUTO __attribute__((cleanup(response_fini)))

static const char *header_of(const struct call *c, const char *name)
{
    for (size_t i = 0; i < c->header_count; i++)
        if (strcmp(c->headers[i].name, name) == 0)
            return c->headers[i].value;
    return "";
}

static struct response ask(const struct app *a, const char *token, const char *method,
                           const char *target, const char *body)
{
    struct call c;
    struct response got = {0};
    char bearer[128];
    struct dispatch_head head = {.method = slice_str(method),
                                 .target = slice_str(target),
                                 .content_type = SLICE("application/json"),
                                 .has_body = body != NULL};
    snprintf(bearer, sizeof(bearer), "Bearer %s", token);
    head.authorization = slice_str(bearer);
    call_init(&c, a);
    snprintf(c.actor.source, sizeof(c.actor.source), "192.0.2.1");
    if (dispatch_head(&c, auth, &head))
        dispatch_body(&c, body != NULL ? slice_str(body) : SLICE(""));
    struct json_problem problem;
    got.status = c.status;
    if (c.response.len > 0)
        assert_int_equal(json_read(buf_slice(&c.response), &got.json, &problem), ERR_OK);
    snprintf(got.code, sizeof(got.code), "%.*s", SLICE_ARG(json_text(got.json, "code")));
    snprintf(got.version, sizeof(got.version), "%s", header_of(&c, "x-gatehouse-version"));
    call_fini(&c);
    return got;
}

/* ---- roles ---- */

static const struct {
    const char *token, *method, *target, *body;
    unsigned status;
} rights[] = {
    {"viewer", "GET", "/admin/v1/teams", NULL, 200},
    {"viewer", "POST", "/admin/v1/tasks", "{\"name\":\"a\"}", 403},
    {"viewer", "PATCH", "/admin/v1/teams/default", "{}", 403},
    {"viewer", "DELETE", "/admin/v1/teams/default", NULL, 403},
    {"viewer", "GET", "/admin/v1/audit", NULL, 403},
    {"billing", "PATCH", "/admin/v1/teams/default", "{\"description\":\"b\"}", 200},
    {"billing", "POST", "/admin/v1/agents", "{\"name\":\"b\"}", 403},
    {"security", "POST", "/admin/v1/tasks", "{\"name\":\"s\"}", 201},
    {"security", "POST", "/admin/v1/keys", "{\"name\":\"s\"}", 403},
    {"security", "GET", "/admin/v1/audit", NULL, 200},
    {"security", "POST", "/admin/v1/keys/none/revoke", NULL, 404},
    {"admin", "POST", "/admin/v1/keys", "{\"name\":\"a\"}", 201},
    {"admin", "PATCH", "/admin/v1/orgs/default", "{\"description\":\"x\"}", 403},
    {"owner", "PATCH", "/admin/v1/orgs/default", "{\"description\":\"x\"}", 200},
};

static void a_role_may_use_its_routes_and_no_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rights); i++) {
        RESPONSE_AUTO struct response a =
            ask(&app, rights[i].token, rights[i].method, rights[i].target, rights[i].body);
        if (a.status != rights[i].status)
            print_error("%s %s %s\n", rights[i].token, rights[i].method, rights[i].target);
        assert_int_equal(a.status, rights[i].status);
    }
}

static void a_parameter_that_a_path_does_not_know_is_named(void **state)
{
    (void)state;
    static const char *const paths[] = {"/admin/v1/spans", "/admin/v1/spend", "/admin/v1/sessions",
                                        "/admin/v1/teams"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char target[96];
        snprintf(target, sizeof(target), "%s?colour=red", paths[i]);
        RESPONSE_AUTO struct response a = ask(&app, "viewer", "GET", target, NULL);
        assert_int_equal(a.status, 400);
        if (!strstr(json_string_value(json_object_get(a.json, "detail")), "\"colour\""))
            fail_msg("%s: the parameter is not named", target);
    }
}

/* A name that is shown cut is cut between characters: the response is JSON. */
static void a_long_name_of_a_parameter_is_named_in_part(void **state)
{
    (void)state;
    char target[400] = "/admin/v1/teams?";
    for (size_t i = 0; i < 30; i++)
        strcat(target, i == 0 ? "a" : "%F0%9D%93%A3");
    RESPONSE_AUTO struct response a = ask(&app, "viewer", "GET", target, NULL);
    assert_int_equal(a.status, 400);
    assert_non_null(strstr(json_string_value(json_object_get(a.json, "detail")), "it takes"));
}

static void an_empty_parameter_is_refused(void **state)
{
    (void)state;
    RESPONSE_AUTO struct response a = ask(&app, "viewer", "GET", "/admin/v1/keys?team=", NULL);
    assert_int_equal(a.status, 400);
    assert_non_null(strstr(json_string_value(json_object_get(a.json, "detail")), "?team="));
}

static void spend_is_grouped_filtered_and_divided(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        unsigned status;
    } rows[] = {
        {"group_by=task&bucket=day&team=research&model=m&gate=ai", 200},
        {"group_by=session&team=research&key=k", 200},
        {"group_by=session&bucket=day", 400},
        {"group_by=session&model=m", 400},
        {"bucket=week", 400},
        {"group_by=cost", 400},
        {"from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", 400},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char target[160];
        snprintf(target, sizeof(target), "/admin/v1/spend?%s", rows[i].query);
        RESPONSE_AUTO struct response a = ask(&app, "viewer", "GET", target, NULL);
        if (a.status != rows[i].status)
            fail_msg("%s: %u", target, a.status);
    }
}

static void spans_are_searched_by_attributes_and_by_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        unsigned status;
    } rows[] = {
        {"request_id=r&key=k&model=m&code=c&status=error&http_status=502", 200},
        {"tool=echo&server=s&since=2026-01-01T00:00:00Z", 200},
        {"http_status=fine", 400},
        {"attempts=2", 200},
        {"attempts=fine", 400},
        {"status=well", 400},
        {"cost_usd=1", 400},
        {"cost_nano=1", 400},
    };
    RESPONSE_AUTO struct response sessions =
        ask(&app, "viewer", "GET", "/admin/v1/sessions?agent=a&key=k&team=t&task=u", NULL);
    assert_int_equal(sessions.status, 200);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char target[160];
        snprintf(target, sizeof(target), "/admin/v1/spans?%s", rows[i].query);
        RESPONSE_AUTO struct response a = ask(&app, "viewer", "GET", target, NULL);
        if (a.status != rows[i].status)
            fail_msg("%s: %u", target, a.status);
    }
}

/* ---- documents that mean something else than they seem to ---- */

static struct response write_as_owner(const char *method, const char *path, const char *body)
{
    char target[128];
    snprintf(target, sizeof(target), "/admin/v1/%s", path);
    return ask(&app, "owner", method, target, body);
}

static void must(const char *method, const char *path, const char *body, unsigned status)
{
    RESPONSE_AUTO struct response a = write_as_owner(method, path, body);
    if (a.status != status)
        fail_msg("%s %s %s: %u %s", method, path, body ? body : "", a.status,
                 json_string_value(json_object_get(a.json, "detail")));
}

/* Whether the response has a problem at this pointer. */
static void must_refuse(const char *method, const char *path, const char *body, const char *pointer)
{
    RESPONSE_AUTO struct response a = write_as_owner(method, path, body);
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(a.json, "errors"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "pointer")), pointer) == 0)
            return;
    }
    fail_msg("%s %s %s: %u, no problem at %s", method, path, body, a.status, pointer);
}

static void a_member_that_an_action_does_not_take_is_refused_by_name(void **state)
{
    (void)state;
    must("POST", "keys", "{\"name\":\"acted upon\"}", 201);
    must_refuse("POST", "keys/acted%20upon/rotate", "{\"grace_seconds\":60}", "/grace_seconds");
    must_refuse("POST", "keys/acted%20upon/revoke", "{\"reason\":\"lost\"}", "/reason");
    must_refuse("POST", "keys/acted%20upon/block", "{\"a~b\":1}", "/a~0b");
    must("POST", "keys/acted%20upon/block", "{}", 200);
    must("POST", "keys/acted%20upon/unblock", NULL, 200);
}

static void two_active_keys_do_not_share_a_name(void **state)
{
    (void)state;
    must("POST", "keys", "{\"name\":\"script\"}", 201);
    must("POST", "keys", "{\"name\":\"script\"}", 409);
    must("POST", "keys", "{\"name\":\"other script\"}", 201);
    must("PATCH", "keys/other%20script", "{\"name\":\"script\"}", 409);
    must("POST", "keys/script/rotate", NULL, 200); /* a key may keep its own name */
    must("POST", "keys/script/revoke", NULL, 200);
    must("POST", "keys", "{\"name\":\"script\"}", 201);
    must("POST", "keys", "{}", 201); /* a name of its own */
    must("POST", "keys", "{}", 201);
}

static void a_teams_keys_are_those_of_its_agents_too(void **state)
{
    (void)state;
    must("POST", "teams", "{\"name\":\"sorters\"}", 201);
    must("POST", "agents", "{\"name\":\"sorter\",\"team\":\"sorters\"}", 201);
    must("POST", "keys", "{\"name\":\"of the agent\",\"agent\":\"sorter\"}", 201);
    must("POST", "keys", "{\"name\":\"of the team\",\"team\":\"sorters\"}", 201);
    must("POST", "keys", "{\"name\":\"without owner\"}", 201);
    RESPONSE_AUTO struct response a =
        ask(&app, "viewer", "GET", "/admin/v1/keys?team=sorters", NULL);
    json_t *items = json_object_get(a.json, "items");
    assert_int_equal(json_array_size(items), 2);
    for (size_t i = 0; i < 2; i++)
        assert_string_not_equal(
            json_string_value(json_object_get(json_array_get(items, i), "name")), "without owner");
}

static void a_model_name_is_exact_or_a_wildcard(void **state)
{
    (void)state;
    must("POST", "providers",
         "{\"name\":\"plain\",\"dialect\":\"openai\",\"base_url\":\"https://a.example\"}", 201);
#define MODEL(name) "{\"name\":\"" name "\",\"targets\":[{\"provider\":\"plain\",\"model\":\"m\"}]}"
    must_refuse("POST", "models", MODEL("a*"), "/name");
    must_refuse("POST", "models", MODEL("*/a"), "/name");
    must("POST", "models", MODEL("*"), 201);
    must("POST", "models", MODEL("a/*"), 201);
    must("POST", "models", MODEL("a/b"), 201);
}

#define SHAPED(name, more)                                                                         \
    "{\"name\":\"" name "\",\"targets\":[{\"provider\":\"plain\",\"model\":\"m\"}]," more "}"

static void what_a_model_says_of_its_calls_is_checked_member_by_member(void **state)
{
    static const struct {
        const char *body, *pointer;
    } rows[] = {
        {SHAPED("s", "\"defaults\":{\"temprature\":1}"), "/defaults/temprature"},
        {SHAPED("s", "\"defaults\":{\"temperature\":\"1\"}"), "/defaults/temperature"},
        {SHAPED("s", "\"overrides\":{\"temperature\":2.1}"), "/overrides/temperature"},
        {SHAPED("s", "\"overrides\":{\"max_tokens\":0}"), "/overrides/max_tokens"},
        {SHAPED("s", "\"overrides\":{\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}"),
         "/overrides/stop"},
        {SHAPED("s", "\"overrides\":{\"reasoning_effort\":\"huge\"}"),
         "/overrides/reasoning_effort"},
        {SHAPED("s", "\"drop\":[\"seed\",\"messages\"]"), "/drop/1"},
        {SHAPED("s", "\"drop\":[\"a.b\"]"), "/drop/0"},
        {SHAPED("s", "\"system_prompt\":\"\""), "/system_prompt"},
        {SHAPED("s", "\"headers\":[{\"name\":\"authorization\",\"value\":\"x\"}]"),
         "/headers/0/name"},
        {SHAPED("s", "\"headers\":[{\"name\":\"x-api-key\",\"value\":\"x\"}]"), "/headers/0/name"},
        {SHAPED("s", "\"headers\":[{\"name\":\"x-amz-date\",\"value\":\"x\"}]"), "/headers/0/name"},
        {SHAPED("s", "\"headers\":[{\"name\":\"connection\",\"value\":\"x\"}]"), "/headers/0/name"},
        {SHAPED("s", "\"headers\":[{\"name\":\"x-forwarded-for\",\"value\":\"x\"}]"),
         "/headers/0/name"},
        {SHAPED("s", "\"headers\":[{\"name\":\"x-one\",\"value\":\"a\\nb\"}]"), "/headers/0/value"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        must_refuse("POST", "models", rows[i].body, rows[i].pointer);
    must("POST", "models",
         SHAPED("shaped", "\"defaults\":{\"temperature\":0.2,\"stop\":[\"END\"]},"
                          "\"overrides\":{\"top_p\":1,\"seed\":-3},\"drop\":[\"user\"],"
                          "\"headers\":[{\"name\":\"x-tenant\",\"value\":\"a\"}],"
                          "\"system_prompt\":\"be kind\\n\""),
         201);
    RESPONSE_AUTO struct response a = ask(&app, "viewer", "GET", "/admin/v1/models/shaped", NULL);
    assert_true(json_number_value(
                    json_object_get(json_object_get(a.json, "defaults"), "temperature")) == 0.2);
    must("PATCH", "models/shaped", "{\"defaults\":{\"temperature\":null}}", 200);
    must("DELETE", "models/shaped", NULL, 204);
}

#define LEADS_TO(name, to) "{\"name\":\"" name "\",\"targets\":[{\"model\":\"" to "\"}]}"

static void a_model_may_lead_to_models_without_circles(void **state)
{
    (void)state;
    must("POST", "models", MODEL("floor"), 201);
    must_refuse("POST", "models", LEADS_TO("up", "nothing"), "/targets/0/model");
    must("POST", "models", LEADS_TO("up", "floor"), 201);
    must("POST", "models", LEADS_TO("higher", "up"), 201);
    must("POST", "models", LEADS_TO("highest", "higher"), 201);
    must_refuse("POST", "models", LEADS_TO("too high", "highest"), "/targets");
    must_refuse("PATCH", "models/up", "{\"targets\":[{\"model\":\"highest\"}]}", "/targets");
    must_refuse("PATCH", "models/up", "{\"targets\":[{\"model\":\"up\"}]}", "/targets");
    /* one more below is one too many for what stands above */
    must("POST", "models", MODEL("cellar"), 201);
    must_refuse("PATCH", "models/floor", "{\"targets\":[{\"model\":\"cellar\"}]}", "/targets");
    must("DELETE", "models/up", NULL, 409);
    RESPONSE_AUTO struct response a = ask(&app, "viewer", "GET", "/admin/v1/models/up", NULL);
    const json_t *target = json_array_get(json_object_get(a.json, "targets"), 0);
    assert_true(slice_eq(json_text(target, "model"), SLICE("floor"))); /* a name, as it was given */
    JSON_AUTO json_t *sent = json_pack("{s:O}", "targets", json_object_get(a.json, "targets"));
    char *body = json_dumps(sent, 0);
    must("PATCH", "models/up", body, 200);
    free(body);
    must("DELETE", "models/highest", NULL, 204);
    must("DELETE", "models/higher", NULL, 204);
    must("PATCH", "models/floor", "{\"targets\":[{\"model\":\"cellar\"}]}", 200);
    must("DELETE", "models/up", NULL, 204);
    must("DELETE", "models/floor", NULL, 204);
    must("DELETE", "models/cellar", NULL, 204);
}

static void a_fault_does_not_keep_what_it_is_about(void **state)
{
    (void)state;
    must("POST", "teams", "{\"name\":\"drilled\"}", 201);
    must("POST", "faults",
         "{\"name\":\"drill\",\"scope\":{\"team\":\"drilled\"},\"fault\":{\"status\":503},"
         "\"until\":\"2020-01-01T00:00:00Z\"}",
         422);
    int64_t until = clock_wall_us() + INT64_C(3600000000);
    char body[256], text[CLOCK_TEXT_MAX];
    snprintf(body, sizeof(body),
             "{\"name\":\"drill\",\"scope\":{\"team\":\"drilled\"},\"fault\":{\"status\":503},"
             "\"until\":\"%.*s\"}",
             SLICE_ARG(clock_format(until, text)));
    must("POST", "faults", body, 201);
    RESPONSE_AUTO struct response a = ask(&app, "viewer", "GET", "/admin/v1/faults/drill", NULL);
    assert_true(slice_eq(json_text(json_object_get(a.json, "scope"), "team"), SLICE("drilled")));
    assert_true(json_number_value(json_object_get(a.json, "share")) == 1);
    must("PATCH", "faults/drill", "{\"share\":0.2}", 200);
    must("DELETE", "teams/drilled", NULL, 204);
    must("DELETE", "faults/drill", NULL, 204);
}

static void an_alias_has_one_owner_and_a_name_there_once(void **state)
{
    (void)state;
    must("POST", "teams", "{\"name\":\"aliased\"}", 201);
    must("POST", "agents", "{\"name\":\"aliased\",\"team\":\"aliased\"}", 201);
    must_refuse("POST", "aliases", "{\"model\":\"a/b\"}", "/name");
    must_refuse("POST", "aliases", "{\"name\":\"fast\"}", "/model");
    must_refuse("POST", "aliases", "{\"name\":\"fast\",\"model\":\"a/*\"}", "/model");
    must_refuse("POST", "aliases", "{\"name\":\"f*\",\"model\":\"a/b\"}", "/name");
    must_refuse("POST", "aliases", "{\"name\":\"fast\",\"model\":\"fast\"}", "/model");
    must_refuse("POST", "aliases", "{\"name\":\"fast\",\"model\":\"a/b\",\"team\":\"nobody\"}",
                "/team");
    must_refuse("POST", "aliases",
                "{\"name\":\"fast\",\"model\":\"a/b\",\"team\":\"aliased\",\"agent\":"
                "\"aliased\"}",
                "");
    must("POST", "aliases", "{\"name\":\"fast\",\"model\":\"a/b\"}", 201);
    must("POST", "aliases", "{\"name\":\"fast\",\"model\":\"c\"}", 409);
    must("POST", "aliases", "{\"name\":\"fast\",\"model\":\"c\",\"team\":\"aliased\"}", 201);
    must("POST", "aliases", "{\"name\":\"fast\",\"model\":\"c\",\"team\":\"aliased\"}", 409);
    must("POST", "aliases", "{\"name\":\"fast\",\"model\":\"c\",\"agent\":\"aliased\"}", 201);
    RESPONSE_AUTO struct response a = ask(&app, "viewer", "GET", "/admin/v1/aliases", NULL);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 3);
}

#define SERVER(name, more)                                                                         \
    "{\"name\":\"" name                                                                            \
    "\",\"transport\":\"streamable-http\",\"url\":\"https://a.example/mcp\"" more "}"
#define WITH_HEADER(header) ",\"credential\":{\"header\":\"" header "\",\"secret\":\"s\"}"

static void an_injected_header_may_not_be_one_that_the_gateway_sets(void **state)
{
    (void)state;
    static const char *const reserved[] = {
        SERVER("h", WITH_HEADER("accept")),         SERVER("h", WITH_HEADER("Accept-Encoding")),
        SERVER("h", WITH_HEADER("mcp-session-id")), SERVER("h", WITH_HEADER("Content-Length")),
        SERVER("h", WITH_HEADER("proxy-anything")), SERVER("h", WITH_HEADER("last-event-id")),
    };
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        must_refuse("POST", "mcp-servers", reserved[i], "/credential/header");
    must("POST", "mcp-servers", SERVER("headed", WITH_HEADER("x-accept")), 201);
}

static void a_grant_of_a_missing_tool_has_a_warning(void **state)
{
    (void)state;
    must("POST", "mcp-servers", SERVER("tooled", ""), 201);
    must_refuse("POST", "grants",
                "{\"team\":\"default\",\"server\":\"tooled\",\"tools\":[\"raw-*\"]}", "/tools/0");
    RESPONSE_AUTO struct response before = write_as_owner(
        "POST", "grants", "{\"team\":\"default\",\"server\":\"tooled\",\"tools\":[\"ecko\"]}");
    assert_int_equal(before.status, 201);
    assert_null(json_object_get(before.json, "warnings")); /* nothing was listed yet */

    database_say(&base, "insert into tools (id, org_id, name, spec) select 'tool_echo', org_id,"
                        " 'echo', jsonb_build_object('server', id, 'state', 'approved')"
                        " from mcp_servers where name = 'tooled'");
    RESPONSE_AUTO struct response after = write_as_owner(
        "POST", "grants",
        "{\"team\":\"default\",\"server\":\"tooled\",\"tools\":[\"echo\",\"ecko\"]}");
    assert_int_equal(after.status, 201);
    json_t *warnings = json_object_get(after.json, "warnings");
    assert_int_equal(json_array_size(warnings), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(warnings, 0), "pointer")),
                        "/tools/1");

    char target[64];
    snprintf(target, sizeof(target), "grants/%s",
             json_string_value(json_object_get(before.json, "id")));
    RESPONSE_AUTO struct response read = write_as_owner("GET", target, NULL);
    assert_int_equal(json_array_size(json_object_get(read.json, "warnings")), 1);
}

#define PASSING(rest)                                                                              \
    "{\"team\":\"default\",\"provider\":\"passing\"," rest                                         \
    "\"routes\":[{\"methods\":[\"POST\"],\"path\":\"/fine_tuning/**\"}]}"

static void a_grant_opens_routes_of_a_provider(void **state)
{
    (void)state;
    char target[64];
    must("POST", "providers",
         "{\"name\":\"passing\",\"dialect\":\"openai\",\"base_url\":\"https://a.example/v1\"}",
         201);
    must_refuse("POST", "grants", "{\"team\":\"default\",\"provider\":\"passing\"}", "/routes");
    must_refuse("POST", "grants", PASSING("\"tools\":[\"*\"],"), "/tools");
    RESPONSE_AUTO struct response made =
        write_as_owner("POST", "grants", PASSING("\"unpriced\":\"allow\","));
    assert_int_equal(made.status, 201);
    assert_string_equal(json_string_value(json_object_get(made.json, "provider")), "passing");
    RESPONSE_AUTO struct response found = write_as_owner("GET", "grants?provider=passing", NULL);
    assert_int_equal(json_array_size(json_object_get(found.json, "items")), 1);

    RESPONSE_AUTO struct response held = write_as_owner("DELETE", "providers/passing", NULL);
    assert_int_equal(held.status, 409); /* what is referred to is not deleted */
    snprintf(target, sizeof(target), "grants/%s",
             json_string_value(json_object_get(made.json, "id")));
    must("PATCH", target, "{\"unpriced\":null}", 200);
    must("DELETE", target, NULL, 204);
    must("DELETE", "providers/passing", NULL, 204);
}

static void a_provider_and_a_team_may_have_prices_of_their_own(void **state)
{
    (void)state;
    must("POST", "catalogues",
         "{\"name\":\"negotiated\",\"models\":[{\"model\":\"m\",\"match\":[\"m*\"],\"price\":"
         "{\"input_per_mtok\":1,\"output_per_mtok\":2}}]}",
         201);
    must("POST", "providers",
         "{\"name\":\"discounted\",\"dialect\":\"openai\",\"catalogue\":\"negotiated\"}", 201);
    must("POST", "teams", "{\"name\":\"discounted\",\"catalogue\":\"negotiated\"}", 201);
    must_refuse("PATCH", "teams/discounted", "{\"catalogue\":\"nowhere\"}", "/catalogue");
    must("DELETE", "catalogues/negotiated", NULL, 409); /* what is referred to is not deleted */
    must("PATCH", "teams/discounted", "{\"catalogue\":null}", 200);
    must("DELETE", "providers/discounted", NULL, 204);
    must("DELETE", "catalogues/negotiated", NULL, 204);
}

static void a_server_with_grants_is_switched_off_and_on(void **state)
{
    (void)state;
    must("POST", "mcp-servers", SERVER("switched", ""), 201);
    must("POST", "grants", "{\"team\":\"default\",\"server\":\"switched\",\"tools\":[\"*\"]}", 201);
    must("PATCH", "mcp-servers/switched", "{\"enabled\":false}", 200);
    must("PATCH", "mcp-servers/switched", "{\"enabled\":null}", 200);
    must("PATCH", "mcp-servers/switched", "{\"pools\":[\"default\"]}", 200);
    must_refuse("PATCH", "mcp-servers/switched", "{\"pools\":[\"nowhere\"]}", "/pools/0");
}

static void two_entries_of_one_id_are_refused(void **state)
{
    (void)state;
    RESPONSE_AUTO struct response made =
        write_as_owner("POST", "providers",
                       "{\"name\":\"pair\",\"dialect\":\"openai\",\"base_url\":\"https://"
                       "a.example\",\"credentials\":"
                       "[{\"name\":\"a\",\"secret\":\"s1\"},{\"name\":\"b\",\"secret\":\"s2\"}]}");
    assert_int_equal(made.status, 201);
    const char *id = json_string_value(
        json_object_get(json_array_get(json_object_get(made.json, "credentials"), 0), "id"));
    char body[256];
    snprintf(body, sizeof(body),
             "{\"credentials\":[{\"id\":\"%s\",\"name\":\"a\"},{\"id\":\"%s\",\"name\":\"b\"}]}",
             id, id);
    must_refuse("PATCH", "providers/pair", body, "/credentials/1/id");
    /* the first by its name, the second by the id that it would get */
    snprintf(body, sizeof(body),
             "{\"credentials\":[{\"name\":\"a\"},{\"id\":\"%s\",\"name\":\"b\"}]}", id);
    must_refuse("PATCH", "providers/pair", body, "/credentials/1/id");
}

#define SOURCED(name, more)                                                                        \
    "{\"name\":\"" name "\",\"dialect\":\"bedrock\",\"credentials\":[{\"name\":\"m\","             \
    "\"region\":\"eu-west-1\"," more "}]}"
#define WEB_IDENTITY "\"source\":{\"type\":\"aws_web_identity\",\"role\":\"arn:aws:iam::1:role/r\"}"
#define INSTANCE "\"source\":{\"type\":\"aws_imds\",\"url\":\"http://169.254.169.254\"}"

static void a_credential_may_be_had_from_a_source(void **state)
{
    (void)state;
    RESPONSE_AUTO struct response made = ask(&app, "admin", "POST", "/admin/v1/providers",
                                             SOURCED("sts", "\"secret\":\"s\"," WEB_IDENTITY));
    assert_int_equal(made.status, 201);
    const json_t *credential = json_array_get(json_object_get(made.json, "credentials"), 0);
    assert_true(json_is_true(json_object_get(credential, "secret_set")));
    assert_null(json_object_get(credential, "secret"));
    assert_true(slice_eq(json_text(json_object_get(credential, "source"), "type"),
                         SLICE("aws_web_identity")));
    must_refuse("POST", "providers", SOURCED("none", WEB_IDENTITY), "/credentials/0/secret");
    /* what a machine is given, an owner sets */
    RESPONSE_AUTO struct response refused =
        ask(&app, "admin", "POST", "/admin/v1/providers", SOURCED("imds", INSTANCE));
    assert_int_equal(refused.status, 422);
    must("POST", "providers", SOURCED("imds", INSTANCE), 201);
    RESPONSE_AUTO struct response moved = ask(&app, "admin", "PATCH", "/admin/v1/providers/imds",
                                              "{\"base_url\":\"https://evil.example\"}");
    assert_int_equal(moved.status, 422);
    RESPONSE_AUTO struct response kept =
        ask(&app, "admin", "PATCH", "/admin/v1/providers/imds", "{\"description\":\"d\"}");
    assert_int_equal(kept.status, 200);
    must("DELETE", "providers/imds", NULL, 204);
    must("DELETE", "providers/sts", NULL, 204);
}

static void a_key_that_signs_is_shown_once_and_another_after_rotation(void **state)
{
    (void)state;
    RESPONSE_AUTO struct response made =
        write_as_owner("POST", "keys", "{\"name\":\"signer\",\"team\":\"default\"}");
    assert_int_equal(made.status, 201);
    struct slice id = json_text(made.json, "id");
    assert_true(slice_eq(json_text(made.json, "access_key_id"), id));
    assert_int_equal(json_text(made.json, "secret_access_key").len, 43);
    char path[128];
    snprintf(path, sizeof(path), "keys/%.*s/rotate", SLICE_ARG(id));
    RESPONSE_AUTO struct response rotated = write_as_owner("POST", path, "{}");
    assert_int_equal(rotated.status, 200);
    assert_false(slice_eq(json_text(rotated.json, "secret_access_key"),
                          json_text(made.json, "secret_access_key")));
    snprintf(path, sizeof(path), "/admin/v1/keys/%.*s", SLICE_ARG(id));
    RESPONSE_AUTO struct response shown = ask(&app, "owner", "GET", path, NULL);
    assert_int_equal(shown.status, 200);
    assert_null(json_object_get(shown.json, "secret_access_key"));
}

#define PROVIDER "\"dialect\":\"openai\",\"base_url\":\"https://a.example\""

static void only_an_owner_opens_a_private_network(void **state)
{
    (void)state;
    RESPONSE_AUTO struct response refused =
        ask(&app, "admin", "POST", "/admin/v1/providers",
            "{\"name\":\"p\"," PROVIDER ",\"allow_cidrs\":[\"10.0.0.0/8\"]}");
    assert_int_equal(refused.status, 422);
    const json_t *error = json_array_get(json_object_get(refused.json, "errors"), 0);
    assert_true(slice_eq(json_text(error, "pointer"), SLICE("/allow_cidrs")));
    RESPONSE_AUTO struct response made =
        ask(&app, "owner", "POST", "/admin/v1/providers",
            "{\"name\":\"p\"," PROVIDER ",\"allow_cidrs\":[\"10.0.0.0/8\"]}");
    assert_int_equal(made.status, 201);
    /* an admin may change the rest and leave the network as it is */
    RESPONSE_AUTO struct response kept =
        ask(&app, "admin", "PATCH", "/admin/v1/providers/p", "{\"description\":\"d\"}");
    assert_int_equal(kept.status, 200);
    RESPONSE_AUTO struct response widened =
        ask(&app, "admin", "PATCH", "/admin/v1/providers/p", "{\"allow_cidrs\":[\"0.0.0.0/0\"]}");
    assert_int_equal(widened.status, 422);
}

/* ---- sign-in, with the clock as a parameter ---- */

static unsigned sign_in(struct admin_auth *a, const char *source, const char *token, uint64_t now,
                        unsigned *retry)
{
    struct call c;
    char bearer[128];
    call_init(&c, &app);
    snprintf(bearer, sizeof(bearer), "Bearer %s", token);
    snprintf(c.actor.source, sizeof(c.actor.source), "%s", source);
    enum err e = admin_auth_check(a, &c, slice_str(bearer), now);
    assert_true(e == ERR_OK || e == ERR_DENIED);
    *retry = (unsigned)atoi(header_of(&c, "retry-after"));
    unsigned status = e == ERR_OK ? 200 : c.status;
    call_fini(&c);
    return status;
}

#define SECOND 1000000u

static void ten_failures_a_minute_are_free_then_each_waits_twice_as_long(void **state)
{
    (void)state;
    struct admin_auth *a = admin_auth_new(base.boot.token_hmac);
    uint64_t now = 1000 * (uint64_t)SECOND;
    unsigned retry = 0, last = 0;
    for (int i = 0; i < 10; i++)
        assert_int_equal(sign_in(a, "192.0.2.7", "guess", now + i * SECOND, &retry), 401);
    now += 11 * SECOND;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(sign_in(a, "192.0.2.7", "guess", now, &retry), 429);
        assert_true(retry >= 1 && retry <= 300);
        assert_true(last == 0 || retry == 2 * last || retry == 300);
        /* while the source waits no token is looked up, good ones included, and the wait does not
         * grow */
        unsigned inside = 0;
        assert_int_equal(sign_in(a, "192.0.2.7", "owner", now + SECOND / 2, &inside), 429);
        assert_true(inside <= retry);
        last = retry;
        now += retry * (uint64_t)SECOND;
    }
    assert_int_equal(sign_in(a, "192.0.2.8", "guess", now, &retry), 401);
    /* after a time without failures the count starts anew */
    now += 700 * (uint64_t)SECOND;
    assert_int_equal(sign_in(a, "192.0.2.7", "guess", now, &retry), 401);
    admin_auth_free(a);
}

static void an_ipv6_site_waits_as_one_and_its_neighbours_do_not(void **state)
{
    (void)state;
    struct admin_auth *a = admin_auth_new(base.boot.token_hmac);
    uint64_t now = 1000 * (uint64_t)SECOND;
    unsigned retry = 0;
    char source[64];
    for (int i = 0; i < 10; i++) {
        snprintf(source, sizeof(source), "2001:db8:1:2:%x::%x", 0xa000 + i, i);
        assert_int_equal(sign_in(a, source, "guess", now, &retry), 401);
    }
    assert_int_equal(sign_in(a, "2001:db8:1:2:ffff::1", "guess", now, &retry), 429);
    assert_int_equal(sign_in(a, "2001:db8:1:3::1", "guess", now, &retry), 401);
    for (int i = 0; i < 12; i++) { /* an IPv4 address is one, however it is written */
        snprintf(source, sizeof(source), "%s192.0.2.9", i % 2 ? "::ffff:" : "");
        (void)sign_in(a, source, "guess", now, &retry);
    }
    assert_int_equal(sign_in(a, "192.0.2.9", "guess", now, &retry), 429);
    assert_int_equal(sign_in(a, "::ffff:192.0.2.10", "guess", now, &retry), 401);
    admin_auth_free(a);
}

static void a_recently_used_token_is_not_locked_out_by_others_on_the_same_host(void **state)
{
    (void)state;
    struct admin_auth *a = admin_auth_new(base.boot.token_hmac);
    uint64_t now = 1000 * (uint64_t)SECOND;
    unsigned retry = 0;
    assert_int_equal(sign_in(a, "192.0.2.7", "owner", now, &retry), 200);
    for (int i = 0; i < 12; i++)
        (void)sign_in(a, "192.0.2.7", "guess", now, &retry);
    assert_int_equal(sign_in(a, "192.0.2.7", "guess", now, &retry), 429);
    assert_int_equal(sign_in(a, "192.0.2.7", "owner", now + 5, &retry), 200);
    assert_int_equal(sign_in(a, "192.0.2.7", "viewer", now + 5, &retry), 429);
    admin_auth_free(a);
}

static void a_revoked_token_is_refused_within_seconds(void **state)
{
    (void)state;
    struct admin_auth *a = admin_auth_new(base.boot.token_hmac);
    uint64_t now = 1000 * (uint64_t)SECOND;
    unsigned retry = 0;
    admin_token("leaver", ROLE_ADMIN);
    assert_int_equal(sign_in(a, "192.0.2.7", "leaver", now, &retry), 200);
    database_say(&base, "UPDATE admin_tokens SET revoked_at = now() WHERE name = 'leaver'");
    assert_int_equal(sign_in(a, "192.0.2.7", "leaver", now + 3 * SECOND, &retry), 401);
    admin_auth_free(a);
}

/* ---- the database is away ---- */

static void without_the_database_requests_get_503_and_health_still_responds(void **state)
{
    (void)state;
    struct app lost = app;
    RESPONSE_AUTO struct response known = ask(&app, "owner", "GET", "/admin/v1/teams", NULL);
    assert_int_equal(known.status, 200);
    /* port 1 is reserved and has no listener */
    assert_int_equal(db_open("postgresql://nobody@127.0.0.1:1/none", 2, &lost.db), ERR_OK);
    RESPONSE_AUTO struct response read = ask(&lost, "owner", "GET", "/admin/v1/teams", NULL);
    assert_int_equal(read.status, 503);
    assert_string_equal(read.code, "database_away");
    RESPONSE_AUTO struct response write =
        ask(&lost, "owner", "POST", "/admin/v1/tasks", "{\"name\":\"lost\"}");
    assert_int_equal(write.status, 503);
    RESPONSE_AUTO struct response alive = ask(&lost, "", "GET", "/healthz", NULL);
    assert_int_equal(alive.status, 200);
    RESPONSE_AUTO struct response ready = ask(&lost, "", "GET", "/readyz", NULL);
    assert_int_equal(ready.status, 503);
    db_close(lost.db);
}

static void while_draining_it_is_not_ready(void **state)
{
    (void)state;
    app.draining = true;
    RESPONSE_AUTO struct response ready = ask(&app, "", "GET", "/readyz", NULL);
    app.draining = false;
    assert_int_equal(ready.status, 503);
}

/* ---- the first token ---- */

static void the_first_token_is_written_once_for_its_owner_only_and_works(void **state)
{
    (void)state;
    char folder[SCRATCH_MAX], path[128], text[128] = "";
    struct stat st;
    assert_true(scratch_folder(folder));
    snprintf(path, sizeof(path), "%s/admin.token", folder);
    database_say(&base, "DELETE FROM admin_tokens");
    assert_int_equal(
        first_token_make(base.db, slice_str(base.boot.org_id), base.boot.token_hmac, path), ERR_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    text[strcspn(text, "\n")] = '\0';
    RESPONSE_AUTO struct response a = ask(&app, text, "PATCH", "/admin/v1/orgs/default", "{}");
    assert_int_equal(a.status, 200);
    assert_true(database_number(&base, "SELECT count(*) FROM admin_tokens") == 1);
    /* nothing of its text is stored */
    char sql[512];
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM admin_tokens WHERE digest = sha256('%s') OR name LIKE '%%%s%%'",
             text, text);
    assert_true(database_number(&base, sql) == 0);
    unlink(path);
    assert_int_equal(
        first_token_make(base.db, slice_str(base.boot.org_id), base.boot.token_hmac, path), ERR_OK);
    assert_int_equal(access(path, F_OK), -1);
    rmdir(folder);
}

static void a_token_file_that_cannot_be_written_leaves_no_token_behind(void **state)
{
    (void)state;
    database_say(&base, "DELETE FROM admin_tokens");
    assert_int_equal(first_token_make(base.db, slice_str(base.boot.org_id), base.boot.token_hmac,
                                      "/proc/nowhere/admin.token"),
                     ERR_IO);
    assert_true(database_number(&base, "SELECT count(*) FROM admin_tokens") == 0);
}

/* ---- money held for planes that are gone ---- */

static void lose_a_plane(void)
{
    database_say(&base, "INSERT INTO dataplanes (id, org_id, name, spec, deleted_at)"
                        " SELECT 'dp_lost', org_id, 'lost', jsonb_build_object('pool', id), now()"
                        " FROM pools");
    database_say(&base, "UPDATE teams SET spec = spec ||"
                        " '{\"budget\":{\"limit_usd\":\"2\",\"period\":\"day\"}}'"
                        " WHERE name = 'default'");
    database_say(&base, "INSERT INTO budget_accounts (account, period_start, org_id, limit_nano,"
                        " spent_nano, leased_nano, suspense_nano) SELECT 'team:' || id,"
                        " '2026-01-02 00:00Z', org_id, 2000000000, 250000000, 100000000, 500000000"
                        " FROM teams WHERE name = 'default'");
    database_say(&base,
                 "INSERT INTO leases (id, org_id, account, period_start, dataplane_id, epoch,"
                 " state, granted_nano, settled_nano, expires_at) SELECT 'lease_lost', org_id,"
                 " account, period_start, 'dp_lost', 1, 'suspense', 600000000, 100000000, now()"
                 " FROM budget_accounts");
}

static void assert_text(const json_t *object, const char *name, const char *wanted)
{
    assert_string_equal(json_string_value(json_object_get(object, name)), wanted);
}

static void suspense_of_a_lost_plane_is_written_off_by_owners_and_billing_only(void **state)
{
    (void)state;
    static const char target[] = "/admin/v1/dataplanes/dp_lost/write-off";
    lose_a_plane();
    {
        RESPONSE_AUTO struct response a = ask(&app, "viewer", "GET", "/admin/v1/budgets", NULL);
        const json_t *items = json_object_get(a.json, "items"), *b = json_array_get(items, 0);
        const json_t *holder = json_array_get(json_object_get(b, "suspense_of"), 0);
        assert_int_equal(a.status, 200);
        assert_int_equal(json_array_size(items), 1);
        assert_text(b, "owner", "team");
        assert_text(b, "owner_name", "default");
        assert_text(b, "limit_usd", "2.000000000");
        assert_text(b, "spent_usd", "0.250000000");
        assert_text(b, "leased_usd", "0.100000000");
        assert_text(b, "suspense_usd", "0.500000000");
        assert_true(strncmp(json_string_value(json_object_get(b, "period_start")), "2026-01-02T00",
                            13) == 0);
        assert_true(
            strncmp(json_string_value(json_object_get(b, "resets_at")), "2026-01-03T00", 13) == 0);
        assert_text(holder, "dataplane", "lost");
        assert_text(holder, "dataplane_id", "dp_lost");
        assert_text(holder, "suspense_usd", "0.500000000");
    }
    static const struct {
        const char *token;
        unsigned status;
        const char *sum;
    } tries[] = {{"viewer", 403, NULL},
                 {"security", 403, NULL},
                 {"admin", 403, NULL},
                 {"billing", 200, "0.500000000"},
                 {"owner", 200, "0.000000000"}};
    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        RESPONSE_AUTO struct response a = ask(&app, tries[i].token, "POST", target, NULL);
        assert_int_equal(a.status, tries[i].status);
        if (tries[i].sum != NULL)
            assert_text(a.json, "written_off_usd", tries[i].sum);
    }
    assert_true(database_number(&base, "SELECT spent_nano FROM budget_accounts") == 750000000);
    assert_true(database_number(&base, "SELECT suspense_nano FROM budget_accounts") == 0);
    assert_true(database_number(&base, "SELECT count(*) FROM audit WHERE action = 'write-off'"
                                       " AND object_id = 'dp_lost'") == 2);
    RESPONSE_AUTO struct response none =
        ask(&app, "owner", "POST", "/admin/v1/dataplanes/dp_other/write-off", NULL);
    assert_int_equal(none.status, 404);
}

static void budgets_go_page_by_page_and_by_their_owner(void **state)
{
    (void)state;
    char target[256];
    database_say(&base, "INSERT INTO budget_accounts (account, period_start, org_id, limit_nano)"
                        " SELECT account, period_start - interval '1 day', org_id, 7"
                        " FROM budget_accounts");
    RESPONSE_AUTO struct response first =
        ask(&app, "viewer", "GET", "/admin/v1/budgets?limit=1", NULL);
    snprintf(target, sizeof(target), "/admin/v1/budgets?limit=1&cursor=%s",
             json_string_value(json_object_get(first.json, "next")));
    RESPONSE_AUTO struct response second = ask(&app, "viewer", "GET", target, NULL);
    const json_t *b = json_array_get(json_object_get(second.json, "items"), 0);
    assert_int_equal(second.status, 200);
    assert_text(b, "limit_usd", "0.000000007");
    assert_true(json_is_null(json_object_get(second.json, "next")));
    RESPONSE_AUTO struct response ours =
        ask(&app, "viewer", "GET", "/admin/v1/budgets?team=default", NULL);
    assert_int_equal(json_array_size(json_object_get(ours.json, "items")), 2);
    RESPONSE_AUTO struct response theirs =
        ask(&app, "viewer", "GET", "/admin/v1/budgets?key=default", NULL);
    assert_int_equal(json_array_size(json_object_get(theirs.json, "items")), 0);
}

static void a_budget_shows_the_limit_it_has_now_before_any_lease(void **state)
{
    (void)state;
    static const char target[] = "/admin/v1/budgets?agent=spender";
    static const struct {
        const char *sql;
        const char *limit; /* NULL: it was taken away */
    } steps[] = {
        {"INSERT INTO agents (id, org_id, name, spec) SELECT 'agent_s', org_id, 'spender',"
         " jsonb_build_object('team', id, 'budget', '{\"limit_usd\":\"2\",\"period\":\"total\"}'"
         "::jsonb) FROM teams WHERE name = 'default'",
         "2.000000000"},
        {"UPDATE agents SET spec = spec || "
         "'{\"budget\":{\"limit_usd\":\"4\",\"period\":\"total\"}}'"
         " WHERE id = 'agent_s'",
         "4.000000000"},
        {"UPDATE agents SET spec = spec - 'budget' WHERE id = 'agent_s'", NULL},
    };
    database_say(&base, "INSERT INTO budget_accounts (account, period_start, org_id, limit_nano)"
                        " SELECT 'agent:agent_s', to_timestamp(0), org_id, 2000000000 FROM teams"
                        " WHERE name = 'default'");
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        database_say(&base, steps[i].sql);
        RESPONSE_AUTO struct response a = ask(&app, "viewer", "GET", target, NULL);
        const json_t *b = json_array_get(json_object_get(a.json, "items"), 0);
        assert_int_equal(a.status, 200);
        assert_text(b, "owner", "agent");
        assert_text(b, "owner_name", "spender");
        if (steps[i].limit)
            assert_text(b, "limit_usd", steps[i].limit);
        else
            assert_true(json_is_null(json_object_get(b, "limit_usd")));
    }
}

/* ---- too large for planes ---- */

/* {"base_url":…,"routes":[…]}, each route with a path of `length` bytes */
static char *service_with(size_t routes, size_t length, const char *name)
{
    JSON_AUTO json_t *doc = json_object();
    json_t *list = json_array();
    for (size_t i = 0; i < routes; i++) {
        char path[600];
        memset(path, 'a', sizeof(path));
        int n = snprintf(path, sizeof(path), "/%zu/", i);
        path[n] = 'a';
        path[length] = '\0';
        json_array_append_new(list, json_pack("{s:[s,s,s,s],s:s}", "methods", "GET", "POST",
                                              "DELETE", "PATCH", "path", path));
    }
    if (name != NULL)
        json_object_set_new(doc, "name", json_string(name));
    json_object_set_new(doc, "base_url", json_string("https://api.example.com"));
    json_object_set_new(doc, "routes", list);
    return json_dumps(doc, JSON_COMPACT);
}

static void an_object_too_large_for_planes_is_refused_at_its_write(void **state)
{
    (void)state;
    char *large = service_with(999, 510, "wide"), *fits = service_with(900, 510, "wide"),
         *grown = service_with(999, 510, NULL);
    RESPONSE_AUTO struct response refused =
        ask(&app, "owner", "POST", "/admin/v1/api-services", large);
    assert_int_equal(refused.status, 422);
    assert_string_equal(refused.code, "invalid_document");
    const json_t *error = json_array_get(json_object_get(refused.json, "errors"), 0);
    assert_non_null(strstr(json_string_value(json_object_get(error, "detail")), "524288"));
    RESPONSE_AUTO struct response gone =
        ask(&app, "owner", "GET", "/admin/v1/api-services/wide", NULL);
    assert_int_equal(gone.status, 404);

    RESPONSE_AUTO struct response made = ask(&app, "owner", "POST", "/admin/v1/api-services", fits);
    assert_int_equal(made.status, 201);
    RESPONSE_AUTO struct response patched =
        ask(&app, "owner", "PATCH", "/admin/v1/api-services/wide", grown);
    assert_int_equal(patched.status, 422);
    RESPONSE_AUTO struct response stands =
        ask(&app, "owner", "GET", "/admin/v1/api-services/wide", NULL);
    assert_int_equal(json_array_size(json_object_get(stands.json, "routes")), 900);
    free(large);
    free(fits);
    free(grown);
}

static int open_base(void **state)
{
    base_open(state);
    admin_open(&app);
    auth = admin_auth_new(base.boot.token_hmac);
    admin_token("owner", ROLE_OWNER);
    admin_token("admin", ROLE_ADMIN);
    admin_token("security", ROLE_SECURITY);
    admin_token("billing", ROLE_BILLING);
    admin_token("viewer", ROLE_VIEWER);
    return 0;
}

static int close_base(void **state)
{
    admin_auth_free(auth);
    admin_close(&app);
    return base_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_role_may_use_its_routes_and_no_others),
        cmocka_unit_test(a_parameter_that_a_path_does_not_know_is_named),
        cmocka_unit_test(spend_is_grouped_filtered_and_divided),
        cmocka_unit_test(spans_are_searched_by_attributes_and_by_nothing_else),
        cmocka_unit_test(a_long_name_of_a_parameter_is_named_in_part),
        cmocka_unit_test(an_empty_parameter_is_refused),
        cmocka_unit_test(a_member_that_an_action_does_not_take_is_refused_by_name),
        cmocka_unit_test(two_active_keys_do_not_share_a_name),
        cmocka_unit_test(a_teams_keys_are_those_of_its_agents_too),
        cmocka_unit_test(a_model_name_is_exact_or_a_wildcard),
        cmocka_unit_test(what_a_model_says_of_its_calls_is_checked_member_by_member),
        cmocka_unit_test(a_model_may_lead_to_models_without_circles),
        cmocka_unit_test(a_fault_does_not_keep_what_it_is_about),
        cmocka_unit_test(an_alias_has_one_owner_and_a_name_there_once),
        cmocka_unit_test(an_injected_header_may_not_be_one_that_the_gateway_sets),
        cmocka_unit_test(a_grant_of_a_missing_tool_has_a_warning),
        cmocka_unit_test(a_grant_opens_routes_of_a_provider),
        cmocka_unit_test(a_provider_and_a_team_may_have_prices_of_their_own),
        cmocka_unit_test(a_server_with_grants_is_switched_off_and_on),
        cmocka_unit_test(two_entries_of_one_id_are_refused),
        cmocka_unit_test(a_credential_may_be_had_from_a_source),
        cmocka_unit_test(a_key_that_signs_is_shown_once_and_another_after_rotation),
        cmocka_unit_test(only_an_owner_opens_a_private_network),
        cmocka_unit_test(suspense_of_a_lost_plane_is_written_off_by_owners_and_billing_only),
        cmocka_unit_test(budgets_go_page_by_page_and_by_their_owner),
        cmocka_unit_test(a_budget_shows_the_limit_it_has_now_before_any_lease),
        cmocka_unit_test(an_object_too_large_for_planes_is_refused_at_its_write),
        cmocka_unit_test(ten_failures_a_minute_are_free_then_each_waits_twice_as_long),
        cmocka_unit_test(an_ipv6_site_waits_as_one_and_its_neighbours_do_not),
        cmocka_unit_test(a_recently_used_token_is_not_locked_out_by_others_on_the_same_host),
        cmocka_unit_test(a_revoked_token_is_refused_within_seconds),
        cmocka_unit_test(without_the_database_requests_get_503_and_health_still_responds),
        cmocka_unit_test(while_draining_it_is_not_ready),
        /* these delete all tokens, so they run last */
        cmocka_unit_test(the_first_token_is_written_once_for_its_owner_only_and_works),
        cmocka_unit_test(a_token_file_that_cannot_be_written_leaves_no_token_behind),
    };
    return cmocka_run_group_tests(tests, open_base, close_base);
}
