/*
 * sink — the log file behind a process: what it prints goes in, up to a size, then a new file.
 *
 * The process writes into a pipe; the supervisor moves the bytes into FOLDER/NAME.log. Past
 * SINK_FILE_MAX the file becomes NAME.log.1 (the one before is gone) and a new one begins, so a
 * chatty process costs two files' worth of disk and no more.
 *
 * Owns     both ends of the pipe and the file.
 * Fails    a file that cannot be opened or written loses its lines; the process never waits for it.
 * Threads  one.
 */
#pragma once

#include <sys/types.h>

#include "common/base/slice.h"

#define SINK_FILE_MAX (16 * 1024 * 1024) /* a week of a noisy demo; twice this lies on the disk */

struct sink {
    char path[4096];
    int read_end;
    int write_end; /* handed to the process as stdout and stderr */
    int file;
    off_t size;
};

MUST_USE enum err sink_open(struct sink *s, const char *folder, const char *name);
/* Over a pipe that is there already; its ends are taken, also on failure. */
MUST_USE enum err sink_adopt(struct sink *s, const char *folder, const char *name, int read_end,
                             int write_end);
void sink_drain(struct sink *s); /* moves what waits in the pipe; never blocks */
void sink_close(struct sink *s);
