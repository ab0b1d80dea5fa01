/*
 * option — a program's settings as one table: parser, --help and README come from it.
 *
 * A row names the flag (`--port-base`), the environment variable, the default, the
 * unit and one line of help. The command line wins over the environment, the
 * environment over the default. A secret has no flag, because every user of the machine can read
 * the arguments of a process: it is read from the environment, or its file has an option.
 *
 * Fails    ERR_INVALID after printing one sentence to stderr that names the option.
 * Threads  main, at start.
 */
#pragma once

#include <stdio.h>

#include "common/base/slice.h"

enum option_type {
    OPTION_TEXT,
    OPTION_U64,
    OPTION_BOOL,
    OPTION_SECRET, /* a text from the environment only; refused as an argument */
};

struct option {
    const char *name; /* without dashes */
    const char *env;  /* NULL: none */
    enum option_type type;
    const char *default_text; /* NULL: empty text, 0, false */
    const char *unit;         /* "ms", "bytes", "" */
    const char *help;
    size_t offset;     /* of const char *, uint64_t or bool in the settings struct; a secret is a text */
    uint64_t min, max; /* U64 only; max 0: no bound */
};

/* *want_help: --help was given and printed. Texts point into argv or environ. */
MUST_USE enum err option_read(const char *program, const char *about, const struct option *rows,
                              size_t count, int argc, char **argv, void *settings, bool *want_help);
void option_help(FILE *out, const char *program, const char *about, const struct option *rows,
                 size_t count);
