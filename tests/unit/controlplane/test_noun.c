/*
 * noun — documents become their normal form or a list of what is wrong; secrets leave; a second
 * reading changes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "controlplane/domain/nouns.h"

/* ---- a small world to refer to ---- */

static const struct {
    const char *noun, *name, *id, *spec;
} world[] = {
    {"team", "default", "team_d", "{}"},
    {"team", "research", "team_r", "{}"},
    {"agent", "bot", "agent_b", "{\"team\":\"team_r\"}"},
    {"task", "triage", "task_t", "{}"},
    {"provider", "demo", "prov_d", "{}"},
    {"mcp-server", "files", "mcp_f", "{}"},
    {"api-service", "crm", "api_c", "{}"},
    {"pool", "default", "pool_d", "{}"},
    {"model", "plain", "model_1", "{\"targets\":[{\"provider\":\"prov_d\",\"model\":\"a\"}]}"},
    {"model", "two", "model_2", "{\"targets\":[{\"model\":\"model_1\"}]}"},
    {"model", "three", "model_3",
     "{\"targets\":[{\"model\":\"model_2\"},{\"provider\":\"prov_d\",\"model\":\"a\"}]}"},
    {"model", "four", "model_4", "{\"targets\":[{\"model\":\"model_3\"}]}"},
};

static int64_t now;   /* wall */
static enum err lost; /* returned by every lookup, when not ERR_OK */

static enum err find_in_world(void *arg, const char *noun, struct slice name_or_id, char *ret_id,
                              json_t **ret_spec)
{
    (void)arg;
    if (lost != ERR_OK)
        return lost;
    for (size_t i = 0; i < ARRAY_LEN(world); i++) {
        if (strcmp(noun, world[i].noun) != 0 || (!slice_eq(name_or_id, slice_str(world[i].name)) &&
                                                 !slice_eq(name_or_id, slice_str(world[i].id))))
            continue;
        snprintf(ret_id, ID_MAX, "%s", world[i].id);
        if (ret_spec != NULL)
            *ret_spec = json_loads(world[i].spec, 0, NULL);
        return ERR_OK;
    }
    return slice_eq(name_or_id, SLICE("twins")) ? ERR_EXHAUSTED : ERR_NOT_FOUND;
}

/* model_4 is the topmost. */
static enum err height_in_world(void *arg, const char *noun, struct slice id, unsigned most,
                                unsigned *ret)
{
    (void)arg;
    assert_string_equal(noun, "model");
    *ret = id.len == 7 ? (unsigned)('4' - id.ptr[6]) : 0;
    *ret = *ret < most ? *ret : most;
    return lost;
}

static const struct lookup lookup = {.find = find_in_world, .height = height_in_world};

static json_t *parsed(const char *text)
{
    json_t *t = json_loads(text, 0, NULL);
    assert_non_null(t);
    return t;
}

/* Reads as the API does. r->problems says what was wrong. */
static json_t *read_as(struct reading *r, const struct noun *n, const char *text, const json_t *old,
                       struct noun_secrets *secrets)
{
    JSON_AUTO json_t *body = parsed(text);
    *r = (struct reading){
        .lookup = &lookup, .creating = old == NULL, .is_owner = true, .now_us = now};
    json_t *doc = field_read(r, n->fields, body, old, "");
    assert_non_null(doc);
    if (n->check != NULL)
        n->check(r, old, doc);
    if (json_array_size(r->problems) == 0)
        noun_settle(r, n, old, doc, secrets);
    return doc;
}

static void assert_reads(const struct noun *n, const char *text, const char *normal)
{
    struct reading r;
    struct noun_secrets s = {.count = 0};
    JSON_AUTO json_t *doc = read_as(&r, n, text, NULL, &s), *want = parsed(normal);
    if (json_array_size(r.problems) > 0 || !json_equal(doc, want)) {
        json_dumpf(doc, stderr, 0);
        json_dumpf(r.problems, stderr, JSON_ENCODE_ANY);
    }
    assert_int_equal(json_array_size(r.problems), 0);
    assert_true(json_equal(doc, want));
    noun_secrets_fini(&s);
    reading_fini(&r);
}

/* Of an object of this name. */
static void assert_wrong_as(const char *name, const struct noun *n, const char *text,
                            const char *pointer)
{
    struct reading r = {.lookup = &lookup, .name = slice_str(name), .creating = true};
    JSON_AUTO json_t *body = parsed(text);
    JSON_AUTO json_t *doc = field_read(&r, n->fields, body, NULL, "");
    n->check(&r, NULL, doc);
    assert_int_equal(json_array_size(r.problems), pointer != NULL);
    if (pointer != NULL)
        assert_string_equal(
            json_string_value(json_object_get(json_array_get(r.problems, 0), "pointer")), pointer);
    reading_fini(&r);
}

static const char routed[] =
    "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"demo\",\"model\":\"a\","
    "\"region\":\"eu\",\"capabilities\":[\"tools\",\"json_schema\"],\"context_tokens\":128000,"
    "\"max_output_tokens\":4096,\"shadow\":0.1},"
    "{\"model\":\"plain\",\"weight\":2,\"when\":{\"headers\":{\"x-tier\":\"gold\"},"
    "\"metadata\":{\"customer\":\"acme\"},\"teams\":[\"research\"],\"agents\":[\"bot\"],"
    "\"hours\":{\"from\":\"22:00\",\"to\":\"06:00\",\"days\":[\"mon\"]}}}],"
    "\"retry\":{\"attempts\":2},\"fallback\":{\"on\":[\"5xx\",\"404\"]},\"sticky\":\"session\","
    "\"capabilities\":[],\"max_price\":{\"input_per_mtok\":3},\"hedge_after_ms\":500}";

static void what_a_model_says_of_routing_becomes_its_normal_form(void **state)
{
    (void)state;
    assert_reads(
        &noun_model, routed,
        "{\"strategy\":\"fallback\",\"targets\":[{\"provider\":\"prov_d\",\"model\":\"a\","
        "\"region\":\"eu\",\"capabilities\":[\"tools\",\"json_schema\"],"
        "\"context_tokens\":128000,\"max_output_tokens\":4096,\"shadow\":0.1},"
        "{\"model\":\"model_1\",\"weight\":2,\"when\":{\"headers\":{\"x-tier\":\"gold\"},"
        "\"metadata\":{\"customer\":\"acme\"},\"teams\":[\"team_r\"],\"agents\":[\"agent_b\"],"
        "\"hours\":{\"from\":\"22:00\",\"to\":\"06:00\",\"days\":[\"mon\"],"
        "\"utc_offset\":\"+00:00\"}}}],"
        "\"retry\":{\"attempts\":2,\"on\":[\"5xx\",\"429\",\"timeout\",\"connect\"]},"
        "\"fallback\":{\"on\":[\"5xx\",\"404\"]},\"sticky\":\"session\",\"capabilities\":[],"
        "\"max_price\":{\"input_per_mtok\":\"3\"},\"hedge_after_ms\":500}");
}

#define TARGET(more) "{\"targets\":[{\"provider\":\"demo\",\"model\":\"a\"" more "}]}"
#define WHEN(when) TARGET(",\"when\":{" when "}")
#define HOURS(hours) WHEN("\"hours\":{" hours "}")
#define MODEL_SAYS(more) "{\"targets\":[{\"provider\":\"demo\",\"model\":\"a\"}]," more "}"

