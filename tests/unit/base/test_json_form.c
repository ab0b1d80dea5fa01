/* json_form: what has the form is found in place, and anything else is not taken. */
#include "common/base/json.h"
#include "common/base/json_form.h"

#include "tests/unit/base/unit.h"

enum { KIND, COUNT, INNER, WORDS, LIST, NAME, FLAG, HITS };

static const struct json_form inner[] = {{"words", WORDS, NULL, false}, {NULL, 0, NULL, false}};
static const struct json_form item[] = {
    {"name", NAME, NULL, false}, {"flag", FLAG, NULL, false}, {NULL, 0, NULL, false}};
static const struct json_form form[] = {
    {"kind", KIND, NULL, false}, {"count", COUNT, NULL, false}, {"inner", INNER, inner, false},
    {"list", LIST, item, true},  {NULL, 0, NULL, false},
};

static void expect_text_of(const struct json_hit *hit, const char *want)
{
    struct json_form_room room = {.used = 0};
    struct slice got;
    assert_true(json_form_text(hit, &room, &got));
    expect_text(got, want);
}

UNIT(the_members_of_a_known_form_are_found_in_any_order)
{
    struct json_hit hits[HITS];
    uint64_t count;
    assert_true(json_form_match(
        SLICE(" { \"list\" : [ { \"flag\" : true , \"name\" : \"\\u00e9\\n\" } ] , \"count\" : 12,"
              "\"inner\":{\"words\":\"x \\\"y\\\"\"},\"kind\":\"k\" } \n"),
        form, hits, HITS));
    expect_text_of(&hits[KIND], "k");
    expect_text_of(&hits[WORDS], "x \"y\"");
    expect_text_of(&hits[NAME], "\xC3\xA9\n");
    assert_int_equal(hits[FLAG].type, JSON_SCAN_TRUE);
    assert_int_equal(json_scan_u64(&hits[COUNT], &count), ERR_OK);
    assert_int_equal(count, 12);

    assert_true(
        json_form_match(SLICE("{\"inner\":null,\"count\":-1,\"kind\":null}"), form, hits, HITS));
    assert_int_equal(hits[INNER].type, JSON_SCAN_NULL);
    assert_int_equal(hits[WORDS].type, JSON_SCAN_ABSENT);
    assert_int_equal(hits[COUNT].type, JSON_SCAN_NUMBER);
    assert_true(json_form_match(SLICE("{}"), form, hits, HITS));
    assert_int_equal(hits[KIND].type, JSON_SCAN_ABSENT);
}

UNIT(another_form_is_not_taken)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{\"kind\":\"k\"} x",
        "{\"kind\":\"k\",}",
        "{\"kind\":\"k\"",
        "{\"kind\"}",
        "{\"kind\":}",
        "{\"kind\" \"k\"}",
        "{\"other\":1}",
        "{\"kin\":1}",
        "{\"kinds\":1}",
        "{\"\":1}",
        "{\"k\\u0069nd\":1}",
        "{\"kind\":1,\"kind\":1}",
        "{\"kind\":{}}",
        "{\"kind\":[]}",
        "{\"inner\":[{}]}",
        "{\"inner\":{\"words\":1,\"words\":1}}",
        "{\"inner\":{\"kind\":1}}",
        "{\"list\":{}}",
        "{\"list\":[]}",
        "{\"list\":[{},{}]}",
        "{\"list\":[1]}",
        "{\"count\":1.5}",
        "{\"count\":1e3}",
        "{\"count\":01}",
        "{\"count\":1234567890123456789}",
        "{\"kind\":\"\\ud800\"}",
        "{\"kind\":\"\\u0000\"}",
        "{\"kind\":\"\xFF\"}",
        "{\"kind\":\"\t\"}",
        "{\"kind\":\"k}",
        "{\"kind\":nul}",
    };
    struct json_hit hits[HITS];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (json_form_match(slice_str(texts[i]), form, hits, HITS))
            fail_msg("%s was taken", texts[i]);
}

UNIT(a_text_with_escapes_that_is_longer_than_the_room_is_left_to_the_tree)
{
    char text[5000] = "{\"kind\":\"\\n";
    struct json_form_room room = {.used = 0};
    struct json_hit hits[HITS];
    struct slice got;
    size_t at = strlen(text);
    memset(text + at, 'a', 3000);
    memcpy(text + at + 3000, "\"}", 3);
    assert_true(json_form_match(slice_str(text), form, hits, HITS));
    assert_false(json_form_text(&hits[KIND], &room, &got));
    memcpy(text + at - 2, "aa", 2); /* without an escape it is lent */
    assert_true(json_form_match(slice_str(text), form, hits, HITS));
    assert_true(json_form_text(&hits[KIND], &room, &got));
    assert_int_equal(got.len, 3002);
    assert_int_equal(room.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_members_of_a_known_form_are_found_in_any_order),
        cmocka_unit_test(another_form_is_not_taken),
        cmocka_unit_test(a_text_with_escapes_that_is_longer_than_the_room_is_left_to_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
