/* xml_text — wanted texts of small documents; all that is not plain XML is refused. */
#include "common/base/xml_text.h"

#include <stdio.h>

#include "tests/unit/base/unit.h"

static const char *const wants[] = {"a/b", "a/c/d"};

UNIT(the_texts_of_wanted_elements_are_found)
{
    static const struct {
        const char *document, *b, *d; /* NULL: it is not there */
    } rows[] = {
        {"<a><b>x</b></a>", "x", NULL},
        {"<?xml version=\"1.0\" encoding='UTF-8'?>\n<a xmlns=\"urn:x\">\n<b>x</b> "
         "<c><d>y</d></c></a>\n",
         "x", "y"},
        {"<a><b/></a>", "", NULL},
        {"<a><b></b></a>", "", NULL},
        {"<a><b k='<'></b></a>", NULL, "refused"},
        {"<a><b k=\"v>\" l = 'w' >x</b ></a>", "x", NULL},
        {"<a><b>1 &lt; 2 &amp;&#x41;&#66;</b></a>", "1 < 2 &AB", NULL},
        {"<a><!-- <b>no</b> --><b>x<!-- y -->z</b></a><!-- end -->", "xz", NULL},
        {"<a><b>&#233;\xc3\xa9</b></a>", "\xc3\xa9\xc3\xa9", NULL},
        {"<z><b>x</b><c><d>y</d></c></z>", NULL, NULL},
        {"<a><c><b>x</b></c></a>", NULL, NULL},
        {"<a><c><e/></c><c><d>y</d></c></a>", NULL, "y"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice raw[2], plain;
        char room[64];
        const char *const want[] = {rows[i].b, rows[i].d};
        enum err e = xml_texts(slice_str(rows[i].document), wants, 2, raw);
        if (rows[i].d && strcmp(rows[i].d, "refused") == 0) {
            if (e != ERR_INVALID)
                fail_msg("%s", rows[i].document);
            continue;
        }
        for (size_t n = 0; n < 2; n++) {
            if (e || !raw[n].ptr != !want[n])
                fail_msg("%s: %zu", rows[i].document, n);
            if (!want[n])
                continue;
            assert_int_equal(xml_plain(raw[n], room, raw[n].len, &plain), ERR_OK);
            if (!slice_eq(plain, slice_str(want[n])))
                fail_msg("%s: %.*s", rows[i].document, SLICE_ARG(plain));
        }
    }
}

UNIT(what_is_no_plain_document_is_refused)
{
    static const char *const rows[] = {
        "",
        " ",
        "x",
        "<a>",
        "</a>",
        "<a></b>",
        "<a/><a/>",
        "<a></a>x",
        "x<a/>",
        "<a><b>1</b><b>2</b></a>", /* a wanted one twice */
        "<a><b><e/></b></a>",      /* with another inside */
        "<a><b>x<e/>y</b></a>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
        "<a>&e;</a>",
        "<a>&;</a>",
        "<a>& b</a>",
        "<a>&#0;</a>",
        "<a>&#xD800;</a>",
        "<a>&#x110000;</a>",
        "<a>&#99999999999;</a>",
        "<a><![CDATA[x]]></a>",
        "<a><?php x ?></a>",
        "<?xml version='1.0'?><?xml version='1.0'?><a/>",
        " <?xml version='1.0'?><a/>",
        "<a b></a>",
        "<a b=c></a>",
        "<a b='c'd='e'></a>",
        "<a><!-- a -- b --></a>",
        "<a><!-- </a>",
        "<1/>",
        "< a/>",
        "<a>\x01</a>",
        "<a>\xff</a>",
        "<a>\xed\xa0\x80</a>",
        "<a/",
        "<a",
        "<",
        "<1><2><3>",
        "<d><d><d><d><d><d><d><d><d><d><d><d><d><d><d><d><d/></d></d></d></d></d></d></d></d></d>"
        "</d></d></d></d></d></d></d>",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice raw[2];
        if (xml_texts(slice_str(rows[i]), wants, 2, raw) != ERR_INVALID)
            fail_msg("%s", rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_texts_of_wanted_elements_are_found),
        cmocka_unit_test(what_is_no_plain_document_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
