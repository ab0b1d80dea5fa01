/* json_out — members are written in order, with the commas between them. */
#include "common/base/json_out.h"
#include "tests/unit/base/unit.h"

UNIT(an_object_is_written_member_by_member)
{
    struct buf b;
    struct json_out o = {.to = &b};
    buf_init(&b, 4096);
    JSON_AUTO json_t *tree = json_pack("{s:[i,i]}", "list", 1, 2);

    json_out_begin(&o, NULL, '{');
    json_out_text(&o, "text", SLICE("a \"quoted\"\nline"));
    json_out_u64(&o, "count", 0);
    json_out_u64(&o, "large", UINT64_MAX);
    json_out_real(&o, "real", 0.1);
    json_out_bool(&o, "yes", true);
    json_out_begin(&o, "empty", '[');
    json_out_end(&o, ']');
    json_out_begin(&o, "list", '[');
    json_out_text(&o, NULL, SLICE("one"));
    json_out_begin(&o, NULL, '{');
    json_out_end(&o, '}');
    json_out_raw(&o, NULL, SLICE("null"));
    json_out_end(&o, ']');
    json_out_tree(&o, "tree", tree);
    json_out_name(&o, SLICE("a \"name\""));
    json_out_bool(&o, NULL, false);
    json_out_u64(&o, "last", 7);
    json_out_end(&o, '}');

    assert_int_equal(o.e, ERR_OK);
    expect_text(buf_slice(&b), "{\"text\":\"a \\\"quoted\\\"\\nline\",\"count\":0,"
                               "\"large\":18446744073709551615,\"real\":0.1,\"yes\":true,"
                               "\"empty\":[],\"list\":[\"one\",{},null],\"tree\":{\"list\":[1,2]},"
                               "\"a \\\"name\\\"\":false,\"last\":7}");
    buf_fini(&b);
}

UNIT(the_first_error_stays)
{
    struct buf b;
    struct json_out o = {.to = &b};
    buf_init(&b, 8);
    json_out_begin(&o, NULL, '[');
    json_out_text(&o, NULL, SLICE("longer than the buffer"));
    assert_int_equal(o.e, ERR_TOO_BIG);
    json_out_end(&o, ']');
    assert_int_equal(o.e, ERR_TOO_BIG);
    assert_int_equal(b.len, 1);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_written_member_by_member),
        cmocka_unit_test(the_first_error_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