static void a_wrong_rule_of_routing_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pointer;
    } rows[] = {
        {TARGET(""), NULL},
        {"{\"targets\":[{\"model\":\"plain\"}]}", NULL},
        {"{\"targets\":[{\"provider\":\"demo\"}]}", "/targets/0/model"},
        {"{\"targets\":[{\"weight\":1}]}", "/targets/0/model"},
        {"{\"targets\":[{\"model\":\"nothing\"}]}", "/targets/0/model"},
        {"{\"targets\":[{\"model\":\"plain\",\"region\":\"eu\"}]}", "/targets/0/region"},
        {"{\"targets\":[{\"model\":\"plain\",\"shadow\":0}]}", "/targets/0/shadow"},
        {TARGET(",\"capabilities\":[\"magic\"]"), "/targets/0/capabilities/0"},
        {TARGET(",\"shadow\":1.1"), "/targets/0/shadow"},
        {TARGET(",\"shadow\":0.5"), "/targets"},
        {TARGET(",\"shadow\":0"), "/targets/0/shadow"}, /* it would be a target like any other */
        {TARGET(",\"shadow\":0.0004"), "/targets/0/shadow"},
        {WHEN(""), NULL},
        {WHEN("\"headers\":{}"), "/targets/0/when/headers"},
        {WHEN("\"headers\":{\"X-Tier\":\"gold\"}"), "/targets/0/when/headers/X-Tier"},
        {WHEN("\"headers\":{\"authorization\":\"x\"}"), "/targets/0/when/headers/authorization"},
        {WHEN("\"headers\":{\"x-tier\":7}"), "/targets/0/when/headers/x-tier"},
        {WHEN("\"headers\":{\"x-tier\":\"\"}"), "/targets/0/when/headers/x-tier"},
        {WHEN("\"metadata\":{\"a b\":\"x\"}"), "/targets/0/when/metadata/a b"},
        {WHEN("\"metadata\":\"x\""), "/targets/0/when/metadata"},
        {WHEN("\"teams\":[]"), "/targets/0/when/teams"},
        {WHEN("\"teams\":[\"nobody\"]"), "/targets/0/when/teams/0"},
        {HOURS("\"from\":\"08:00\",\"to\":\"24:00\",\"utc_offset\":\"-05:30\""), NULL},
        {HOURS("\"from\":\"08:00\""), "/targets/0/when/hours/to"},
        {HOURS("\"from\":\"24:00\",\"to\":\"08:00\""), "/targets/0/when/hours/from"},
        {HOURS("\"from\":\"08:00\",\"to\":\"24:01\""), "/targets/0/when/hours/to"},
        {HOURS("\"from\":\"08:00\",\"to\":\"08:00\""), "/targets/0/when/hours/to"},
        {HOURS("\"from\":\"08:60\",\"to\":\"09:00\""), "/targets/0/when/hours/from"},
        {HOURS("\"from\":\"08:00\",\"to\":\"09:00\",\"days\":[\"noday\"]"),
         "/targets/0/when/hours/days/0"},
        {HOURS("\"from\":\"08:00\",\"to\":\"09:00\",\"utc_offset\":\"+14:01\""),
         "/targets/0/when/hours/utc_offset"},
        {MODEL_SAYS("\"retry\":{\"attempts\":6}"), "/retry/attempts"},
        {MODEL_SAYS("\"retry\":{\"on\":[\"5xx\"]}"), "/retry/attempts"},
        {MODEL_SAYS("\"retry\":{\"attempts\":1,\"on\":[\"credential\"]}"), "/retry/on/0"},
        {MODEL_SAYS("\"fallback\":{\"on\":[]}"), NULL},
        {MODEL_SAYS("\"fallback\":{}"), "/fallback/on"},
        {MODEL_SAYS("\"fallback\":{\"on\":[\"429\",\"599\",\"4xx\"]}"), NULL},
        {MODEL_SAYS("\"fallback\":{\"on\":[\"200\"]}"), "/fallback/on/0"},
        {MODEL_SAYS("\"fallback\":{\"on\":[\"4x4\"]}"), "/fallback/on/0"},
        {MODEL_SAYS("\"sticky\":\"always\""), "/sticky"},
        {MODEL_SAYS("\"capabilities\":[\"Tools\"]"), "/capabilities/0"},
        {MODEL_SAYS("\"max_price\":{\"input_per_mtok\":-1}"), "/max_price/input_per_mtok"},
        {MODEL_SAYS("\"hedge_after_ms\":0"), "/hedge_after_ms"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct reading r = {.lookup = &lookup, .name = SLICE("m"), .creating = true};
        JSON_AUTO json_t *body = parsed(rows[i].text);
        JSON_AUTO json_t *doc = field_read(&r, noun_model.fields, body, NULL, "");
        noun_model.check(&r, NULL, doc);
        const char *at =
            json_string_value(json_object_get(json_array_get(r.problems, 0), "pointer"));
        if ((at == NULL) != (rows[i].pointer == NULL) ||
            (at != NULL && strcmp(at, rows[i].pointer) != 0))
            fail_msg("%s: %s", rows[i].text, at != NULL ? at : "accepted");
        reading_fini(&r);
    }
}

/* Of the model of this id. */
static const char *nesting_problem(const char *id, const char *target)
{
    static char told[256];
    char text[128];
    struct reading r = {.lookup = &lookup, .name = SLICE("m"), .id = slice_str(id)};
    snprintf(text, sizeof(text), "{\"targets\":[{\"model\":\"%s\"}]}", target);
    JSON_AUTO json_t *body = parsed(text);
    JSON_AUTO json_t *doc = field_read(&r, noun_model.fields, body, NULL, "");
    noun_model.check(&r, NULL, doc);
    const json_t *detail = json_object_get(json_array_get(r.problems, 0), "detail");
    snprintf(told, sizeof(told), "%s", detail != NULL ? json_string_value(detail) : "");
    reading_fini(&r);
    return told;
}

static void models_lead_to_models_without_circles_and_not_too_deep(void **state)
{
    (void)state;
    static const char circle[] = "leads back to this model", deep[] = "leads through too many";
    static const struct {
        const char *id, *target, *problem;
    } rows[] = {
        {"model_new", "plain", ""},  {"model_new", "three", ""},
        {"model_new", "four", deep}, {"model_1", "plain", circle},
        {"model_1", "two", circle},  {"model_2", "four", circle},
        {"model_4", "three", ""},    {"model_3", "two", ""},
        {"model_2", "plain", ""}, /* two stand above it: this is the fourth */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *told = nesting_problem(rows[i].id, rows[i].target);
        if (strncmp(told, rows[i].problem, strlen(rows[i].problem)) != 0 ||
            (told[0] == '\0') != (rows[i].problem[0] == '\0'))
            fail_msg("row %zu: %s", i, told);
    }
    lost = ERR_DATABASE;
    struct reading r = {.lookup = &lookup, .name = SLICE("m"), .id = SLICE("model_9")};
    JSON_AUTO json_t *doc = parsed("{\"targets\":[{\"model\":\"model_1\"}]}");
    noun_model.check(&r, NULL, doc);
    assert_int_equal(r.failed, ERR_DATABASE);
    assert_int_equal(json_array_size(r.problems), 0);
    lost = ERR_OK;
    reading_fini(&r);
}

#define FAULT(scope, fault, more)                                                                  \
    "{\"scope\":" scope ",\"fault\":" fault ",\"until\":\"2026-11-30T12:00:00Z\"" more "}"
#define TO_DEMO ",\"provider\":\"demo\""

