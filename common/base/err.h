/*
 * err — the errors of a call, and the macros that every file needs.
 *
 * A returned `enum err` is an expected failure the caller must look at; a bug
 * ends the process through MUST(). Outputs named `ret` are written only on ERR_OK.
 */
#pragma once

#include <stddef.h>

/* name, sentence for a log line */
#define ERR_TABLE(X)                                                                               \
    X(OK, "no error")                                                                              \
    X(NOMEM, "out of memory")                                                                      \
    X(TOO_BIG, "larger than its ceiling")                                                          \
    X(INVALID, "malformed or out of range")                                                        \
    X(NOT_FOUND, "no such thing")                                                                  \
    X(EXISTS, "already there")                                                                     \
    X(EXHAUSTED, "nothing left to give")                                                           \
    X(AGAIN, "not now, later")                                                                     \
    X(CLOSED, "the other end is gone")                                                             \
    X(TIMEOUT, "took longer than allowed")                                                         \
    X(CONNECT, "connection refused or unreachable")                                                \
    X(TLS, "TLS handshake or certificate failed")                                                  \
    X(DNS, "name could not be resolved")                                                           \
    X(IO, "input or output failed")                                                                \
    X(DENIED, "not allowed")                                                                       \
    X(PROTOCOL, "the peer broke the protocol")                                                     \
    X(CANCELLED, "cancelled by its owner")                                                         \
    X(CONFLICT, "changed by another writer")                                                       \
    X(DATABASE, "the database refused or is away")

enum err {
#define ERR_ENUM(name, text) ERR_##name,
    ERR_TABLE(ERR_ENUM)
#undef ERR_ENUM
};

/* lower-case name ("too_big"), stable: it appears in logs and metrics */
const char *err_name(enum err e);
/* the sentence of the table */
const char *err_text(enum err e);

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define UNUSED __attribute__((unused))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* A bug: says where, then stops the process. The supervisor starts it again. */
#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (__builtin_expect(!(x), 0))                                                             \
            err_bug(__FILE__, __LINE__, #x);                                                       \
    } while (0)

_Noreturn void err_bug(const char *file, int line, const char *what);

/* How a bug is reported before the process stops; until it is set, as a line on stderr. The log
 * sets it, since it lies above this file. */
typedef void err_teller(const char *file, int line, const char *what);
void err_on_bug(err_teller *tell);
