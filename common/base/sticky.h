/*
 * sticky — what a model's calls are kept together by, so that they go to one target and credential
 * for as long as these are well.
 *
 * Threads  any; constant.
 */
#pragma once

#define STICKY_TABLE(X)                                                                            \
    X(SESSION, "session")                                                                          \
    X(PRINCIPAL, "principal")

enum sticky {
    STICKY_NONE,
#define STICKY_ENUM(name, word) STICKY_##name,
    STICKY_TABLE(STICKY_ENUM)
#undef STICKY_ENUM
        STICKY_COUNT
};
