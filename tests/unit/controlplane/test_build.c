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
    };
    static char hex[2 * PACKED_MAX + 1];
    struct builder b;
    assert_int_equal(builder_init(&b, open_secret, NULL), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (build(&b, rows[i].noun, rows[i].spec, hex) != ERR_INVALID)
            fail_msg("%s %s", rows[i].noun, rows[i].spec);
    builder_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_document_gives_the_bytes_of_the_hand_written_builder),
        cmocka_unit_test(every_row_reaches_a_field_and_every_field_is_filled),
        cmocka_unit_test(a_stored_value_that_does_not_fit_is_refused_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
