/*
 * failure_class — why an attempt failed, by the words that `retry.on` and `fallback.on` of a model
 * take. A set of them is a uint32_t with bit n for class n. Beside them `fallback.on` takes exact
 * status codes.
 *
 * Threads  any; constant.
 */
#pragma once

#include <stdint.h>

#define FAILURE_CLASS_TABLE(X)                                                                     \
    X(5XX, "5xx")                           /* a status of 500 and above */                        \
    X(RATE_LIMITED, "429")                  /* a ceiling of the provider */                        \
    X(TIMEOUT, "timeout")                   /* a deadline passed, or the response stopped */       \
    X(CONNECT, "connect")                   /* no connection, or it broke before a response */     \
    X(CREDENTIAL, "credential")             /* 401, 403: the provider does not take ours */        \
    X(CONTENT_REFUSED, "content_refused")   /* the provider's own filter */                        \
    X(CONTEXT_TOO_LONG, "context_too_long") /* the prompt does not fit its window */               \
    X(4XX, "4xx")                           /* any other status from 400 to 499 */

enum failure_class {
#define FAILURE_ENUM(name, word) FAILURE_##name,
    FAILURE_CLASS_TABLE(FAILURE_ENUM)
#undef FAILURE_ENUM
        FAILURE_COUNT
};

#define FAILURE_BIT(c) (UINT32_C(1) << (c))
/* What a call is tried again for at the same target, where `retry` does not say. */
#define FAILURE_RETRIED                                                                            \
    (FAILURE_BIT(FAILURE_5XX) | FAILURE_BIT(FAILURE_RATE_LIMITED) | FAILURE_BIT(FAILURE_TIMEOUT) | \
     FAILURE_BIT(FAILURE_CONNECT))
