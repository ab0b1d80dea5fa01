/*
 * fuzz_bus — the head before a message of the bus: read where there is one, and what is written
 * again from it is the same bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/wire/bus_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static nng_msg *message(const uint8_t *data, size_t size)
{
    nng_msg *m;
    must(nng_msg_alloc(&m, 0) == 0 && nng_msg_append(m, data, size) == 0, "a message");
    return m;
}

static void is_same(nng_msg *m, const uint8_t *data, size_t size)
{
    must(m && nng_msg_len(m) == size && !memcmp(nng_msg_body(m), data, size), "the same bytes");
    nng_msg_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bus_request_head request;
    struct bus_reply_head reply;
    struct slice content;
    nng_msg *m = message(data, size);
    bool read = bus_request_read(m, &request, &content);
    must(!read || (request.number > 0 && request.oldest <= request.number), "numbers of requests");
    must(!read || content.len == size - BUS_REQUEST_HEAD, "the content is all behind the head");
    if (read)
        is_same(bus_request_write(&request, content), data, size);
    nng_msg_free(m);
    m = message(data, size);
    if (bus_reply_read(m, &reply, &content)) {
        must(reply.status == BUS_DONE || reply.status == BUS_GONE, "a status");
        is_same(bus_reply_write(&reply, content), data, size);
    }
    nng_msg_free(m);
    return 0;
}