static void a_fault_has_one_scope_one_kind_and_an_end(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pointer;
    } rows[] = {
        {FAULT("{\"team\":\"research\"}", "{\"status\":503}", ""), NULL},
        {FAULT("{\"agent\":\"bot\"}", "{\"hang\":true}", TO_DEMO), NULL},
        {FAULT("{\"all\":true}", "{\"latency_ms\":2000}", TO_DEMO), NULL},
        {FAULT("{\"all\":true}", "{\"latency_ms\":2000}", ""), "/provider"},
        {FAULT("{}", "{\"status\":503}", TO_DEMO), "/scope"},
        {FAULT("{\"all\":false}", "{\"status\":503}", TO_DEMO), "/scope"},
        {FAULT("{\"all\":true,\"team\":\"research\"}", "{\"hang\":true}", TO_DEMO), "/scope"},
        {FAULT("{\"team\":\"research\",\"agent\":\"bot\"}", "{\"hang\":true}", ""), "/scope"},
        {FAULT("{\"team\":\"nobody\"}", "{\"status\":503}", ""), "/scope/team"},
        {FAULT("{\"team\":\"research\"}", "{}", ""), "/fault"},
        {FAULT("{\"team\":\"research\"}", "{\"hang\":false}", ""), "/fault"},
        {FAULT("{\"team\":\"research\"}", "{\"hang\":true,\"status\":503}", ""), "/fault"},
        {FAULT("{\"team\":\"research\"}", "{\"status\":302}", ""), "/fault/status"},
        {FAULT("{\"team\":\"research\"}", "{\"status\":503}", ",\"share\":0"), "/share"},
        {FAULT("{\"team\":\"research\"}", "{\"status\":503}", ",\"share\":1.5"), "/share"},
        {"{\"scope\":{\"all\":true},\"fault\":{\"hang\":true}" TO_DEMO "}", "/until"},
        {"{\"scope\":{\"all\":true},\"fault\":{\"hang\":true},"
         "\"until\":\"2026-11-30T08:59:59Z\"" TO_DEMO "}",
         "/until"},
        {"{\"scope\":{\"all\":true},\"fault\":{\"hang\":true},"
         "\"until\":\"2026-12-07T09:00:01Z\"" TO_DEMO "}",
         "/until"},
    };
    int64_t then = 0;
    assert_int_equal(clock_parse(SLICE("2026-11-30T09:00:00Z"), &then), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct reading r = {
            .lookup = &lookup, .name = SLICE("drill"), .creating = true, .now_us = then};
        JSON_AUTO json_t *body = parsed(rows[i].text);
        JSON_AUTO json_t *doc = field_read(&r, noun_fault.fields, body, NULL, "");
        noun_fault.check(&r, NULL, doc);
        const char *at =
            json_string_value(json_object_get(json_array_get(r.problems, 0), "pointer"));
        if ((at == NULL) != (rows[i].pointer == NULL) ||
            (at != NULL && strcmp(at, rows[i].pointer) != 0))
            fail_msg("%s: %s", rows[i].text, at != NULL ? at : "accepted");
        reading_fini(&r);
    }
}

static void a_star_in_a_target_needs_one_in_the_name(void **state)
{
    static const char star[] = "{\"targets\":[{\"provider\":\"demo\",\"model\":\"*\"}]}";
    static const char two[] = "{\"targets\":[{\"provider\":\"demo\",\"model\":\"a*b*\"}]}";
    (void)state;
    assert_wrong_as("small", &noun_model, star, "/targets/0/model");
    assert_wrong_as("x/*", &noun_model, two, "/targets/0/model");
    assert_wrong_as("x/*", &noun_model, star, NULL);
    assert_wrong_as("*", &noun_model, star, NULL);
}

static void assert_wrong(const struct noun *n, const char *text, const char *pointer)
{
    struct reading r;
    struct noun_secrets s = {.count = 0};
    JSON_AUTO json_t *doc = read_as(&r, n, text, NULL, &s);
    assert_int_equal(json_array_size(r.problems), 1);
    const json_t *p = json_array_get(r.problems, 0);
    assert_string_equal(json_string_value(json_object_get(p, "pointer")), pointer);
    noun_secrets_fini(&s);
    reading_fini(&r);
}

/* ---- reading ---- */

static void a_document_becomes_its_normal_form(void **state)
{
    (void)state;
    assert_reads(&noun_agent, "{}", "{\"team\":\"team_d\",\"session_from\":\"label\"}");
    assert_reads(&noun_agent, "{\"team\":\"research\",\"tasks\":[\"triage\"]}",
                 "{\"team\":\"team_r\",\"tasks\":[\"task_t\"],\"session_from\":\"label\"}");
    assert_reads(&noun_team, "{\"budget\":{\"limit_usd\":0.1}}",
                 "{\"budget\":{\"limit_usd\":\"0.100000000\",\"period\":\"month\"}}");
    assert_reads(&noun_team, "{\"models\":null,\"description\":\"d\"}", "{\"description\":\"d\"}");
}

static void an_exponent_is_read_only_where_a_number_was(void **state)
{
    (void)state;
    assert_reads(&noun_team, "{\"budget\":{\"limit_usd\":1e-3}}",
                 "{\"budget\":{\"limit_usd\":\"0.001000000\",\"period\":\"month\"}}");
    assert_wrong(&noun_team, "{\"budget\":{\"limit_usd\":\"1e-3\"}}", "/budget/limit_usd");
}

static void a_keys_owner_is_its_agent_or_a_team_and_they_must_agree(void **state)
{
    (void)state;
    assert_reads(&noun_key, "{}", "{\"team\":\"team_d\",\"revoked\":false,\"blocked\":false}");
    assert_reads(&noun_key, "{\"agent\":\"bot\"}",
                 "{\"agent\":\"agent_b\",\"revoked\":false,\"blocked\":false}");
    assert_reads(&noun_key, "{\"agent\":\"bot\",\"team\":\"research\"}",
                 "{\"agent\":\"agent_b\",\"team\":\"team_r\",\"revoked\":false,\"blocked\":false}");
    assert_wrong(&noun_key, "{\"agent\":\"bot\",\"team\":\"default\"}", "/team");
}

static void a_key_is_not_made_expired_but_may_be_ended_by_its_time(void **state)
{
    static const char past[] = "{\"expires_at\":\"2026-01-01T00:00:00Z\"}";
    (void)state;
    assert_int_equal(clock_parse(SLICE("2026-01-01T00:00:00Z"), &now), ERR_OK);
    assert_wrong(&noun_key, past, "/expires_at");
    now--;
    assert_reads(&noun_key, past,
                 "{\"team\":\"team_d\",\"expires_at\":\"2026-01-01T00:00:00.000000Z\","
                 "\"revoked\":false,\"blocked\":false}");
    now += 2;
    struct reading r;
    struct noun_secrets s = {.count = 0};
    JSON_AUTO json_t *old = parsed("{\"team\":\"team_d\",\"revoked\":false,\"blocked\":false}");
    JSON_AUTO json_t *doc = read_as(&r, &noun_key, past, old, &s);
    assert_int_equal(json_array_size(r.problems), 0);
    assert_true(slice_starts(json_text(doc, "expires_at"), SLICE("2026-01-01")));
    reading_fini(&r);
    now = 0;
}

static void no_url_leads_to_a_clouds_metadata(void **state)
{
    static const char *const hosts[] = {"169.254.169.254", "[fd00:ec2::254]", "100.100.100.200",
                                        "[::ffff:169.254.169.254]"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "{\"dialect\":\"openai\",\"base_url\":\"http://%s/v1\","
                 "\"allow_cidrs\":[\"0.0.0.0/0\",\"::/0\"]}",
                 hosts[i]);
        assert_wrong(&noun_provider, text, "/base_url");
        snprintf(text, sizeof(text),
                 "{\"transport\":\"streamable-http\",\"url\":\"http://%s/mcp\"}", hosts[i]);
        assert_wrong(&noun_mcp_server, text, "/url");
        snprintf(
            text, sizeof(text),
            "{\"base_url\":\"http://%s\",\"routes\":[{\"methods\":[\"GET\"],\"path\":\"/**\"}]}",
            hosts[i]);
        assert_wrong(&noun_api_service, text, "/base_url");
    }
}

static void a_name_that_several_have_is_refused_as_a_reference(void **state)
{
    (void)state;
    assert_wrong(&noun_block, "{\"key\":\"twins\"}", "/key");
    assert_wrong(&noun_block, "{\"key\":\"nobody\"}", "/key");
}

