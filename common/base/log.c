/*
 * log — one line, built on the stack, written by one write(2).
 *
 * The keys come from the format, not from the formatted text: the blank before each
 * `key=` of the format is replaced by a mark of random characters before formatting. So
 * a value that holds " level=" stays a value, and no sender can forge a member.
 */
#include "common/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/escape.h"
#include "common/base/limits.h"

#define FORMAT_MAX 1024 /* formats are written by us; the longest has some 200 characters */
#define MARK_LEN 9      /* 0x1F and eight random characters */
#define TAIL ",\"truncated\":true}\n"

static struct {
    pthread_once_t once;
    char process[32];
    char mark[MARK_LEN + 1];
    bool readable;
} voice = {.once = PTHREAD_ONCE_INIT, .process = "gatehouse"};

_Atomic int log_least = LOG_INFO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static void prepare(void)
{
    uint8_t random[8];
    digest_random(random, sizeof(random));
    voice.mark[0] = 0x1F;
    digest_base62(slice_of(random, sizeof(random)), MARK_LEN - 1, voice.mark + 1);
    voice.readable = isatty(STDERR_FILENO) == 1;
}

static void tell_bug(const char *file, int line, const char *what)
{
    log_error(NULL, "bug", "file=%s line=%d what=%s", file, line, what);
}

/* before main, so that every bug is reported in the log's form */
__attribute__((constructor)) static void hear_of_bugs(void)
{
    err_on_bug(tell_bug);
}

void log_setup(const char *process_name, enum log_level least)
{
    pthread_once(&voice.once, prepare);
    voice.readable = isatty(STDERR_FILENO) == 1;
    snprintf(voice.process, sizeof(voice.process), "%s", process_name);
    atomic_store(&log_least, (int)least);
}

