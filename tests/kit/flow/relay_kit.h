/*
 * relay_kit — what every gate that relays bodies has in common, as scenarios that a test begins
 * with: which paths go through, bodies at the pace of the other side, a client that leaves.
 *
 * All of it asks as "alice", of upstream 0, whose script the test may not have begun.
 *
 * Fails    by cmocka, which names the row.
 * Threads  one, as flow.h.
 */
#pragma once

#include "tests/kit/flow/flow.h"

struct route_row {
    const char *method, *path;
    unsigned status;
    const char *code; /* of a refusal */
    const char *line; /* what the upstream was asked; NULL: it was not */
};

void expect_routes(struct flow *k, const struct route_row *rows, size_t n);
/* A large upload to an upstream that does not read yet: the client waits, and nothing is lost. */
void expect_upload_waits(struct flow *k, const char *path);
/* "hello, there" in chunks arrives as it was said. */
void expect_chunks_pass(struct flow *k, const char *path);
/* A client that leaves inside a response takes the upstream's connection with it. */
void expect_leaving_is_passed_on(struct flow *k, const char *path);
