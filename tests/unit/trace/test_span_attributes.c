/*
 * span_attributes — the table agrees with proto/usage.proto, gives no place twice, and is what
 * docs/span-attributes.md says. `test_span_attributes --write` writes that page anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/trace/span_attributes.h"
#include "proto/usage.pb-c.h"
#include "tests/kit/page.h"

#define PAGE "docs/span-attributes.md"

/* ---- the message ---- */

static const ProtobufCMessageDescriptor *message_of(const struct span_attribute *a)
{
    return a->of_tokens ? &gatehouse__tokens__descriptor : &gatehouse__span__descriptor;
}

static ProtobufCType wire_type(enum span_type type)
{
    static const ProtobufCType types[] = {
        [SPAN_TYPE_TEXT] = PROTOBUF_C_TYPE_STRING,    [SPAN_TYPE_COUNT] = PROTOBUF_C_TYPE_UINT64,
        [SPAN_TYPE_SMALL] = PROTOBUF_C_TYPE_UINT32,   [SPAN_TYPE_TIME] = PROTOBUF_C_TYPE_SINT64,
        [SPAN_TYPE_MONEY] = PROTOBUF_C_TYPE_SINT64,   [SPAN_TYPE_FLAG] = PROTOBUF_C_TYPE_BOOL,
        [SPAN_TYPE_TOKENS] = PROTOBUF_C_TYPE_MESSAGE, [SPAN_TYPE_EVENTS] = PROTOBUF_C_TYPE_MESSAGE,
    };
    return types[type];
}

static void every_row_is_a_field_of_the_message_by_number_name_and_type(void **state)
{
    (void)state;
    size_t count, span_fields = 0, token_fields = 0;
    const struct span_attribute *rows = span_attributes_all(&count);
    for (size_t i = 0; i < count; i++) {
        const struct span_attribute *a = &rows[i];
        if (a->type == SPAN_TYPE_OWN) {
            assert_int_equal(a->field, 0);
            continue;
        }
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field(message_of(a), a->field);
        if (!f || strcmp(f->name, a->name) != 0 || f->type != wire_type(a->type))
            fail_msg("%s: proto/usage.proto has no field %u of that name and type", a->name,
                     a->field);
        *(a->of_tokens ? &token_fields : &span_fields) += 1;
    }
    assert_int_equal(span_fields, gatehouse__span__descriptor.n_fields);
    assert_int_equal(token_fields, gatehouse__tokens__descriptor.n_fields);
}

static void no_column_no_member_and_no_otlp_name_stands_twice(void **state)
{
    (void)state;
    size_t count;
    const struct span_attribute *rows = span_attributes_all(&count);
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++) {
            const struct span_attribute *a = &rows[i], *b = &rows[k];
            if (a->column && b->column && strcmp(a->column, b->column) == 0)
                fail_msg("%s and %s have one column", a->name, b->name);
            if (a->otlp && b->otlp && strcmp(a->otlp, b->otlp) == 0)
                fail_msg("%s and %s have one OTLP name", a->name, b->name);
            if (a->shown && b->shown && a->of_tokens == b->of_tokens &&
                strcmp(a->shown, b->shown) == 0)
                fail_msg("%s and %s are one member", a->name, b->name);
        }
}

static void an_attribute_is_found_by_its_member(void **state)
{
    (void)state;
    assert_int_equal(span_attribute_shown("cost_usd")->field, SPAN_FIELD_cost_nano);
    assert_string_equal(span_attribute_shown("session")->column, "session_id");
    assert_null(span_attribute_shown("cost_nano"));
}

/* ---- the page ---- */

static const char *const type_names[] = {
    [SPAN_TYPE_TEXT] = "text",     [SPAN_TYPE_COUNT] = "count", [SPAN_TYPE_SMALL] = "number",
    [SPAN_TYPE_TIME] = "time",     [SPAN_TYPE_MONEY] = "money", [SPAN_TYPE_FLAG] = "flag",
    [SPAN_TYPE_TOKENS] = "object", [SPAN_TYPE_OWN] = "text",    [SPAN_TYPE_EVENTS] = "list",
};
static const char *const fold_names[] = {
    [SPAN_FOLD_DROPPED] = "left out",
    [SPAN_FOLD_KEYED] = "kept apart",
    [SPAN_FOLD_SUMMED] = "summed",
    [SPAN_FOLD_MADE] = "says that it is a sum",
};

static const char *or_dash(const char *text)
{
    return text && text[0] ? text : "–";
}

static void put_row(struct buf *out, const struct span_attribute *a)
{
    char words[128] = "";
    size_t n = 0;
    for (const char *p = a->words ? a->words : ""; *p; p++)
        n += (size_t)snprintf(words + n, sizeof(words) - n, *p == '|' ? ", " : "%c", *p);
    bool is_tokens = a->type == SPAN_TYPE_TOKENS;
    const char *shown = is_tokens ? a->name : a->shown;
    assert_int_equal(buf_printf(out, "| %s%s | %s | %s | %s%u | %s | %s | %s | %s%s%s |\n",
                                a->of_tokens ? "tokens." : "", shown ? shown : a->name,
                                type_names[a->type], or_dash(a->unit), a->of_tokens ? "28." : "",
                                a->field, or_dash(a->column), fold_names[a->fold], or_dash(a->otlp),
                                a->help, words[0] ? ": " : "", words),
                     ERR_OK);
}

static void write_page(struct buf *out)
{
    size_t count;
    const struct span_attribute *rows = span_attributes_all(&count);
    assert_int_equal(
        buf_append(out,
                   SLICE("# Span attributes\n\n"
                         "Written from `common/trace/span_attributes.h`; a test holds it"
                         " against the table.\n\n"
                         "A span is one call of one gate, or one attempt of it. *Member* is its"
                         " name in the admin API (`GET /admin/v1/spans`),\n*field* its number"
                         " in `proto/usage.proto`, *column* that of the table `spans`. *Folded*"
                         " says what becomes of it where a\ndata plane, short of room, keeps"
                         " calls as sums. A dash: it\nhas none; an attribute without a column or a "
                         "member of its own is named as in the message.\n\n"
                         "| member | type | unit | field | column | folded | OTLP | meaning |\n"
                         "| --- | --- | --- | --- | --- | --- | --- | --- |\n")),
        ERR_OK);
    for (size_t i = 0; i < count; i++)
        put_row(out, &rows[i]);
}

static void the_page_is_the_table(void **state)
{
    (void)state;
    page_is(PAGE, write_page);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_a_field_of_the_message_by_number_name_and_type),
        cmocka_unit_test(no_column_no_member_and_no_otlp_name_stands_twice),
        cmocka_unit_test(an_attribute_is_found_by_its_member),
        cmocka_unit_test(the_page_is_the_table),
    };
    if (argc > 1 && strcmp(argv[1], "--write") == 0)
        return page_write(PAGE, write_page);
    return cmocka_run_group_tests_name("span_attributes", tests, NULL, NULL);
}