enum err log_level_parse(struct slice text, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (slice_eq(text, slice_str(level_names[i]))) {
            *ret = (enum log_level)i;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

/* ---- the line, with space kept for its end ---- */

struct line {
    char data[LIMIT_LOG_LINE];
    size_t len;
    bool cut;  /* something did not fit */
    bool lost; /* the formatted text was already cut */
};

#define LINE_ROOM (LIMIT_LOG_LINE - sizeof(TAIL))

static void put(struct line *l, struct slice s)
{
    if (s.len > LINE_ROOM - l->len) {
        l->cut = true;
        return;
    }
    memcpy(l->data + l->len, s.ptr, s.len);
    l->len += s.len;
}

/* escaped, cut at the last whole character that fits beside a closing quote */
static void put_value(struct line *l, struct slice s)
{
    while (s.len && !l->cut) {
        char text[ESCAPE_MAX];
        size_t len = escape_json(&s, text);
        if (len + 1 > LINE_ROOM - l->len)
            l->cut = true;
        else
            put(l, slice_of(text, len));
    }
}

static void put_member(struct line *l, struct slice name, struct slice value, bool bare)
{
    /* name, quotes, colon and comma; a member that cannot begin is left out whole */
    if (l->cut || name.len + 8 + (bare ? value.len : 0) > LINE_ROOM - l->len) {
        l->cut = true;
        return;
    }
    put(l, l->len > 1 ? SLICE(",\"") : SLICE("\""));
    put(l, name);
    put(l, bare ? SLICE("\":") : SLICE("\":\""));
    if (bare) {
        put(l, value);
        return;
    }
    put_value(l, value);
    l->data[l->len++] = '"'; /* put_value kept the space for it */
}

/* ---- the format's keys ---- */

struct field {
    struct slice name; /* empty: text before the first key */
    bool number;       /* the value is exactly one integer conversion */
};

#define FIELDS_MAX 32

struct fields {
    struct field row[FIELDS_MAX];
    size_t count;
    char format[FORMAT_MAX];
};

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* length of the key before '=' at p, or 0 */
static size_t key_length(const char *p)
{
    size_t n = 0;
    while (is_key_char(p[n]))
        n++;
    return p[n] == '=' ? n : 0;
}

/* "%u", "%zu", "%" PRIu64: JSON readers get these as numbers */
static bool is_number_format(const char *p)
{
    if (*p++ != '%')
        return false;
    p += strspn(p, "lzhj");
    return (*p == 'd' || *p == 'i' || *p == 'u') && (p[1] == '\0' || p[1] == ' ');
}

static void add_field(struct fields *f, const char *name, size_t len)
{
    MUST(f->count < FIELDS_MAX);
    f->row[f->count++] = (struct field){slice_of(name, len), is_number_format(name + len + 1)};
}

static void read_format(const char *fmt, struct fields *f)
{
    size_t out = 0;
    f->count = 0;
    size_t first = key_length(fmt);
    if (first)
        add_field(f, fmt, first);
    else if (*fmt)
        f->row[f->count++] = (struct field){SLICE_NONE, false};
    for (const char *p = fmt; *p; p++) {
        MUST(out + MARK_LEN + 1 < sizeof(f->format));
        size_t key = *p == ' ' ? key_length(p + 1) : 0;
        if (!key) {
            f->format[out++] = *p;
            continue;
        }
        add_field(f, p + 1, key);
        memcpy(f->format + out, voice.mark, MARK_LEN);
        out += MARK_LEN;
    }
    f->format[out] = '\0';
}

/* one field's text off the front of the formatted text */
static struct slice take_field(struct slice *rest)
{
    ptrdiff_t at = slice_search(*rest, slice_of(voice.mark, MARK_LEN));
    struct slice text = at < 0 ? *rest : slice_first(*rest, (size_t)at);
    *rest = at < 0 ? SLICE_NONE : slice_from(*rest, (size_t)at + MARK_LEN);
    return text;
}

static struct slice without_key(const struct field *f, struct slice text)
{
    return f->name.len ? slice_from(text, f->name.len + 1) : text;
}

/* ---- the two looks ---- */

static void write_json(struct line *l, enum log_level level, const struct log_ctx *ctx,
                       const char *event, const struct fields *f, struct slice text)
{
    char when[CLOCK_TEXT_MAX];
    put(l, SLICE("{"));
    put_member(l, SLICE("ts"), clock_format(clock_wall_us(), when), false);
    put_member(l, SLICE("level"), slice_str(level_names[level]), false);
    put_member(l, SLICE("process"), slice_str(voice.process), false);
    if (ctx && ctx->component)
        put_member(l, SLICE("component"), slice_str(ctx->component), false);
    put_member(l, SLICE("event"), slice_str(event), false);
    if (ctx && ctx->request_id.len)
        put_member(l, SLICE("request_id"), ctx->request_id, false);
    if (ctx && ctx->session_id.len)
        put_member(l, SLICE("session_id"), ctx->session_id, false);
    for (size_t i = 0; i < f->count && text.ptr; i++) {
        struct slice value = without_key(&f->row[i], take_field(&text));
        put_member(l, f->row[i].name.len ? f->row[i].name : SLICE("text"), value,
                   f->row[i].number && value.len);
    }
    struct slice end = l->cut || l->lost ? SLICE(TAIL) : SLICE("}\n");
    memcpy(l->data + l->len, end.ptr, end.len);
    l->len += end.len;
}

static void write_readable(struct line *l, enum log_level level, const struct log_ctx *ctx,
                           const char *event, const struct fields *f, struct slice text)
{
    static const char *const marks[] = {"debug", "info ", "WARN ", "ERROR"};
    char when[CLOCK_TEXT_MAX];
    put(l, slice_first(slice_from(clock_format(clock_wall_us(), when), 11), 12));
    put(l, SLICE(" "));
    put(l, slice_str(marks[level]));
    put(l, SLICE(" "));
    put(l, slice_str(voice.process));
    if (ctx && ctx->component) {
        put(l, SLICE("/"));
        put(l, slice_str(ctx->component));
    }
    put(l, SLICE(" "));
    put(l, slice_str(event));
    for (size_t i = 0; i < f->count && text.ptr; i++) {
        put(l, SLICE(" "));
        put_value(l, take_field(&text));
    }
    if (ctx && ctx->request_id.len) {
        put(l, SLICE(" request_id="));
        put_value(l, ctx->request_id);
    }
    struct slice end = l->cut || l->lost ? SLICE(" [cut]\n") : SLICE("\n");
    memcpy(l->data + l->len, end.ptr, end.len);
    l->len += end.len;
}

void log_line(enum log_level level, const struct log_ctx *ctx, const char *event, const char *fmt,
              ...)
{
    if ((int)level < atomic_load_explicit(&log_least, memory_order_relaxed))
        return;
    pthread_once(&voice.once, prepare);
    int saved = errno; /* callers log between a failing call and the look at its errno */
    struct fields fields;
    read_format(fmt, &fields);

    char text[LIMIT_LOG_LINE];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fields.format, args);
    va_end(args);
    MUST(len >= 0);

    struct line line; /* 8 KiB: set by hand, not zeroed */
    line.len = 0;
    line.cut = false;
    line.lost = (size_t)len >= sizeof(text);
    size_t kept = line.lost ? sizeof(text) - 1 : (size_t)len;
    if (voice.readable)
        write_readable(&line, level, ctx, event, &fields, slice_of(text, kept));
    else
        write_json(&line, level, ctx, event, &fields, slice_of(text, kept));
    /* A failing write to the log cannot be reported anywhere else. */
    ssize_t written UNUSED = write(STDERR_FILENO, line.data, line.len);
    errno = saved;
}
