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

static bool describe(void *arg, struct slice name, bool file, struct slice value)
{
    char *to = arg;
    size_t n = strlen(to);
    snprintf(to + n, 256 - n, "%s%.*s%s=%.*s", n ? " " : "", SLICE_ARG(name), file ? "*" : "",
             SLICE_ARG(value));
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
        {"--x\nContent-Disposition: form-data; name=\"a\"\n\n1\n--x--", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char parts[256] = "";
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
    char parts[256] = "";
    assert_int_equal(form_read(slice_str(body), SLICE("x"), describe, parts, &problem),
                     ERR_INVALID);
    assert_string_equal(problem, "the form has too many parts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boundaries_are_read_strictly),
        cmocka_unit_test(parts_lie_between_delimiters),
        cmocka_unit_test(a_form_has_so_many_parts_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
