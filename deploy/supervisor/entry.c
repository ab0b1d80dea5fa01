/*
 * entry — reads the process directory; it starts nothing.
 */
#include "deploy/supervisor/entry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

struct words {
    char **at;
    size_t used;
};

static enum err read_text(const char *path, char **ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    char *text = mem_zalloc(ENTRY_TEXT_MAX + 1);
    size_t len = 0;
    enum err e = text ? ERR_OK : ERR_NOMEM;
    while (e == ERR_OK) {
        ssize_t n = read(fd, text + len, ENTRY_TEXT_MAX + 1 - len);
        if (n <= 0) {
            e = n < 0 ? ERR_IO : ERR_OK;
            break;
        }
        len += (size_t)n;
        if (len > ENTRY_TEXT_MAX)
            e = ERR_TOO_BIG;
    }
    close(fd);
    if (e != ERR_OK) {
        mem_free(text);
        return e;
    }
    *ret = text;
    return ERR_OK;
}

static bool keep(struct words *w, char *word)
{
    if (w->used == ENTRY_WORDS_MAX)
        return false;
    w->at[w->used++] = word;
    return true;
}

/* "TERM 35" */
static bool read_stop(struct entry *e, const char *value)
{
    struct slice rest = slice_str(value), name;
    uint64_t seconds;
    slice_split(&rest, ' ', &name);
    if (slice_u64(rest, &seconds) != ERR_OK || seconds > ENTRY_GRACE_MAX)
        return false;
    if (slice_eq(name, SLICE("TERM")))
        e->stop_signal = SIGTERM;
    else if (slice_eq(name, SLICE("INT")))
        e->stop_signal = SIGINT;
    else
        return false;
    e->grace_s = (unsigned)seconds;
    return true;
}

/* "997 995" */
static bool read_user(struct entry *e, const char *value)
{
    struct slice rest = slice_str(value), uid;
    uint64_t u, g;
    slice_split(&rest, ' ', &uid);
    if (slice_u64(uid, &u) != ERR_OK || slice_u64(rest, &g) != ERR_OK || u == 0 || g == 0 ||
        u >= UINT32_MAX || g >= UINT32_MAX)
        return false;
    e->uid = (unsigned)u;
    e->gid = (unsigned)g;
    return true;
}

static bool read_line(struct entry *e, struct words *args, struct words *vars, char *line)
{
    char *value = strchr(line, ' ');
    if (!value)
        return false;
    *value++ = '\0';
    if (strcmp(line, "arg") == 0)
        return keep(args, value);
    if (strcmp(line, "env") == 0)
        return strchr(value, '=') && keep(vars, value);
    if (strcmp(line, "stop") == 0)
        return read_stop(e, value);
    if (strcmp(line, "user") == 0)
        return read_user(e, value);
    if (strcmp(line, "stamp") == 0) {
        e->stamp = value;
        return true;
    }
    return false;
}

static enum err read_lines(struct entry *e, const char *file)
{
    struct words args = {e->argv, 0};
    struct words vars = {e->envp, 0};
    char *rest = e->text;
    unsigned number = 0;
    for (char *line; (line = strsep(&rest, "\n"));) {
        number++;
        if (*line && !read_line(e, &args, &vars, line)) {
            log_error(NULL, "entry_malformed", "file=%s line=%u", file, number);
            return ERR_INVALID;
        }
    }
    if (args.used == 0 || e->argv[0][0] != '/') {
        log_error(NULL, "entry_without_program", "file=%s", file);
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* "40-dp-1": rank 40, name "dp-1" */
static enum err read_name(struct entry *e, const char *file)
{
    char *dash;
    unsigned long rank = strtoul(file, &dash, 10);
    if (dash == file || *dash != '-' || rank > 99 || !dash[1] ||
        strlen(dash + 1) >= sizeof(e->name)) {
        log_error(NULL, "entry_misnamed", "file=%s", file);
        return ERR_INVALID;
    }
    e->rank = (unsigned)rank;
    snprintf(e->name, sizeof(e->name), "%s", dash + 1);
    return ERR_OK;
}

enum err entry_read(const char *folder, const char *file, struct entry **ret)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, file) >= sizeof(path))
        return ERR_TOO_BIG;
    struct entry *e = mem_zalloc(sizeof(*e));
    if (!e)
        return ERR_NOMEM;
    list_init(&e->link);
    e->stamp = "";
    e->stop_signal = SIGTERM;
    e->grace_s = 10;
    enum err err = read_name(e, file);
    if (err == ERR_OK)
        err = read_text(path, &e->text);
    if (err == ERR_OK)
        err = read_lines(e, file);
    if (err != ERR_OK) {
        entry_free(e);
        return err;
    }
    *ret = e;
    return ERR_OK;
}

enum err entry_copy(const struct entry *from, const char *stamp, struct entry **ret)
{
    struct entry *e = mem_zalloc(sizeof(*e));
    char *text = mem_strdup(stamp);
    if (!e || !text) {
        mem_free(e);
        mem_free(text);
        return ERR_NOMEM;
    }
    *e = *from;
    list_init(&e->link);
    e->stamp = e->text = text;
    *ret = e;
    return ERR_OK;
}

void entry_free(struct entry *e)
{
    if (!e)
        return;
    list_remove(&e->link);
    mem_free(e->text);
    mem_free(e);
}

static int is_visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

enum err entry_read_all(const char *folder, struct list *into)
{
    struct dirent **names = NULL;
    int count = scandir(folder, &names, is_visible, alphasort);
    if (count < 0) {
        log_error(NULL, "entries_unreadable", "folder=%s error=%s", folder, strerror(errno));
        return ERR_IO;
    }
    enum err err = count > ENTRY_COUNT_MAX ? ERR_TOO_BIG : ERR_OK;
    for (int i = 0; i < count; i++) {
        struct entry *e = NULL;
        if (err == ERR_OK && entry_read(folder, names[i]->d_name, &e) == ERR_OK)
            list_push(into, &e->link);
        free(names[i]); /* scandir's own memory */
    }
    free(names);
    return err;
}

struct entry *entry_find(const struct list *entries, const char *name)
{
    LIST_EACH(entries, it)
    {
        struct entry *e = LIST_ITEM(it, struct entry, link);
        if (strcmp(e->name, name) == 0)
            return e;
    }
    return NULL;
}
