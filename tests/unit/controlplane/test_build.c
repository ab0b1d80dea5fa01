/*
 * build — the generic builder writes what the hand-written ones wrote, byte for byte, and no row
 * or field of a noun is left out without saying so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/digest.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/policy/build.h"
#include "tests/unit/controlplane/build_golden.h"

#define PACKED_MAX (64 * 1024)

static enum err open_secret(void *arg, const char *owner, const char *slot, struct buf *plain)
{
    (void)arg;
    if (strstr(owner, "missing") || strstr(slot, "missing"))
        return ERR_NOT_FOUND;
    return buf_printf(plain, "secret of %s/%s", owner, slot);
}

static enum err build(struct builder *b, const char *noun, const char *text, char *hex)
{
    static uint8_t packed[PACKED_MAX];
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    JSON_AUTO json_t *spec = json_loads(text, 0, NULL);
    const struct build_row row = {.id = "x_1", .org = "org_1", .name = "", .spec = spec};
    assert_non_null(spec);
    enum err e = build_object(b, noun_find(noun), &row, &m);
    if (e == ERR_OK) {
        size_t len = gatehouse__policy_object__pack(&m, packed);
        digest_hex(slice_of(packed, len), hex);
    }
    builder_reset(b);
    return e;
}

static void each_document_gives_the_bytes_of_the_hand_written_builder(void **state)
{
    (void)state;
    static uint8_t packed[PACKED_MAX];
    static char hex[2 * PACKED_MAX + 1];
    struct builder b;
    assert_int_equal(builder_init(&b, open_secret, NULL), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        const struct golden *g = &golden[i];
        JSON_AUTO json_t *spec = json_loads(g->spec, 0, NULL);
        Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
        const struct build_row row = {.id = g->id,
                                      .org = "org_1",
                                      .name = g->name,
                                      .created_at = g->created_us,
                                      .spec = spec};
        m.has_revision = true;
        m.revision = 7;
        assert_int_equal(build_object(&b, noun_find(g->noun), &row, &m), ERR_OK);
        size_t len = gatehouse__policy_object__pack(&m, packed);
        digest_hex(slice_of(packed, len), hex);
        if (strcmp(hex, g->hex) != 0)
            fail_msg("row %zu (%s): %s\n  is  %s\n  was %s", i, g->id, g->spec, hex, g->hex);
        builder_reset(&b);
    }
    builder_fini(&b);
}

static void every_row_reaches_a_field_and_every_field_is_filled(void **state)
{
    (void)state;
    size_t count = 0;
    const struct noun *const *nouns = noun_all(&count);
    for (size_t i = 0; i < count; i++) {
        const char *gap = nouns[i]->kind != 0 ? build_gap(nouns[i]) : NULL;
        if (gap)
            fail_msg("%s: %s", nouns[i]->name, gap);
    }
}

static void a_stored_value_that_does_not_fit_is_refused_by_itself(void **state)
{
    (void)state;
    static const struct {
        const char *noun, *spec;
    } rows[] = {
        {"key", "{\"digest\":\"abc\"}"},
        {"key", "{\"digest\":\"zz\"}"},
        {"key", "{\"digest\":7}"},
        {"key", "{\"models\":\"all\"}"},
        {"key", "{\"models\":[7]}"},
        {"key", "{\"budget\":[]}"},
        {"key", "{\"budget\":{\"limit_usd\":\"much\"}}"},
        {"key", "{\"expires_at\":\"soon\"}"},
        {"key", "{\"limits\":{\"rpm\":\"60\"}}"},
        {"model", "{\"targets\":[\"demo\"]}"},
        {"provider", "{\"credentials\":[{\"name\":\"no id\"}]}"},
        {"grant", "{\"routes\":{}}"},
        {"model", "{\"targets\":[{\"model\":\"m\",\"when\":{\"headers\":[]}}]}"},
        {"model", "{\"targets\":[{\"model\":\"m\",\"when\":{\"headers\":{\"a\":1}}}]}"},
    };
    static char hex[2 * PACKED_MAX + 1];
    struct builder b;
    assert_int_equal(builder_init(&b, open_secret, NULL), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (build(&b, rows[i].noun, rows[i].spec, hex) != ERR_INVALID)
            fail_msg("%s %s", rows[i].noun, rows[i].spec);
    builder_fini(&b);
}

static const char routed[] =
    "{\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"prov_1\",\"model\":\"a\","
    "\"region\":\"eu\",\"capabilities\":[],\"shadow\":0.125,\"when\":{"
    "\"headers\":{\"x-tier\":\"gold\",\"x-two\":\"b\"},\"teams\":[\"team_1\"],"
    "\"hours\":{\"from\":\"08:00\",\"to\":\"18:00\",\"days\":[\"mon\",\"fri\"],"
    "\"utc_offset\":\"+01:00\"}}},{\"model\":\"model_2\"}],"
    "\"retry\":{\"attempts\":2,\"on\":[\"5xx\"]},\"fallback\":{\"on\":[]},"
    "\"max_price\":{\"output_per_mtok\":\"2.5\"}}";

static void what_a_model_says_of_routing_travels(void **state)
{
    (void)state;
    struct builder b;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    JSON_AUTO json_t *spec = json_loads(routed, 0, NULL);
    const struct build_row row = {.id = "x_1", .org = "org_1", .name = "m", .spec = spec};
    assert_int_equal(builder_init(&b, open_secret, NULL), ERR_OK);
    assert_int_equal(build_object(&b, noun_find("model"), &row, &o), ERR_OK);
    const Gatehouse__Model *m = o.model;
    const Gatehouse__Target *t = m->targets[0];
    assert_string_equal(t->provider_id, "prov_1");
    assert_string_equal(t->model, "a");
    assert_null(t->target_model_id);
    assert_string_equal(t->region, "eu");
    assert_true(t->capabilities_set); /* none, which is known */
    assert_int_equal(t->n_capabilities, 0);
    assert_int_equal(t->shadow_permille, 125);
    assert_int_equal(t->when->n_headers, 2);
    assert_string_equal(t->when->headers[0]->name, "x-tier");
    assert_string_equal(t->when->headers[0]->value, "gold");
    assert_string_equal(t->when->teams[0], "team_1");
    assert_int_equal(t->when->n_agents, 0);
    assert_string_equal(t->when->hours_to, "18:00");
    assert_string_equal(t->when->hours_days[1], "fri");
    assert_string_equal(t->when->hours_utc_offset, "+01:00");
    assert_string_equal(m->targets[1]->target_model_id, "model_2");
    assert_null(m->targets[1]->model);
    assert_null(m->targets[1]->provider_id);
    assert_int_equal(m->retry_attempts, 2);
    assert_string_equal(m->retry_on[0], "5xx");
    assert_true(m->fallback_on_set);
    assert_int_equal(m->n_fallback_on, 0);
    assert_false(m->has_capabilities_set); /* an absent list takes no byte */
    assert_false(m->has_max_price_input);
    assert_int_equal(m->max_price_output, 2500000);
    builder_fini(&b);
}

