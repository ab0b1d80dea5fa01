/*
 * dialect_streams — how clients of each dialect ask for a stream, and how each provider streams a
 * response whose one word is "hi".
 *
 * Threads  one.
 */
#pragma once

#include "tests/kit/flow/flow.h"

/* How its client asks for a stream of the model "m". */
struct stream_client {
    const char *name, *path, *body;
    const char *start, *word; /* how its streams begin, once (NULL: nothing says so); the text */
    size_t home;              /* the provider that speaks its dialect */
};
#define STREAM_CLIENTS 6
extern const struct stream_client stream_clients[STREAM_CLIENTS];

struct stream_provider {
    const char *name, *dialect, *path, *type;
    const char *const *opens, *const *says; /* NULL-terminated; @ is the id of the response */
    bool of_responses; /* what the dialect's provider sends to clients of Responses alone */
};
#define STREAM_PROVIDERS 8
extern const struct stream_provider stream_providers[STREAM_PROVIDERS];

/* Does a call of this client reach this provider by the path that the row is about? */
bool stream_pair_fits(const struct stream_client *c, const struct stream_provider *p);

/* The script of an upstream: head and opening events; the word; what follows it, to the end. */
void stream_opens(struct flow *k, size_t upstream, const struct stream_provider *p, const char *id);
void stream_says(struct flow *k, size_t upstream, const struct stream_provider *p, const char *id);
void stream_goes_on(struct flow *k, size_t upstream, const struct stream_provider *p,
                    const char *id);