static void a_store_that_is_away_is_no_problem_of_the_document(void **state)
{
    (void)state;
    struct reading r;
    struct noun_secrets s = {.count = 0};
    lost = ERR_DATABASE;
    JSON_AUTO json_t *doc = read_as(&r, &noun_agent, "{\"team\":\"research\"}", NULL, &s);
    lost = ERR_OK;
    assert_int_equal(json_array_size(r.problems), 0);
    assert_int_equal(r.failed, ERR_DATABASE);
    reading_fini(&r);
}

static void problems_are_gathered_up_to_a_ceiling(void **state)
{
    (void)state;
    struct reading r;
    struct noun_secrets s = {.count = 0};
    char text[4096] = "{\"models\":[";
    for (int i = 0; i < 200; i++)
        strcat(text, i > 0 ? ",1" : "1");
    strcat(text, "]}");
    JSON_AUTO json_t *doc = read_as(&r, &noun_team, text, NULL, &s);
    assert_int_equal(json_array_size(r.problems), FIELD_PROBLEMS_MOST);
    reading_fini(&r);
}

/* Whatever is stored must read as itself: a PATCH reads the stored form again. */
static void reading_a_normal_form_again_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const struct noun *noun;
        const char *text;
    } samples[] = {
        {&noun_team, "{\"budget\":{\"limit_usd\":200},\"limits\":{\"rpm\":5}}"},
        {&noun_key, "{\"agent\":\"bot\",\"tasks\":[\"triage\"],\"models\":[\"a/*\"],"
                    "\"expires_at\":\"2027-01-01T00:00:00+02:00\"}"},
        {&noun_provider, "{\"dialect\":\"openai\",\"base_url\":\"https://a.example/v1\","
                         "\"credentials\":[{\"name\":\"m\",\"secret\":\"s\"}]}"},
        {&noun_model, "{\"targets\":[{\"provider\":\"demo\",\"model\":\"m\"}],"
                      "\"price\":{\"input_per_mtok\":0.15,\"output_per_mtok\":0.6}}"},
        {&noun_mcp_server, "{\"transport\":\"streamable-http\",\"url\":\"https://a.example\"}"},
        {&noun_api_service, "{\"base_url\":\"https://a.example\",\"credential\":{\"secret\":\"s\"},"
                            "\"routes\":[{\"methods\":[\"GET\"],\"path\":\"/**\"}]}"},
        {&noun_grant, "{\"agent\":\"bot\",\"server\":\"files\",\"tools\":[\"*\"]}"},
        {&noun_grant, "{\"team\":\"research\",\"provider\":\"demo\",\"unpriced\":\"allow\","
                      "\"routes\":[{\"methods\":[\"POST\"],\"path\":\"/images/**\"}]}"},
        {&noun_dataplane, "{}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct reading r;
        struct noun_secrets s = {.count = 0}, none = {.count = 0};
        JSON_AUTO json_t *one = read_as(&r, samples[i].noun, samples[i].text, NULL, &s);
        assert_int_equal(json_array_size(r.problems), 0);
        reading_fini(&r);
        char *stored = json_dumps(one, 0);
        JSON_AUTO json_t *two = read_as(&r, samples[i].noun, stored, one, &none);
        free(stored);
        assert_int_equal(json_array_size(r.problems), 0);
        assert_true(json_equal(one, two));
        assert_int_equal(none.count, 0);
        reading_fini(&r);
        noun_secrets_fini(&s);
    }
}

static void passthrough_is_granted_by_method_and_path(void **state)
{
    (void)state;
    assert_wrong(&noun_grant, "{\"team\":\"research\",\"provider\":\"demo\"}", "/routes");
    assert_wrong(&noun_grant,
                 "{\"team\":\"research\",\"provider\":\"demo\",\"routes\":[{\"path\":\"/**\"}]}",
                 "/routes/0/methods");
    assert_wrong(&noun_grant,
                 "{\"team\":\"research\",\"provider\":\"demo\",\"routes\":[{\"methods\":[\"GET\"],"
                 "\"path\":\"/**\",\"opaque\":true}]}",
                 "/routes/0/opaque");
    assert_wrong(&noun_grant, "{\"team\":\"research\",\"models\":[\"a\"],\"unpriced\":\"allow\"}",
                 "/unpriced");
    assert_wrong(&noun_grant,
                 "{\"team\":\"research\",\"provider\":\"demo\",\"models\":[\"a\"],\"routes\":"
                 "[{\"methods\":[\"GET\"],\"path\":\"/**\"}]}",
                 "");
}

static void half_a_price_is_refused(void **state)
{
    (void)state;
    assert_wrong(&noun_model,
                 "{\"targets\":[{\"provider\":\"demo\",\"model\":\"m\"}],\"price\":"
                 "{\"input_per_mtok\":1}}",
                 "/price/output_per_mtok");
    assert_wrong(&noun_model,
                 "{\"targets\":[{\"provider\":\"demo\",\"model\":\"m\"}],\"price\":"
                 "{\"output_per_mtok\":1}}",
                 "/price/input_per_mtok");
}

static void a_providers_address_may_have_a_query(void **state)
{
    struct reading r;
    struct noun_secrets s = {.count = 0};
    (void)state;
    JSON_AUTO json_t *one = read_as(&r, &noun_provider,
                                    "{\"dialect\":\"anthropic\",\"base_url\":"
                                    "\"https://a.example/v1?api-version=1\"}",
                                    NULL, &s);
    assert_non_null(one);
    assert_int_equal(json_array_size(r.problems), 0);
    reading_fini(&r);
    noun_secrets_fini(&s);
}

/* ---- secrets ---- */

#define PROVIDER_A "\"dialect\":\"openai\",\"base_url\":\"https://a.example/v1\""
#define PROVIDER_B "\"dialect\":\"openai\",\"base_url\":\"https://b.example/v1\""

static json_t *stored_provider(struct noun_secrets *s)
{
    struct reading r;
    json_t *doc = read_as(&r, &noun_provider,
                          "{" PROVIDER_A ",\"credentials\":[{\"name\":\"one\",\"secret\":\"1\"},"
                          "{\"name\":\"two\",\"secret\":\"2\"}]}",
                          NULL, s);
    assert_int_equal(json_array_size(r.problems), 0);
    reading_fini(&r);
    return doc;
}

static const json_t *credential_of(const json_t *doc, size_t i)
{
    return json_array_get(json_object_get(doc, "credentials"), i);
}

static void secrets_leave_the_document_under_their_entrys_id(void **state)
{
    (void)state;
    struct noun_secrets s = {.count = 0};
    JSON_AUTO json_t *doc = stored_provider(&s);
    assert_int_equal(s.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_null(json_object_get(credential_of(doc, i), "secret"));
        assert_true(json_is_true(json_object_get(credential_of(doc, i), "secret_set")));
        assert_string_equal(s.rows[i].slot,
                            json_string_value(json_object_get(credential_of(doc, i), "id")));
        assert_true(slice_eq(s.rows[i].value, i == 0 ? SLICE("1") : SLICE("2")));
    }
    noun_secrets_fini(&s);
}

static void an_entry_left_out_drops_its_secret_and_a_new_one_needs_its_own(void **state)
{
    (void)state;
    struct noun_secrets first = {.count = 0}, s = {.count = 0};
    JSON_AUTO json_t *old = stored_provider(&first);
    struct reading r;
    JSON_AUTO json_t *doc = read_as(
        &r, &noun_provider, "{" PROVIDER_A ",\"credentials\":[{\"name\":\"two\"}]}", old, &s);
    assert_int_equal(json_array_size(r.problems), 0);
    assert_int_equal(s.count, 1);
    assert_true(s.rows[0].drop);
    assert_string_equal(s.rows[0].slot,
                        json_string_value(json_object_get(credential_of(old, 0), "id")));
    reading_fini(&r);
    noun_secrets_fini(&s);
    JSON_AUTO json_t *wrong = read_as(
        &r, &noun_provider, "{" PROVIDER_A ",\"credentials\":[{\"name\":\"three\"}]}", old, &s);
    assert_int_equal(json_array_size(r.problems), 1);
    reading_fini(&r);
    noun_secrets_fini(&s);
    noun_secrets_fini(&first);
}

