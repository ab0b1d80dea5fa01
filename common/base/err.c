/*
 * err — the two texts of each row, and the end of the process on a bug.
 */
#include "common/base/err.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_LEN 16

/* Written in capitals by the table, turned to lower case before main: no second list to forget. */
static char names[][NAME_MAX_LEN] = {
#define ERR_NAME(name, text) #name,
    ERR_TABLE(ERR_NAME)
#undef ERR_NAME
};

static const char *const texts[] = {
#define ERR_SENTENCE(name, text) text,
    ERR_TABLE(ERR_SENTENCE)
#undef ERR_SENTENCE
};

__attribute__((constructor)) static void lower_names(void)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (char *p = names[i]; *p; p++) {
            if (*p >= 'A' && *p <= 'Z')
                *p = (char)(*p | 0x20);
        }
    }
}

const char *err_name(enum err e)
{
    MUST((size_t)e < ARRAY_LEN(names));
    return names[e];
}

const char *err_text(enum err e)
{
    MUST((size_t)e < ARRAY_LEN(texts));
    return texts[e];
}

static _Atomic(err_teller *) teller;

void err_on_bug(err_teller *tell)
{
    atomic_store(&teller, tell);
}

void err_bug(const char *file, int line, const char *what)
{
    err_teller *tell = atomic_load(&teller);
    if (tell)
        tell(file, line, what);
    else
        fprintf(stderr, "bug at %s:%d: %s\n", file, line, what);
    abort();
}
