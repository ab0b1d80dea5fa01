/*
 * fuzz_limit_headers — whatever a provider says of its limits: no wait is longer than a day,
 * nothing is said of what it did not say, and a duration that is written is read as what it was.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/upstream/limit_headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1790000000000000)

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void check(const struct limit_left *l)
{
    must(l->reset_us <= LIMIT_HEADERS_WAIT_MAX_US, "a reset of more than a day");
    must(l->is_said || !l->remaining, "what is left was not said");
}

/* Go's form, as OpenAI writes it. */
static void write_back(uint64_t us)
{
    char text[64];
    uint64_t read;
    us %= LIMIT_HEADERS_WAIT_MAX_US;
    int n =
        snprintf(text, sizeof(text), "%lluh%llum%llu.%06llus",
                 (unsigned long long)(us / 3600000000), (unsigned long long)(us / 60000000 % 60),
                 (unsigned long long)(us / 1000000 % 60), (unsigned long long)(us % 1000000));
    must(!limit_wait_read(slice_of(text, (size_t)n), NOW, &read) && read == us,
         "a duration is another one");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head h;
    struct slice rest = slice_of(data, size), line;
    struct limit_headers l;
    uint64_t us = 0;
    h = (struct http_head){.status = 200};
    while (h.header_count < LIMIT_HTTP_HEADERS && slice_split(&rest, '\n', &line)) {
        ptrdiff_t colon = slice_find(line, ':');
        if (colon <= 0)
            continue;
        struct slice name = slice_first(line, (size_t)colon);
        h.headers[h.header_count++] =
            (struct http_header){name, slice_trim(slice_from(line, name.len + 1))};
    }
    h.lengths = UINT64_MAX; /* any name may be there */
    limit_headers_read(&h, NOW, &l);
    check(&l.requests);
    check(&l.tokens);
    must(l.retry_us <= LIMIT_HEADERS_WAIT_MAX_US, "a wait of more than a day");
    if (!limit_wait_read(slice_of(data, size), NOW, &us))
        must(us <= LIMIT_HEADERS_WAIT_MAX_US, "a duration of more than a day");
    us = 0;
    for (size_t i = 0; i < size && i < 8; i++)
        us = us << 8 | data[i];
    write_back(us);
    return 0;
}