static void another_host_gets_none_of_the_old_secrets(void **state)
{
    (void)state;
    struct noun_secrets first = {.count = 0}, s = {.count = 0};
    JSON_AUTO json_t *old = stored_provider(&first);
    struct reading r;
    JSON_AUTO json_t *doc =
        read_as(&r, &noun_provider,
                "{" PROVIDER_B ",\"credentials\":[{\"name\":\"one\",\"secret\":\"new\"},"
                "{\"name\":\"two\"}]}",
                old, &s);
    assert_int_equal(json_array_size(r.problems), 0);
    assert_int_equal(s.count, 2);
    assert_false(s.rows[0].drop);
    assert_true(s.rows[1].drop);
    assert_true(json_is_false(json_object_get(credential_of(doc, 1), "secret_set")));
    reading_fini(&r);
    noun_secrets_fini(&s);
    noun_secrets_fini(&first);
}

/* ---- providers ---- */

static void a_providers_address_is_its_vendors_where_none_is_given(void **state)
{
    static const struct {
        const char *members, *address;
    } rows[] = {
        {"\"dialect\":\"openai\"", "https://api.openai.com/v1"},
        {"\"dialect\":\"anthropic\"", "https://api.anthropic.com"},
        {"\"dialect\":\"gemini\"", "https://generativelanguage.googleapis.com"},
        {"\"dialect\":\"bedrock\"", "https://bedrock-runtime.{region}.amazonaws.com"},
        {"\"dialect\":\"mistral\"", "https://api.mistral.ai/v1"},
        {"\"dialect\":\"openai\",\"quirks\":\"groq\"", "https://api.groq.com/openai/v1"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256], want[256];
        snprintf(text, sizeof(text), "{%s}", rows[i].members);
        snprintf(want, sizeof(want), "{%s,\"base_url\":\"%s\",\"credentials\":[]}", rows[i].members,
                 rows[i].address);
        assert_reads(&noun_provider, text, want);
    }
    assert_wrong(&noun_provider, "{\"dialect\":\"azure\"}", "/base_url");
    assert_wrong(&noun_provider, "{\"dialect\":\"openai\",\"quirks\":\"vllm\"}", "/base_url");
}

static void a_vendors_own_address_follows_the_vendor_and_clears_secrets(void **state)
{
    (void)state;
    static const char credential[] = "\"credentials\":[{\"name\":\"m\"}]";
    char text[256];
    struct reading r;
    struct noun_secrets first = {.count = 0}, s = {.count = 0};
    JSON_AUTO json_t *old =
        read_as(&r, &noun_provider,
                "{\"dialect\":\"openai\",\"credentials\":[{\"name\":\"m\",\"secret\":\"s\"}]}",
                NULL, &first);
    reading_fini(&r);
    snprintf(text, sizeof(text),
             "{\"dialect\":\"mistral\",\"base_url\":\"https://api.openai.com/v1\",%s}", credential);
    JSON_AUTO json_t *doc = read_as(&r, &noun_provider, text, old, &s);
    assert_int_equal(json_array_size(r.problems), 0);
    assert_true(slice_eq(json_text(doc, "base_url"), SLICE("https://api.mistral.ai/v1")));
    assert_true(json_is_false(json_object_get(credential_of(doc, 0), "secret_set")));
    reading_fini(&r);
    noun_secrets_fini(&first);
    noun_secrets_fini(&s);
}

