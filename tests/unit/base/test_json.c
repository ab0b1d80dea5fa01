/* json: strict in, compact out, and nothing half-read when memory runs out. */
#include "common/base/json.h"

#include <stdio.h>

#include "common/base/limits.h"
#include "tests/unit/base/unit.h"

static json_t *tree(const char *text)
{
    json_t *got = NULL;
    struct json_problem problem;
    if (json_read(slice_str(text), &got, &problem))
        fail_msg("%s: %s", text, problem.text);
    return got;
}

static void expect_written(const char *in, const char *want, bool sorted)
{
    JSON_AUTO json_t *t = tree(in);
    struct buf b;
    buf_init(&b, 10000);
    assert_int_equal(sorted ? json_write_sorted(t, &b) : json_write(t, &b), ERR_OK);
    expect_text(buf_slice(&b), want);
    buf_fini(&b);
}

UNIT(what_is_read_is_written_compactly_in_its_order)
{
    expect_written(" { \"b\" : [ 1 , 2.5 , true , null ] , \"a\" : { } } ",
                   "{\"b\":[1,2.5,true,null],\"a\":{}}", false);
    expect_written("\"\\u00e9\\n\\u001f\"", "\"\xC3\xA9\\n\\u001f\"", false);
    expect_written("[]", "[]", false);
    expect_written("false", "false", false);
}

UNIT(sorted_means_every_object_by_name)
{
    expect_written("{\"b\":{\"z\":1,\"y\":2},\"a\":[{\"d\":1,\"c\":2}],\"aa\":0}",
                   "{\"a\":[{\"c\":2,\"d\":1}],\"aa\":0,\"b\":{\"y\":2,\"z\":1}}", true);
    expect_written("{}", "{}", true);
}

UNIT(reals_keep_the_spelling_they_came_with)
{
    expect_written("[0.1,0.7,1.0,-0.0,2.5e-8,1e300,0.30000000000000004,123456.789]",
                   "[0.1,0.7,1.0,-0.0,2.5e-08,1e+300,0.30000000000000004,123456.789]", false);
    expect_written("[9223372036854775807,-9223372036854775808]",
                   "[9223372036854775807,-9223372036854775808]", false);
}

/* Built here or by jansson: the same tree. */
UNIT(texts_of_every_kind_read_as_jansson_reads_them)
{
    static const char *const texts[] = {
        "{\"a\":[1,-2,0,-0,123456789012345678,1234567890123456789,-9223372036854775808]}",
        "[1.5,-0.0,1e3,1E+2,2.5e-8,0.1,1e-999,123456789.123456789012345678901234567890]",
        "0.00000000000000000000000000000000000000000000000000000000000000000000000001",
        " [ true , false , null , { } , [ ] , { \"\" : \"\" } ] \r\n\t",
        "{\"b\":1,\"a\":{\"\xC3\xA9\":\"\xF0\x9D\x84\x9E\",\"x\\u0041\":\"\\uD834\\uDD1E\\n\\/"
        "\\\"\"}}",
        "\"\x7F\"",
        "[\"\\u0001\\b\\f\\r\\t\\\\\"]",
    };
    json_error_t error;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        JSON_AUTO json_t *ours = tree(texts[i]);
        JSON_AUTO json_t *theirs = json_loads(texts[i], JSON_DECODE_ANY, &error);
        assert_non_null(theirs);
        if (!json_equal(ours, theirs))
            fail_msg("%s is read as another tree", texts[i]);
    }
}

UNIT(half_of_a_pair_a_name_that_stands_twice_and_loose_ends_are_refused)
{
    static const char *const texts[] = {
        "\"\\uD834\"",
        "\"\\uDD1E\"",
        "{\"a\\u0000\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "[1 2]",
        "[01]",
        "[1.]",
        "[+1]",
        "{1:2}",
        "tru",
        "\"\t\"",
        "[\"\xED\xA0\x80\"]",
        "1 2",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        json_t *got = NULL;
        struct json_problem problem;
        if (json_read(slice_str(texts[i]), &got, &problem) != ERR_INVALID)
            fail_msg("%s was read", texts[i]);
        assert_null(got);
    }
}

UNIT(a_refusal_says_what_and_where)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"{\"a\":1,\"a\":2}", "duplicate member \"a\""},
        {"{\"x\":{\"name\":1,\"na\\u006de\":2}}", "duplicate member"},
        {"{\"a\":", "ends too early"},
        {"", "(line 1"},
        {"{} x", "something stands behind the JSON text"},
        {"\"\xFF\"", "UTF-8"},
        {"\"\\u0000\"", "U+0000"},
        {"{\"\\u0000\":1}", "U+0000"},
        {"[1\n,,2]", "malformed (line 2, column 2)"},
        {"99999999999999999999", "out of range"},
        {"1e999", "out of range"},
        {"NaN", "malformed"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *got = NULL;
        struct json_problem problem;
        assert_int_equal(json_read(slice_str(rows[i].text), &got, &problem), ERR_INVALID);
        assert_null(got);
        if (!strstr(problem.text, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].text, problem.text, rows[i].says);
    }
    json_t *got = NULL;
    struct json_problem problem;
    assert_int_equal(json_read(slice_of("[1\0]", 4), &got, &problem), ERR_INVALID);
    assert_int_equal(json_read(SLICE_NONE, &got, &problem), ERR_INVALID);
}

