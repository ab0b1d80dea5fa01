/*
 * option — default, then environment, then command line; the later one wins.
 */
#include "common/base/option.h"

#include <inttypes.h>
#include <stdlib.h>

static enum err complain(const char *program, const struct option *row, const char *what)
{
    fprintf(stderr, "%s: --%s %s\n", program, row->name, what);
    return ERR_INVALID;
}

static enum err set_u64(const char *program, const struct option *row, const char *text,
                        uint64_t *field)
{
    uint64_t value;
    if (slice_u64(slice_str(text), &value))
        return complain(program, row, "wants a whole number");
    if (value < row->min || (row->max && value > row->max)) {
        fprintf(stderr, "%s: --%s must lie between %" PRIu64 " and %" PRIu64 "\n", program,
                row->name, row->min, row->max ? row->max : UINT64_MAX);
        return ERR_INVALID;
    }
    *field = value;
    return ERR_OK;
}

static enum err set_bool(const char *program, const struct option *row, const char *text,
                         bool *field)
{
    struct slice s = slice_str(text);
    if (slice_ieq(s, SLICE("true")) || slice_ieq(s, SLICE("yes")) || slice_eq(s, SLICE("1")))
        *field = true;
    else if (slice_ieq(s, SLICE("false")) || slice_ieq(s, SLICE("no")) || slice_eq(s, SLICE("0")))
        *field = false;
    else
        return complain(program, row, "wants true or false");
    return ERR_OK;
}

static enum err set(const char *program, const struct option *row, const char *text, void *settings)
{
    void *field = (char *)settings + row->offset;
    switch (row->type) {
    case OPTION_U64:
        return set_u64(program, row, text, field);
    case OPTION_BOOL:
        return set_bool(program, row, text, field);
    case OPTION_TEXT:
    case OPTION_SECRET:
        memcpy(field, &text, sizeof(text));
        return ERR_OK;
    }
    return ERR_INVALID;
}

static enum err set_default(const char *program, const struct option *row, void *settings)
{
    const char *text = row->default_text;
    if (!text)
        text = row->type == OPTION_U64 ? NULL : row->type == OPTION_BOOL ? "false" : "";
    if (text)
        return set(program, row, text, settings);
    /* no default: 0, even below the row's minimum, so the program can tell that it was not set */
    memset((char *)settings + row->offset, 0, sizeof(uint64_t));
    return ERR_OK;
}

static enum err set_environment(const char *program, const struct option *row, void *settings)
{
    const char *text = row->env ? getenv(row->env) : NULL;
    if (!text || !*text) /* set but empty means not set, as in a compose file */
        return ERR_OK;
    enum err e = set(program, row, text, settings);
    if (e)
        fprintf(stderr, "%s: (the value came from the environment variable %s)\n", program,
                row->env);
    return e;
}

static const struct option *find(const struct option *rows, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(slice_str(rows[i].name), name))
            return &rows[i];
    }
    return NULL;
}

/* one argument, or two; *at moves behind them */
static enum err set_argument(const char *program, const struct option *rows, size_t count, int argc,
                             char **argv, int *at, void *settings)
{
    const char *word = argv[(*at)++];
    if (strncmp(word, "--", 2) != 0) {
        fprintf(stderr, "%s: did not expect \"%s\"; --help lists the options\n", program, word);
        return ERR_INVALID;
    }
    const char *equals = strchr(word, '=');
    struct slice name =
        equals ? slice_of(word + 2, (size_t)(equals - word - 2)) : slice_str(word + 2);
    const struct option *row = find(rows, count, name);
    if (!row) {
        fprintf(stderr, "%s: --%.*s is not an option; --help lists them\n", program,
                SLICE_ARG(name));
        return ERR_INVALID;
    }
    if (row->type == OPTION_SECRET) {
        fprintf(stderr, "%s: --%s is read from the environment only (%s): arguments are public\n",
                program, row->name, row->env);
        return ERR_INVALID;
    }
    if (equals)
        return set(program, row, equals + 1, settings);
    if (row->type == OPTION_BOOL)
        return set(program, row, "true", settings);
    if (*at == argc)
        return complain(program, row, "wants a value");
    return set(program, row, argv[(*at)++], settings);
}

static bool asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

enum err option_read(const char *program, const char *about, const struct option *rows,
                     size_t count, int argc, char **argv, void *settings, bool *want_help)
{
    *want_help = asks_help(argc, argv);
    if (*want_help) {
        option_help(stdout, program, about, rows, count);
        return ERR_OK;
    }
    for (size_t i = 0; i < count; i++) {
        enum err e = set_default(program, &rows[i], settings);
        if (!e)
            e = set_environment(program, &rows[i], settings);
        if (e)
            return e;
    }
    for (int at = 1; at < argc;) {
        enum err e = set_argument(program, rows, count, argc, argv, &at, settings);
        if (e)
            return e;
    }
    return ERR_OK;
}

static void help_row(FILE *out, const struct option *row)
{
    static const char *const values[] = {" TEXT", " N", "", ""};
    const char *dashes = row->type == OPTION_SECRET ? "" : "--";
    int used = fprintf(out, "  %s%s%s", dashes, row->name, values[row->type]);
    fprintf(out, "%*s%s", used < 28 ? 28 - used : 2, "", row->help);
    if (row->unit && *row->unit)
        fprintf(out, ", in %s", row->unit);
    if (row->type == OPTION_U64 && row->max)
        fprintf(out, ", %" PRIu64 " to %" PRIu64, row->min, row->max);
    else if (row->type == OPTION_U64 && row->min)
        fprintf(out, ", from %" PRIu64, row->min);
    if (row->default_text && *row->default_text)
        fprintf(out, " (default %s)", row->default_text);
    if (row->env)
        fprintf(out, row->type == OPTION_SECRET ? " [%s, no option]" : " [%s]", row->env);
    fputc('\n', out);
}

void option_help(FILE *out, const char *program, const char *about, const struct option *rows,
                 size_t count)
{
    fprintf(out, "%s — %s\n\nUsage: %s [options]\n\n", program, about, program);
    for (size_t i = 0; i < count; i++)
        help_row(out, &rows[i]);
    fprintf(out, "  --help                    this text\n");
}