static void members_that_only_some_providers_have_are_refused_elsewhere(void **state)
{
    static const struct {
        const char *text, *pointer;
    } rows[] = {
        {"\"dialect\":\"anthropic\",\"quirks\":\"groq\"", "/quirks"},
        {"\"dialect\":\"openai\",\"api_version\":\"2024-10-21\"", "/api_version"},
        {"\"dialect\":\"openai\",\"base_url\":\"https://{region}.a.example\"", "/base_url"},
        {"\"dialect\":\"bedrock\",\"credentials\":[{\"name\":\"m\",\"secret\":\"s\"}]",
         "/credentials/0/region"},
        {"\"dialect\":\"bedrock\",\"credentials\":[{\"name\":\"m\",\"secret\":\"s\","
         "\"region\":\"evil.example/\"}]",
         "/credentials/0/region"},
        {"\"dialect\":\"bedrock\",\"credentials\":[{\"name\":\"m\",\"secret\":\"s\","
         "\"region\":\"eu-west-1\",\"session_token\":\"t\"}]",
         "/credentials/0/session_token"},
        {"\"dialect\":\"openai\",\"credentials\":[{\"name\":\"m\",\"secret\":\"s\","
         "\"region\":\"eu\",\"access_key_id\":\"AKIDEXAMPLE123456\"}]",
         "/credentials/0/access_key_id"},
        {"\"dialect\":\"openai\",\"tls\":{\"ca\":\"no certificate\"}", "/tls/ca"},
        {"\"dialect\":\"openai\",\"tls\":{\"secret\":\"no key\"}", "/tls/secret"},
        {"\"dialect\":\"openai\",\"proxy\":{\"url\":\"https://p.example\"}", "/proxy/url"},
        {"\"dialect\":\"openai\",\"proxy\":{\"url\":\"http://p.example\",\"username\":\"a:b\"}",
         "/proxy/username"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[512];
        snprintf(text, sizeof(text), "{%s}", rows[i].text);
        assert_wrong(&noun_provider, text, rows[i].pointer);
    }
}

#define BEDROCK(more)                                                                              \
    "{\"dialect\":\"bedrock\",\"credentials\":[{\"name\":\"m\",\"region\":\"eu-west-1\"," more "}" \
    "]"                                                                                            \
    "}"

/* ---- credentials that are had from a source ---- */

#define SOURCED(dialect, more, source)                                                             \
    "{\"dialect\":\"" dialect "\",\"base_url\":\"https://a.example\",\"credentials\":[{\"name\":"  \
    "\"m\"" more ",\"source\":{" source "}}]}"
#define REGION ",\"region\":\"eu-west-1\""
#define SECRET ",\"secret\":\"s\""
#define IMDS "\"type\":\"aws_imds\",\"url\":\"http://169.254.169.254\""
#define ROLE "\"type\":\"aws_web_identity\",\"role\":\"arn:aws:iam::1:role/r\""
#define METADATA "\"type\":\"gcp_metadata\",\"url\":\"http://metadata.google.internal\""
#define EXTERNAL "\"type\":\"gcp_external_account\",\"audience\":\"//iam.googleapis.com/p\""
#define ENTRA "\"type\":\"azure_client\",\"client_id\":\"c\",\"tenant\":\"t\""
#define CONTAINER "\"type\":\"aws_container\",\"url\":\"http://169.254.170.2/v2/x\""

static void each_type_of_source_wants_what_it_needs_and_takes_nothing_else(void **state)
{
    static const struct {
        const char *text, *pointer; /* NULL: it is taken */
    } rows[] = {
        {SOURCED("bedrock", REGION, IMDS), NULL},
        {SOURCED("bedrock", REGION, IMDS ",\"role\":\"r\""), NULL},
        {SOURCED("bedrock", REGION, CONTAINER), NULL},
        {SOURCED("bedrock", REGION SECRET, CONTAINER), NULL},
        {SOURCED("bedrock", REGION, CONTAINER ",\"token_file\":\"eks/token\""), NULL},
        {SOURCED("bedrock", REGION SECRET, ROLE), NULL},
        {SOURCED("bedrock", REGION, ROLE ",\"token_file\":\"token\""), NULL},
        {SOURCED("vertex", "", METADATA ",\"project\":\"p\""), NULL},
        {SOURCED("vertex", SECRET, EXTERNAL), NULL},
        {SOURCED("vertex", "", EXTERNAL ",\"token_url\":\"https://b.example/t?x=1\""), NULL},
        {SOURCED("azure", SECRET, ENTRA), NULL},
        {SOURCED("azure", "", ENTRA ",\"token_file\":\"token\""), NULL},
        {SOURCED("vertex", REGION, IMDS), "/credentials/0/source/type"},
        {SOURCED("openai", SECRET, ENTRA), "/credentials/0/source/type"},
        {SOURCED("bedrock", "", IMDS), "/credentials/0/region"},
        {SOURCED("bedrock", REGION SECRET, IMDS), "/credentials/0/secret"},
        {SOURCED("bedrock", REGION, "\"type\":\"aws_imds\""), "/credentials/0/source/url"},
        {SOURCED("bedrock", REGION, IMDS ",\"audience\":\"a\""), "/credentials/0/source/audience"},
        {SOURCED("bedrock", REGION ",\"access_key_id\":\"AKIDEXAMPLE000001\"", IMDS),
         "/credentials/0/access_key_id"},
        {SOURCED("bedrock", REGION, ROLE), "/credentials/0/secret"},
        {SOURCED("bedrock", REGION SECRET, ROLE ",\"token_file\":\"t\""), "/credentials/0/secret"},
        {SOURCED("bedrock", REGION, ROLE ",\"token_file\":\"../t\""),
         "/credentials/0/source/token_file"},
        {SOURCED("bedrock", REGION, ROLE ",\"token_file\":\"/t\""),
         "/credentials/0/source/token_file"},
        {SOURCED("bedrock", REGION SECRET, ROLE ",\"token_field\":\"t\""),
         "/credentials/0/source/token_field"},
        {SOURCED("bedrock", REGION SECRET, ROLE ",\"url\":\"ftp://x\""),
         "/credentials/0/source/url"},
        {SOURCED("vertex", SECRET, "\"type\":\"gcp_external_account\""),
         "/credentials/0/source/audience"},
        {SOURCED("azure", "", ENTRA), "/credentials/0/secret"},
        {SOURCED("azure", SECRET, "\"type\":\"azure_client\",\"client_id\":\"c\""),
         "/credentials/0/source/tenant"},
        {SOURCED("azure", SECRET, "\"type\":\"another\""), "/credentials/0/source/type"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct reading r;
        struct noun_secrets s = {.count = 0};
        if (rows[i].pointer) {
            assert_wrong(&noun_provider, rows[i].text, rows[i].pointer);
            continue;
        }
        JSON_AUTO json_t *doc = read_as(&r, &noun_provider, rows[i].text, NULL, &s);
        if (json_array_size(r.problems) > 0)
            fail_msg("row %zu: %s", i, json_dumps(r.problems, 0));
        assert_true((noun_needs(&noun_provider, SLICE("p"), doc) &
                     FEATURE_BIT(FEATURE_PROVIDER_SOURCE)) != 0);
        reading_fini(&r);
        noun_secrets_fini(&s);
    }
}

static void a_secret_goes_with_its_source(void **state)
{
    (void)state;
    struct reading r;
    struct noun_secrets s = {.count = 0};
    JSON_AUTO json_t *old =
        read_as(&r, &noun_provider, SOURCED("bedrock", REGION SECRET, CONTAINER), NULL, &s);
    assert_int_equal(json_array_size(r.problems), 0);
    assert_int_equal(s.count, 1);
    noun_secrets_fini(&s);
    reading_fini(&r);

    JSON_AUTO json_t *same =
        read_as(&r, &noun_provider, SOURCED("bedrock", REGION, CONTAINER), old, &s);
    assert_int_equal(s.count, 0);
    assert_true(json_is_true(json_object_get(credential_of(same, 0), "secret_set")));
    reading_fini(&r);

    JSON_AUTO json_t *other =
        read_as(&r, &noun_provider,
                SOURCED("bedrock", REGION,
                        "\"type\":\"aws_container\",\"url\":\"http://169.254.170.2/v2/y\""),
                old, &s);
    assert_int_equal(json_array_size(r.problems), 0);
    assert_int_equal(s.count, 1);
    assert_true(s.rows[0].drop);
    assert_true(json_is_false(json_object_get(credential_of(other, 0), "secret_set")));
    reading_fini(&r);
    noun_secrets_fini(&s);
}

/* Who is no owner may neither take what a machine is, nor lead it elsewhere. */
static void what_a_machine_is_given_is_an_owners_to_set(void **state)
{
    static const char imds[] = SOURCED("bedrock", REGION, IMDS);
    static const char file[] = SOURCED("bedrock", REGION, ROLE ",\"token_file\":\"t\"");
    static const char elsewhere[] =
        "{\"dialect\":\"bedrock\",\"base_url\":\"https://evil.example\",\"credentials\":[{\"name\":"
        "\"m\"" REGION ",\"source\":{" IMDS "}}]}";
    static const char fetched[] =
        SOURCED("vertex", "", EXTERNAL ",\"token_url\":\"https://id.example/t\"");
    static const char led_away[] =
        "{\"dialect\":\"vertex\",\"base_url\":\"https://evil.example\",\"credentials\":[{\"name\":"
        "\"m\",\"source\":{" EXTERNAL ",\"token_url\":\"https://id.example/t\"}}]}";
    struct noun_secrets s = {.count = 0};
    struct reading r;
    (void)state;
    JSON_AUTO json_t *old = read_as(&r, &noun_provider, imds, NULL, &s);
    assert_int_equal(json_array_size(r.problems), 0);
    reading_fini(&r);
    JSON_AUTO json_t *trusting = json_deep_copy(old);
    json_object_set_new(trusting, "tls", parsed("{\"ca\":\"its certificate\"}"));
    JSON_AUTO json_t *asked = read_as(&r, &noun_provider, fetched, NULL, &s);
    assert_int_equal(json_array_size(r.problems), 0);
    reading_fini(&r);
    const struct {
        const char *text;
        const json_t *old;
        const char *pointer;
    } rows[] = {
        {imds, NULL, "/credentials/0/source"},
        {file, NULL, "/credentials/0/source"},
        {imds, old, NULL},
        {elsewhere, old, "/base_url"},
        {imds, trusting, "/tls/ca"}, /* which the document has no more */
        {fetched, NULL, NULL},
        {fetched, asked, NULL},
        {led_away, asked, "/base_url"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        JSON_AUTO json_t *body = parsed(rows[i].text);
        r = (struct reading){.lookup = &lookup, .creating = rows[i].old == NULL, .now_us = now};
        JSON_AUTO json_t *doc = field_read(&r, noun_provider.fields, body, rows[i].old, "");
        noun_provider.check(&r, rows[i].old, doc);
        const char *said =
            json_string_value(json_object_get(json_array_get(r.problems, 0), "pointer"));
        if (rows[i].pointer ? !said || strcmp(said, rows[i].pointer) != 0 : said != NULL)
            fail_msg("row %zu: %s", i, said ? said : "no problem");
        reading_fini(&r);
    }
}

static void a_session_token_goes_with_its_access_key(void **state)
{
    (void)state;
    struct reading r;
    struct noun_secrets first = {.count = 0}, s = {.count = 0};
    JSON_AUTO json_t *old =
        read_as(&r, &noun_provider,
                BEDROCK("\"access_key_id\":\"AKIDEXAMPLE000001\",\"secret\":\"s\","
                        "\"session_token\":\"t\""),
                NULL, &first);
    assert_int_equal(json_array_size(r.problems), 0);
    assert_int_equal(first.count, 2);
    assert_true(slice_ends(slice_str(first.rows[1].slot), SLICE(".session_token")));
    assert_null(json_object_get(credential_of(old, 0), "session_token"));
    assert_true(json_is_true(json_object_get(credential_of(old, 0), "session_token_set")));
    reading_fini(&r);

    JSON_AUTO json_t *same =
        read_as(&r, &noun_provider, BEDROCK("\"access_key_id\":\"AKIDEXAMPLE000001\""), old, &s);
    assert_int_equal(s.count, 0);
    assert_true(json_is_true(json_object_get(credential_of(same, 0), "session_token_set")));
    reading_fini(&r);

    JSON_AUTO json_t *other =
        read_as(&r, &noun_provider,
                BEDROCK("\"access_key_id\":\"AKIDEXAMPLE000002\",\"secret\":\"n\""), old, &s);
    assert_int_equal(s.count, 2);
    assert_false(s.rows[0].drop);
    assert_true(s.rows[1].drop);
    assert_null(json_object_get(credential_of(other, 0), "session_token_set"));
    reading_fini(&r);
    noun_secrets_fini(&s);

    JSON_AUTO json_t *gone =
        read_as(&r, &noun_provider, "{\"dialect\":\"bedrock\",\"credentials\":[]}", old, &s);
    assert_int_equal(s.count, 2);
    assert_true(s.rows[0].drop && s.rows[1].drop);
    reading_fini(&r);
    noun_secrets_fini(&s);
    noun_secrets_fini(&first);
}

static void a_document_as_secret_is_kept_in_its_compact_form(void **state)
{
    (void)state;
    struct reading r;
    struct noun_secrets s = {.count = 0};
    JSON_AUTO json_t *doc =
        read_as(&r, &noun_provider,
                "{\"dialect\":\"vertex\",\"credentials\":[{\"name\":\"m\",\"region\":\"global\","
                "\"secret\":\"{\\n  \\\"type\\\": \\\"service_account\\\"\\n}\"}]}",
                NULL, &s);
    assert_int_equal(json_array_size(r.problems), 0);
    assert_int_equal(s.count, 1);
    assert_true(slice_eq(s.rows[0].value, SLICE("{\"type\":\"service_account\"}")));
    reading_fini(&r);
    noun_secrets_fini(&s);
}

/* old host, new one, do they differ for a secret? */
static const struct {
    const char *from, *to;
    bool moved;
} moves[] = {
    {"https://a.example", "https://a.example/v2", false},
    {"https://a.example", "https://A.EXAMPLE", false},
    {"https://a.example", "https://a.example:443", false},
    {"https://a.example", "https://a.example:8443", true},
    {"https://a.example", "http://a.example", true},
    {"https://a.example", "https://b.example", true},
    {"https://a.example", "https://a.example.evil.example", true},
};

static void what_counts_as_another_host(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        struct reading r;
        struct noun_secrets first = {.count = 0}, s = {.count = 0};
        char text[512];
        static const char shape[] = "{\"transport\":\"streamable-http\",\"url\":\"%s\","
                                    "\"credential\":{%s}}";
        snprintf(text, sizeof(text), shape, moves[i].from, "\"secret\":\"s\"");
        JSON_AUTO json_t *old = read_as(&r, &noun_mcp_server, text, NULL, &first);
        reading_fini(&r);
        snprintf(text, sizeof(text), shape, moves[i].to, "");
        JSON_AUTO json_t *doc = read_as(&r, &noun_mcp_server, text, old, &s);
        assert_int_equal(json_array_size(r.problems), 0);
        const json_t *set = json_object_get(json_object_get(doc, "credential"), "secret_set");
        assert_true(json_is_true(set) == !moves[i].moved);
        reading_fini(&r);
        noun_secrets_fini(&first);
        noun_secrets_fini(&s);
    }
}

/* ---- rules ---- */

static const struct {
    const char *(*rule)(struct slice text);
    const char *text;
    bool good;
} rules[] = {
    {noun_slug_rule, "a", true},
    {noun_slug_rule, "0-a", true},
    {noun_slug_rule, "-a", false},
    {noun_slug_rule, "A", false},
    {noun_slug_rule, "a_b", false},
    {noun_slug_rule, "", false},
    {noun_slug_rule, "abcdefghijklmnopqrstuvwxyz01234", true},
    {noun_slug_rule, "abcdefghijklmnopqrstuvwxyz012345", false},
    {noun_path_rule, "/", true},
    {noun_path_rule, "/a/*/b", true},
    {noun_path_rule, "/a/**", true},
    {noun_path_rule, "/**/a", false},
    {noun_path_rule, "/a*", false},
    {noun_path_rule, "/a//b", false},
    {noun_path_rule, "/a/", false},
    {noun_path_rule, "/./a", false},
    {noun_path_rule, "/a/..", false},
    {noun_path_rule, "/a;b", false},
    {noun_path_rule, "/a%2Fb", false},
    {noun_path_rule, "/a?b", false},
    {noun_path_rule, "a", false},
    {noun_header_rule, "x-api-key", true},
    {noun_header_rule, "Authorization", true},
    {noun_header_rule, "Host", false},
    {noun_header_rule, "transfer-encoding", false},
    {noun_header_rule, "a b", false},
    {noun_header_rule, "a:b", false},
    {noun_model_rule, "*", true},
    {noun_model_rule, "openai/*", true},
    {noun_model_rule, "gpt-4o", true},
    {noun_model_rule, "gpt*", false},
    {noun_model_rule, "*/a", false},
    {noun_model_rule, "/*", false},
    {noun_model_rule, "a/*/*", false},
};

static void rules_accept_what_they_document(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        bool good = rules[i].rule(slice_str(rules[i].text)) == NULL;
        if (good != rules[i].good)
            print_error("%zu: %s\n", i, rules[i].text);
        assert_true(good == rules[i].good);
    }
}

/* RFC 7396, appendix A */
static const struct {
    const char *target, *patch, *result;
} merges[] = {
    {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
    {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
    {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
    {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
    {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
    {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
    {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
    {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
    {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
    {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
};

static void merging_follows_the_rfcs_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(merges); i++) {
        JSON_AUTO json_t *target = parsed(merges[i].target), *patch = parsed(merges[i].patch);
        JSON_AUTO json_t *want = parsed(merges[i].result), *got = noun_merge(target, patch);
        JSON_AUTO json_t *before = parsed(merges[i].target);
        assert_true(json_equal(got, want));
        assert_true(json_equal(target, before)); /* the target belongs to the caller: unchanged */
    }
}

static void every_noun_is_complete(void **state)
{
    (void)state;
    size_t count = 0;
    const struct noun *const *all = noun_all(&count);
    for (size_t i = 0; i < count; i++) {
        const struct noun *n = all[i];
        assert_non_null(n->plural);
        assert_non_null(n->table);
        assert_non_null(n->help);
        assert_true(n->write_roles != 0);
        assert_true(strlen(n->id_prefix) >= 1 && strlen(n->id_prefix) <= 6);
        assert_ptr_equal(noun_find(n->name), n);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(all[k]->id_prefix, n->id_prefix);
            assert_string_not_equal(all[k]->plural, n->plural);
            assert_true(n->kind == 0 || all[k]->kind != n->kind);
        }
        for (const struct field *f = n->fields; f->name != NULL; f++)
            if (f->type == FIELD_REF)
                assert_non_null(noun_find(f->ref));
    }
}

static void names_with_hiding_or_reordering_characters_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "a\x01",         "a\x7f",         "a\xc2\x85",     "a\xe2\x80\x8b", "a\xe2\x80\x8f",
        "a\xe2\x80\xaa", "a\xe2\x80\xae", "a\xe2\x81\xa6", "a\xe2\x81\xa9", "a\xef\xbb\xbf",
    };
    static const char *const right[] = {"a b",
                                        "\xc2\xa0x",
                                        "\xe2\x80\x90",
                                        "\xe2\x80\xaf"
                                        "x",
                                        "\xe2\x81\xaa",
                                        "Zo\xc3\xab \xf0\x9f\x98\x80"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_non_null(noun_label_rule(slice_str(wrong[i])));
    for (size_t i = 0; i < ARRAY_LEN(right); i++)
        assert_null(noun_label_rule(slice_str(right[i])));
}

static void a_document_names_what_an_older_plane_would_not_understand(void **state)
{
    (void)state;
    static const struct {
        const struct noun *noun;
        const char *name, *member, *value;
        feature_set needs;
    } rows[] = {
        {&noun_provider, "p", "dialect", "openai", FEATURES_NONE},
        {&noun_provider, "p", "dialect", "anthropic", FEATURE_BIT(FEATURE_PROVIDER_ANTHROPIC)},
        {&noun_provider, "p", "dialect", "bedrock", FEATURE_BIT(FEATURE_PROVIDER_BEDROCK)},
        {&noun_provider, "p", "quirks", "groq", FEATURE_BIT(FEATURE_PROVIDER_QUIRKS)},
        {&noun_team, "t", "catalogue", "cat_1", FEATURE_BIT(FEATURE_PRICES_OWN)},
        {&noun_provider, "p", "catalogue", "cat_1", FEATURE_BIT(FEATURE_PRICES_OWN)},
        {&noun_grant, "", "provider", "prov_1", FEATURE_BIT(FEATURE_PASSTHROUGH)},
        {&noun_grant, "", "service", "api_1", FEATURES_NONE},
        {&noun_model, "gpt-4o", "strategy", "fallback", FEATURES_NONE},
        {&noun_model, "openai/*", "strategy", "fallback", FEATURE_BIT(FEATURE_MODEL_WILDCARD)},
        {&noun_model, "gpt-4o", "defaults", "{}", FEATURE_BIT(FEATURE_MODEL_OVERRIDES)},
        {&noun_model, "gpt-4o", "overrides", "{}", FEATURE_BIT(FEATURE_MODEL_OVERRIDES)},
        {&noun_model, "gpt-4o", "drop", "[]", FEATURE_BIT(FEATURE_MODEL_OVERRIDES)},
        {&noun_model, "gpt-4o", "headers", "[]", FEATURE_BIT(FEATURE_MODEL_OVERRIDES)},
        {&noun_model, "gpt-4o", "system_prompt", "x", FEATURE_BIT(FEATURE_MODEL_OVERRIDES)},
        {&noun_model, "*", "strategy", "fallback", FEATURE_BIT(FEATURE_MODEL_WILDCARD)},
        {&noun_model, "m", "strategy", "weighted", FEATURES_NONE},
        {&noun_model, "m", "strategy", "lowest_cost", FEATURE_BIT(FEATURE_ROUTING_STRATEGIES)},
        {&noun_model, "m", "sticky", "session", FEATURE_BIT(FEATURE_ROUTING_RULES)},
        {&noun_model, "m", "retry", "{}", FEATURE_BIT(FEATURE_ROUTING_RULES)},
        {&noun_model, "m", "fallback", "{}", FEATURE_BIT(FEATURE_ROUTING_RULES)},
        {&noun_model, "m", "max_price", "{}", FEATURE_BIT(FEATURE_ROUTING_RULES)},
        {&noun_model, "m", "hedge_after_ms", "1", FEATURE_BIT(FEATURE_ROUTING_RULES)},
        {&noun_model, "m", "capabilities", "tools", FEATURES_NONE},
        {&noun_team, "t", "regions", "eu", FEATURE_BIT(FEATURE_RESIDENCY)},
        {&noun_team, "t", "data_policy", "no_training", FEATURE_BIT(FEATURE_RESIDENCY)},
        {&noun_team, "t", "queue_weight", "2", FEATURES_NONE},
        {&noun_provider, "p", "data_policy", "no_training", FEATURES_NONE},
        {&noun_provider, "p", "breaker", "{}", FEATURES_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        JSON_AUTO json_t *doc = json_pack("{s:s}", rows[i].member, rows[i].value);
        if (noun_needs(rows[i].noun, slice_str(rows[i].name), doc) != rows[i].needs)
            fail_msg("row %zu", i);
    }
}

static void a_member_of_a_target_may_need_a_feature_that_another_does_not(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        feature_set needs;
    } rows[] = {
        {"{\"provider\":\"prov_d\",\"model\":\"a\",\"region\":\"eu\"}", FEATURES_NONE},
        {"{\"model\":\"model_1\"}", FEATURE_BIT(FEATURE_ROUTING_RULES)},
        {"{\"provider\":\"prov_d\",\"model\":\"a\",\"when\":{}}",
         FEATURE_BIT(FEATURE_ROUTING_RULES)},
        {"{\"provider\":\"prov_d\",\"model\":\"a\",\"shadow\":0.1}",
         FEATURE_BIT(FEATURE_ROUTING_RULES)},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        JSON_AUTO json_t *doc = json_pack("{s:[o]}", "targets", parsed(rows[i].target));
        if (noun_needs(&noun_model, SLICE("m"), doc) != rows[i].needs)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_model_says_of_routing_becomes_its_normal_form),
        cmocka_unit_test(a_wrong_rule_of_routing_is_named),
        cmocka_unit_test(a_fault_has_one_scope_one_kind_and_an_end),
        cmocka_unit_test(models_lead_to_models_without_circles_and_not_too_deep),
        cmocka_unit_test(a_member_of_a_target_may_need_a_feature_that_another_does_not),
        cmocka_unit_test(names_with_hiding_or_reordering_characters_are_refused),
        cmocka_unit_test(a_document_becomes_its_normal_form),
        cmocka_unit_test(a_star_in_a_target_needs_one_in_the_name),
        cmocka_unit_test(an_exponent_is_read_only_where_a_number_was),
        cmocka_unit_test(a_keys_owner_is_its_agent_or_a_team_and_they_must_agree),
        cmocka_unit_test(a_key_is_not_made_expired_but_may_be_ended_by_its_time),
        cmocka_unit_test(no_url_leads_to_a_clouds_metadata),
        cmocka_unit_test(a_name_that_several_have_is_refused_as_a_reference),
        cmocka_unit_test(a_store_that_is_away_is_no_problem_of_the_document),
        cmocka_unit_test(problems_are_gathered_up_to_a_ceiling),
        cmocka_unit_test(reading_a_normal_form_again_changes_nothing),
        cmocka_unit_test(passthrough_is_granted_by_method_and_path),
        cmocka_unit_test(half_a_price_is_refused),
        cmocka_unit_test(a_providers_address_may_have_a_query),
        cmocka_unit_test(secrets_leave_the_document_under_their_entrys_id),
        cmocka_unit_test(an_entry_left_out_drops_its_secret_and_a_new_one_needs_its_own),
        cmocka_unit_test(another_host_gets_none_of_the_old_secrets),
        cmocka_unit_test(what_counts_as_another_host),
        cmocka_unit_test(a_providers_address_is_its_vendors_where_none_is_given),
        cmocka_unit_test(a_vendors_own_address_follows_the_vendor_and_clears_secrets),
        cmocka_unit_test(members_that_only_some_providers_have_are_refused_elsewhere),
        cmocka_unit_test(each_type_of_source_wants_what_it_needs_and_takes_nothing_else),
        cmocka_unit_test(a_secret_goes_with_its_source),
        cmocka_unit_test(what_a_machine_is_given_is_an_owners_to_set),
        cmocka_unit_test(a_session_token_goes_with_its_access_key),
        cmocka_unit_test(a_document_as_secret_is_kept_in_its_compact_form),
        cmocka_unit_test(rules_accept_what_they_document),
        cmocka_unit_test(merging_follows_the_rfcs_table),
        cmocka_unit_test(every_noun_is_complete),
        cmocka_unit_test(a_document_names_what_an_older_plane_would_not_understand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
