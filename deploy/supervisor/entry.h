/*
 * entry — what is to run: one file of the process directory, read into a struct.
 *
 * The file's name is `NN-name`: NN is the rank (low starts first and ends last), the rest names
 * the process. Its lines are
 *
 *   stamp TEXT          two entries with the same stamp are the same; another one means restart
 *   stop SIGNAL SECONDS the signal that ends it (TERM or INT), and when it is killed instead
 *   env NAME=VALUE      its whole environment, line by line
 *   arg TEXT            its argument vector, line by line; the first is the program's path
 *   user UID GID        the user it runs as, where that is not the supervisor's; never root
 *
 * Owns     its text; argv and envp point into it.
 * Fails    ERR_INVALID with one log line that names file and line; ERR_TOO_BIG; ERR_IO; ERR_NOMEM.
 * Threads  one.
 */
#pragma once

#include "common/base/list.h"
#include "common/base/slice.h"

#define ENTRY_NAME_MAX 64
#define ENTRY_WORDS_MAX 96         /* arguments, and variables, of one process */
#define ENTRY_TEXT_MAX (64 * 1024) /* a file of the directory */
#define ENTRY_COUNT_MAX 256        /* 64 data planes and their company, four times over */
#define ENTRY_GRACE_MAX 3600       /* seconds until the kill; longer is a slip of the pen */

struct entry {
    struct list link;
    unsigned rank;
    char name[ENTRY_NAME_MAX];
    const char *stamp;
    int stop_signal;
    unsigned grace_s;
    unsigned uid, gid; /* 0: the supervisor's own */
    char *argv[ENTRY_WORDS_MAX + 1];
    char *envp[ENTRY_WORDS_MAX + 1];
    char *text;
};

/* A copy of what names and ends a process: enough to end it, not to start it. */
MUST_USE enum err entry_copy(const struct entry *from, const char *stamp, struct entry **ret);
MUST_USE enum err entry_read(const char *folder, const char *file, struct entry **ret);
void entry_free(struct entry *e);
/* Every entry of the folder by rank and name, appended to `into`; files that start with a dot are
 * not looked at, a file that cannot be read is logged and left out. */
MUST_USE enum err entry_read_all(const char *folder, struct list *into);
struct entry *entry_find(const struct list *entries, const char *name);