UNIT(a_refusal_repeats_no_value)
{
    json_t *got = NULL;
    struct json_problem problem;
    assert_int_equal(json_read(SLICE("{\"key\": sk-verysecret}"), &got, &problem), ERR_INVALID);
    assert_null(strstr(problem.text, "secret"));
    assert_int_equal(json_read(SLICE("{\"key\": \"hidden\" \"verysecret\"}"), &got, &problem),
                     ERR_INVALID);
    assert_null(strstr(problem.text, "secret"));
}

UNIT(depth_ends_at_64)
{
    char text[200];
    json_t *got = NULL;
    struct json_problem problem;
    for (int depth = 64; depth <= 65; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        enum err e = json_read(slice_of(text, (size_t)depth * 2), &got, &problem);
        assert_int_equal(e, depth > LIMIT_JSON_DEPTH ? ERR_INVALID : ERR_OK);
        if (e)
            assert_non_null(strstr(problem.text, "deeper than 64"));
        else
            json_decref(got);
    }
    /* brackets in strings do not count */
    JSON_AUTO json_t *t =
        tree("[\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]");
    assert_int_equal(json_array_size(t), 1);
}

UNIT(a_tree_made_deeper_than_it_may_be_read_is_not_written)
{
    struct buf b;
    buf_init(&b, 1000);
    json_t *t = json_array();
    for (int i = 1; i < LIMIT_JSON_DEPTH; i++)
        t = json_pack("[o]", t);
    assert_int_equal(json_write(t, &b), ERR_OK);
    t = json_pack("[o]", t);
    buf_clear(&b);
    assert_int_equal(json_write(t, &b), ERR_INVALID);
    assert_int_equal(b.len, 0);
    json_decref(t);
    buf_fini(&b);
}

UNIT(members_are_read_and_set_as_text)
{
    JSON_AUTO json_t *t = tree("{\"s\":\"text\",\"n\":1,\"z\":null,\"e\":\"\"}");
    expect_text(json_text(t, "s"), "text");
    assert_null(json_text(t, "n").ptr);
    assert_null(json_text(t, "z").ptr);
    assert_null(json_text(t, "absent").ptr);
    assert_non_null(json_text(t, "e").ptr);
    assert_null(json_text(NULL, "s").ptr);
    json_set_text(t, "s", SLICE("new"));
    json_set_text(t, "n", SLICE_NONE);
    expect_text(json_text(t, "s"), "new");
    assert_true(json_is_integer(json_object_get(t, "n")));
    JSON_AUTO json_t *empty = json_from(SLICE_NONE);
    assert_string_equal(json_string_value(empty), "");
}

static const char sample[] =
    "{\"model\":\"m\",\"list\":[1,2.5,{\"deep\":[true,null,\"x\\u0041\"]}],"
    "\"long\":\"0123456789012345678901234567890123456789\",\"n\":12345}";

static enum err read_and_write(bool sorted)
{
    json_t *t = NULL;
    struct json_problem problem;
    enum err e = json_read(slice_str(sample), &t, &problem);
    if (e)
        return e;
    struct buf b;
    buf_init(&b, 10000);
    e = sorted ? json_write_sorted(t, &b) : json_write(t, &b);
    if (!e && !sorted)
        expect_text(buf_slice(&b),
                    "{\"model\":\"m\",\"list\":[1,2.5,{\"deep\":[true,null,\"xA\"]}],"
                    "\"long\":\"0123456789012345678901234567890123456789\","
                    "\"n\":12345}");
    buf_fini(&b);
    json_decref(t);
    return e;
}

UNIT(every_allocation_may_fail)
{
    EACH_ALLOCATION_FAILS(read_and_write(false));
    EACH_ALLOCATION_FAILS(read_and_write(true));
}

UNIT(a_full_buffer_is_left_as_it_was)
{
    JSON_AUTO json_t *t = tree(sample);
    for (size_t max = 1; max < 60; max++) {
        struct buf b;
        buf_init(&b, max);
        assert_int_equal(buf_append(&b, SLICE("k")), ERR_OK);
        assert_int_equal(json_write(t, &b), ERR_TOO_BIG);
        expect_text(buf_slice(&b), "k");
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_is_written_compactly_in_its_order),
        cmocka_unit_test(sorted_means_every_object_by_name),
        cmocka_unit_test(reals_keep_the_spelling_they_came_with),
        cmocka_unit_test(texts_of_every_kind_read_as_jansson_reads_them),
        cmocka_unit_test(half_of_a_pair_a_name_that_stands_twice_and_loose_ends_are_refused),
        cmocka_unit_test(a_refusal_says_what_and_where),
        cmocka_unit_test(a_refusal_repeats_no_value),
        cmocka_unit_test(depth_ends_at_64),
        cmocka_unit_test(a_tree_made_deeper_than_it_may_be_read_is_not_written),
        cmocka_unit_test(members_are_read_and_set_as_text),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_full_buffer_is_left_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
