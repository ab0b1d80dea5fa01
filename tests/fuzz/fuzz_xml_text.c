/*
 * fuzz_xml_text — what is found lies in the document and can be made plain, unless a tag is in it;
 * a document that is taken is taken again with a comment behind it, and finds the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/xml_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const wants[] = {"a", "a/b", "ErrorResponse/Error/Code", "a/b/c", "a/b/c/d"};
    static const char tail[] = "<!-- x -->";
    struct slice found[ARRAY_LEN(wants)], again[ARRAY_LEN(wants)], plain;
    struct slice document = slice_of(data, size);
    if (xml_texts(document, wants, ARRAY_LEN(wants), found))
        return 0;
    char *longer = malloc(size + sizeof(tail)), *room = malloc(size + 1);
    must(longer && room, "no memory");
    memcpy(longer, data, size);
    memcpy(longer + size, tail, sizeof(tail) - 1);
    must(xml_texts(slice_of(longer, size + sizeof(tail) - 1), wants, ARRAY_LEN(wants), again) ==
             ERR_OK,
         "not taken with a comment behind it");
    for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
        must(!found[i].ptr == !again[i].ptr, "another element with a comment");
        if (!found[i].ptr)
            continue;
        must(slice_eq(found[i], again[i]), "another text with a comment");
        must(found[i].ptr >= document.ptr &&
                 found[i].ptr + found[i].len <= document.ptr + document.len,
             "outside");
        must(xml_plain(found[i], room, found[i].len, &plain) == ERR_OK, "no plain text");
        must(plain.len <= found[i].len, "longer than it was");
    }
    free(longer);
    free(room);
    return 0;
}
