/* row_json — each column's value in the form the admin API has for it. */
#include "controlplane/store/row_json.h"

#include "common/base/clock.h"
#include "common/base/money.h"

void row_text(json_t *o, const char *name, const struct db_result *r, size_t row, int col)
{
    if (!db_is_null(r, row, col))
        json_set_text(o, name, db_text(r, row, col));
}

void row_int(json_t *o, const char *name, const struct db_result *r, size_t row, int col)
{
    if (!db_is_null(r, row, col))
        json_object_set_new(o, name, json_integer((json_int_t)db_int(r, row, col)));
}

void row_time(json_t *o, const char *name, const struct db_result *r, size_t row, int col)
{
    char text[CLOCK_TEXT_MAX];
    if (!db_is_null(r, row, col))
        json_set_text(o, name, clock_format(db_time(r, row, col), text));
}

void row_money(json_t *o, const char *name, const struct db_result *r, size_t row, int col)
{
    char text[MONEY_TEXT_MAX];
    if (!db_is_null(r, row, col))
        json_set_text(o, name, money_format(db_int(r, row, col), text));
}

void row_tokens(json_t *o, const struct db_result *r, size_t row, int col)
{
    static const char *const names[] = {"input", "cache_read", "cache_write", "output",
                                        "reasoning"};
    json_t *tokens = json_object();
    for (int i = 0; i < (int)ARRAY_LEN(names); i++)
        row_int(tokens, names[i], r, row, col + i);
    if (json_object_size(tokens) > 0)
        json_object_set_new(o, "tokens", tokens);
    else
        json_decref(tokens);
}
