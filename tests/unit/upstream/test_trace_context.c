/* trace — W3C traceparent, read as the recommendation says and written so that it reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/upstream/trace_context.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static enum err read_it(const char *text, struct slice *trace, struct slice *parent)
{
    return trace_read(slice_str(text), trace, parent);
}

static void a_traceparent_gives_trace_and_parent(void **state)
{
    struct slice trace, parent;
    (void)state;
    assert_int_equal(read_it("00-" TRACE "-" SPAN "-01", &trace, &parent), ERR_OK);
    assert_true(slice_eq(trace, SLICE(TRACE)));
    assert_true(slice_eq(parent, SLICE(SPAN)));
}

static void a_later_version_is_read_by_its_first_four_fields(void **state)
{
    struct slice trace, parent;
    (void)state;
    assert_int_equal(read_it("01-" TRACE "-" SPAN "-01-more", &trace, &parent), ERR_OK);
}

static void what_is_no_traceparent_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "00",
        "00-" TRACE,
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-01-more",
        "ff-" TRACE "-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "00-" TRACE "x-" SPAN "-01",
        "00-" TRACE "-" SPAN "-1",
    };
    struct slice trace, parent;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (read_it(rows[i], &trace, &parent) != ERR_INVALID)
            fail_msg("accepted: %s", rows[i]);
}

static void what_is_written_reads_back(void **state)
{
    char text[TRACE_HEADER_LEN + 1], span[17];
    struct slice trace, parent;
    (void)state;
    trace_span_id(span);
    assert_int_equal(trace_read(trace_header(TRACE, span, text), &trace, &parent), ERR_OK);
    assert_true(slice_eq(trace, SLICE(TRACE)));
    assert_true(slice_eq(parent, slice_str(span)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_traceparent_gives_trace_and_parent),
        cmocka_unit_test(a_later_version_is_read_by_its_first_four_fields),
        cmocka_unit_test(what_is_no_traceparent_is_refused),
        cmocka_unit_test(what_is_written_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
