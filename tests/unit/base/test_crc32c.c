/* crc32c: the published vectors, by the processor and by the tables. */
#include "common/base/crc32c.h"

#include "tests/unit/base/unit.h"

static void both_give(struct slice in, uint32_t want)
{
    assert_int_equal(crc32c(in), want);
    assert_int_equal(crc32c_by_table(in), want);
}

UNIT(the_check_value_comes_out)
{
    both_give(SLICE("123456789"), 0xE3069283u);
    both_give(SLICE(""), 0);
}

/* RFC 3720, B.4; their bytes stand there in the order of the wire */
UNIT(the_vectors_of_iscsi_come_out)
{
    char bytes[32];
    memset(bytes, 0, sizeof(bytes));
    both_give(slice_of(bytes, sizeof(bytes)), 0x8A9136AAu);
    memset(bytes, 0xFF, sizeof(bytes));
    both_give(slice_of(bytes, sizeof(bytes)), 0x62A8AB43u);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    both_give(slice_of(bytes, sizeof(bytes)), 0x46DD794Eu);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(31 - i);
    both_give(slice_of(bytes, sizeof(bytes)), 0x113FDB5Cu);
}

UNIT(processor_and_tables_agree_at_every_length_and_place)
{
    char bytes[96];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 37 + 11);
    for (size_t from = 0; from < 9; from++)
        for (size_t len = 0; from + len <= sizeof(bytes); len++) {
            struct slice s = slice_of(bytes + from, len);
            assert_int_equal(crc32c(s), crc32c_by_table(s));
        }
}

UNIT(one_changed_bit_is_seen)
{
    char bytes[64] = {0};
    uint32_t before = crc32c(slice_of(bytes, sizeof(bytes)));
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_not_equal(crc32c(slice_of(bytes, sizeof(bytes))), before);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_value_comes_out),
        cmocka_unit_test(the_vectors_of_iscsi_come_out),
        cmocka_unit_test(processor_and_tables_agree_at_every_length_and_place),
        cmocka_unit_test(one_changed_bit_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
