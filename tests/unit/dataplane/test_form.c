/* form — boundaries out of a Content-Type, parts out of a body, and what is no form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/ai/form.h"

static void boundaries_are_read_strictly(void **state)
{
    static const struct {
        const char *type, *boundary; /* NULL: it is no form */
    } rows[] = {
        {"multipart/form-data; boundary=xyz", "xyz"},
        {"Multipart/Form-Data;boundary=\"a b\"", "a b"},
        {"multipart/form-data; charset=utf-8; boundary=x", "x"},
        {"multipart/form-data", NULL},
        {"multipart/form-data; boundary=", NULL},
        {"multipart/form-data; boundary=x; boundary=y", NULL},
        {"multipart/form-data; boundary=\"x", NULL},
        {"multipart/form-data; boundary=x y", NULL},
        {"multipart/mixed; boundary=x", NULL},
        {"application/json", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice got = form_boundary(slice_str(rows[i].type));
        if (!rows[i].boundary ? got.ptr != NULL : !slice_eq(got, slice_str(rows[i].boundary)))
            fail_msg("%s: %.*s", rows[i].type, SLICE_ARG(got));
    }
}

#define PARTS_TEXT 8192

static bool describe(void *arg, const struct form_part *p)
{
    char *to = arg;
    size_t n = strlen(to);
    snprintf(to + n, PARTS_TEXT - n, "%s%.*s%s=%.*s%s", n ? " " : "", SLICE_ARG(p->name),
             p->file ? "*" : "", SLICE_ARG(p->value), p->whole ? "" : "…");
    return true;
}

#define HEAD(parameters) "--x\r\nContent-Disposition: form-data; " parameters "\r\n\r\n"