static void a_fault_travels_with_its_scope(void **state)
{
    (void)state;
    struct builder b;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    JSON_AUTO json_t *spec = json_loads("{\"scope\":{\"team\":\"team_1\"},\"provider\":\"prov_1\","
                                        "\"share\":0.2,\"fault\":{\"status\":503},"
                                        "\"until\":\"1970-01-01T00:00:01Z\"}",
                                        0, NULL);
    const struct build_row row = {.id = "x_1", .org = "org_1", .name = "drill", .spec = spec};
    assert_int_equal(builder_init(&b, open_secret, NULL), ERR_OK);
    assert_int_equal(build_object(&b, noun_find("fault"), &row, &o), ERR_OK);
    assert_string_equal(o.fault->scope_subject_kind, "team");
    assert_string_equal(o.fault->scope_subject_id, "team_1");
    assert_string_equal(o.fault->provider_id, "prov_1");
    assert_int_equal(o.fault->share_permille, 200);
    assert_int_equal(o.fault->fault_status, 503);
    assert_false(o.fault->has_fault_hang);
    assert_int_equal(o.fault->until_us, 1000000);
    builder_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_document_gives_the_bytes_of_the_hand_written_builder),
        cmocka_unit_test(every_row_reaches_a_field_and_every_field_is_filled),
        cmocka_unit_test(a_stored_value_that_does_not_fit_is_refused_by_itself),
        cmocka_unit_test(what_a_model_says_of_routing_travels),
        cmocka_unit_test(a_fault_travels_with_its_scope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
