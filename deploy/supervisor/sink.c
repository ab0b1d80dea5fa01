/*
 * sink — moves a process's output from its pipe into its log file; it reads no line of it.
 */
#define SINK_PIECE (64 * 1024) /* the pipe's own capacity: one read empties it */
#define SINK_TURN 16 /* pieces a turn, so that one busy process does not delay the others */

#include "deploy/supervisor/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"

static void open_file(struct sink *s)
{
    struct stat st;
    s->file = open(s->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    s->size = s->file >= 0 && fstat(s->file, &st) == 0 ? st.st_size : 0;
    if (s->file < 0)
        log_error(NULL, "log_not_opened", "path=%s error=%s", s->path, strerror(errno));
}

static void turn_over(struct sink *s)
{
    char old[sizeof(s->path) + 2];
    snprintf(old, sizeof(old), "%s.1", s->path);
    close(s->file);
    if (rename(s->path, old) != 0)
        log_error(NULL, "log_not_turned", "path=%s error=%s", s->path, strerror(errno));
    open_file(s);
}

enum err sink_open(struct sink *s, const char *folder, const char *name)
{
    if ((size_t)snprintf(s->path, sizeof(s->path), "%s/%s.log", folder, name) >= sizeof(s->path))
        return ERR_TOO_BIG;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return ERR_IO;
    s->read_end = ends[0];
    s->write_end = ends[1];
    /* only our end: the process may block on its own output, as it would on a terminal */
    if (fcntl(s->read_end, F_SETFL, O_NONBLOCK) != 0) {
        close(ends[0]);
        close(ends[1]);
        return ERR_IO;
    }
    open_file(s);
    return ERR_OK;
}

enum err sink_adopt(struct sink *s, const char *folder, const char *name, int read_end,
                    int write_end)
{
    bool fits =
        (size_t)snprintf(s->path, sizeof(s->path), "%s/%s.log", folder, name) < sizeof(s->path);
    if (!fits || fcntl(read_end, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(write_end, F_SETFD, FD_CLOEXEC) != 0) {
        close(read_end);
        close(write_end);
        return fits ? ERR_IO : ERR_TOO_BIG;
    }
    s->read_end = read_end;
    s->write_end = write_end;
    open_file(s);
    return ERR_OK;
}

static void put(struct sink *s, const char *at, size_t len)
{
    if (s->file >= 0 && s->size >= SINK_FILE_MAX)
        turn_over(s);
    while (len > 0 && s->file >= 0) {
        ssize_t n = write(s->file, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a full disk: the lines are lost, the process goes on */
        at += n;
        len -= (size_t)n;
        s->size += n;
    }
}

void sink_drain(struct sink *s)
{
    static char piece[SINK_PIECE];
    for (int i = 0; i < SINK_TURN; i++) {
        ssize_t n = read(s->read_end, piece, sizeof(piece));
        if (n <= 0)
            return;
        put(s, piece, (size_t)n);
    }
}

void sink_close(struct sink *s)
{
    sink_drain(s);
    close(s->read_end);
    close(s->write_end);
    if (s->file >= 0)
        close(s->file);
}