static void parts_lie_between_delimiters(void **state)
{
    static const struct {
        const char *body, *parts; /* NULL: it is refused */
    } rows[] = {
        {HEAD("name=\"a\"") "1\r\n--x--\r\n", "a=1"},
        {HEAD("name=a") "\r\n--x\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; "
                        "name=\"b\"; filename=\"f\"\r\n\r\n2\r\n3\r\n--x--",
         "a= b*=2\r\n3"},
        /* a longer word that begins like the delimiter is content */
        {HEAD("name=\"a\"") "1\r\n--xy\r\n--x--", "a=1\r\n--xy"},
        {"--x--", ""},
        {"pre\r\n" HEAD("name=\"a\"") "1\r\n--x--", NULL},
        {HEAD("name=\"a\"") "1", NULL},
        {HEAD("name=\"a\"") "1\r\n--x", NULL},
        {HEAD("filename=\"a\"") "1\r\n--x--", NULL},
        {HEAD("name=\"a\"; name=\"b\"") "1\r\n--x--", NULL},
        {HEAD("name=\"a\\\"b\"") "1\r\n--x--", NULL},
        {HEAD("name=\"\"") "1\r\n--x--", NULL},
        {"--x\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; "
         "name=\"b\"\r\n\r\n1\r\n--x--",
         NULL},
        {"--x\r\nContent-Type: text/plain\r\n\r\n1\r\n--x--", NULL},
        /* what is a line, a part or a name to one reader and not to another */
        {"--x\r\nX: y\nContent-Disposition: form-data; name=\"b\"\r\n"
         "Content-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--",
         NULL},
        {"--x\r\nContent-Disposition : form-data; name=\"a\"\r\n\r\n1\r\n--x--", NULL},
        {"--x\r\nContent-Disposition: form-data;\r\n name=\"a\"\r\n\r\n1\r\n--x--", NULL},
        {HEAD("name=\"a\"; name*=UTF-8''b") "1\r\n--x--", NULL},
        {"--x\r\n\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--", NULL},
        {HEAD("name=\"a\"") "--x\r\n" HEAD("name=\"b\"") "1\r\n--x--", NULL},
        {"--x\r\nX: y\r\n--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--",
         NULL},
        {HEAD("name=\"a\"") "1\r\n--x--\r\n" HEAD("name=\"b\"") "2\r\n--x--", NULL},
        /* ends of lines that nearly begin a delimiter */
        {HEAD("name=\"a\"") "\r\r\n-\r\n--\r\n--x\r\r\n--x-\r\n--x--\r\n \t\r\n",
         "a=\r\r\n-\r\n--\r\n--x\r\r\n--x-"},
        {HEAD("name=\"a\"") "--xy\r\n--x--", "a=--xy"},
        {"--x\nContent-Disposition: form-data; name=\"a\"\n\n1\n--x--", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char parts[PARTS_TEXT] = "";
        const char *problem = NULL;
        enum err e = form_read(slice_str(rows[i].body), SLICE("x"), describe, parts, &problem);
        bool fits =
            rows[i].parts ? !e && strcmp(parts, rows[i].parts) == 0 : e == ERR_INVALID && problem;
        if (!fits)
            fail_msg("%s\nis %s %s", rows[i].body, err_name(e), parts);
    }
}

static void a_form_has_so_many_parts_and_no_more(void **state)
{
    static char body[8192];
    const char *problem;
    (void)state;
    for (size_t i = 0; i <= FORM_PARTS_MAX; i++)
        strcat(body, HEAD("name=\"a\"") "1\r\n");
    strcat(body, "--x--");
    char parts[PARTS_TEXT] = "";
    assert_int_equal(form_read(slice_str(body), SLICE("x"), describe, parts, &problem),
                     ERR_INVALID);
    assert_string_equal(problem, "the form has too many parts");
}

/* ---- as it comes ---- */

static bool note(void *arg, const struct form_part *p)
{
    char *to = arg;
    size_t n = strlen(to);
    if (!p->whole)
        snprintf(to + n, PARTS_TEXT - n, "[%.*s%s ", SLICE_ARG(p->name), p->file ? "*" : "");
    else
        snprintf(to + n, PARTS_TEXT - n, "%.*s %llu]", SLICE_ARG(p->value),
                 (unsigned long long)(p->end - p->begin));
    return true;
}

static void pieces_of_any_length_say_the_same(void **state)
{
    static const char body[] = HEAD("name=\"model\"") "m\r\n" HEAD(
        "name=\"file\"; filename=\"f\"") "\r\n--x\r\r\n--\r\n--x-y\r\n" HEAD("name=\"b\"") "\r\n-"
                                                                                           "\r\n--"
                                                                                           "x--"
                                                                                           "\r\n";
    (void)state;
    for (size_t each = 1; each < sizeof(body); each++) {
        char parts[PARTS_TEXT] = "";
        struct form_scan s;
        form_scan_init(&s, SLICE("x"), note, parts);
        for (struct slice rest = slice_str(body); rest.len; rest = slice_from(rest, each)) {
            assert_false(form_scan_is_whole(&s) && rest.len > 2);
            if (form_scan_feed(&s, slice_first(rest, each)))
                fail_msg("%s in pieces of %zu", s.problem, each);
        }
        assert_true(form_scan_is_whole(&s));
        if (strcmp(parts, "[model m 1][file*  17][b \r\n- 3]") != 0)
            fail_msg("pieces of %zu: %s", each, parts);
    }
}

static void of_a_value_the_beginning_is_kept_and_of_a_file_nothing(void **state)
{
    char parts[PARTS_TEXT] = "", text[3 * FORM_VALUE_MAX];
    struct form_scan s;
    (void)state;
    memset(text, 'v', sizeof(text));
    form_scan_init(&s, SLICE("x"), note, parts);
    assert_int_equal(form_scan_feed(&s, SLICE(HEAD("name=a"))), ERR_OK);
    assert_int_equal(form_scan_feed(&s, slice_of(text, sizeof(text))), ERR_OK);
    assert_int_equal(form_scan_feed(&s, SLICE("\r\n--x--")), ERR_OK);
    assert_int_equal(strlen(parts), strlen("[a  768]") + FORM_VALUE_MAX);
}

static void a_head_without_an_end_is_no_head(void **state)
{
    char parts[PARTS_TEXT] = "";
    struct form_scan s;
    enum err e = ERR_OK;
    (void)state;
    form_scan_init(&s, SLICE("x"), note, parts);
    assert_int_equal(form_scan_feed(&s, SLICE("--x\r\nX: ")), ERR_OK);
    for (size_t i = 0; !e && i < 2 * FORM_HEAD_MAX; i++)
        e = form_scan_feed(&s, SLICE("a"));
    assert_int_equal(e, ERR_INVALID);
    assert_string_equal(s.problem, "the head of a part of the form is too long");
}

static void a_front_ends_in_a_part_that_is_not_whole(void **state)
{
    static const struct {
        const char *front, *parts; /* NULL: it is refused */
    } rows[] = {
        {HEAD("name=\"a\"") "1\r\n" HEAD("name=\"f\"; filename=\"x\"") "ab", "a=1 f*=ab…"},
        {HEAD("name=\"a\"") "1\r\n" HEAD("name=\"f\"") "ab\r\n--x", "a=1 f=ab\r\n--x…"},
        {HEAD("name=\"a\"") "1\r\n--x\r\nContent-Disp", "a=1"},
        {HEAD("name=\"a\"") "1\r\n--x--", "a=1"},
        {"--x", ""},
        {"--y", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char parts[PARTS_TEXT] = "";
        const char *problem;
        enum err e =
            form_read_front(slice_str(rows[i].front), SLICE("x"), describe, parts, &problem);
        if (rows[i].parts ? e || strcmp(parts, rows[i].parts) != 0 : e != ERR_INVALID)
            fail_msg("%s\nis %s %s", rows[i].front, err_name(e), parts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boundaries_are_read_strictly),
        cmocka_unit_test(parts_lie_between_delimiters),
        cmocka_unit_test(a_form_has_so_many_parts_and_no_more),
        cmocka_unit_test(pieces_of_any_length_say_the_same),
        cmocka_unit_test(of_a_value_the_beginning_is_kept_and_of_a_file_nothing),
        cmocka_unit_test(a_head_without_an_end_is_no_head),
        cmocka_unit_test(a_front_ends_in_a_part_that_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
