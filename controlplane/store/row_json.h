/*
 * row_json — columns of a result as members of an object; what is NULL is left out.
 *
 * Owns     nothing.
 * Threads  any.
 */
#pragma once

#include "common/base/json.h"
#include "controlplane/store/db.h"

void row_text(json_t *o, const char *name, const struct db_result *r, size_t row, int col);
void row_int(json_t *o, const char *name, const struct db_result *r, size_t row, int col);
/* RFC 3339, UTC */
void row_time(json_t *o, const char *name, const struct db_result *r, size_t row, int col);
/* nano-dollars as dollars with nine decimals */
void row_money(json_t *o, const char *name, const struct db_result *r, size_t row, int col);
/* Five columns from col on as the member `tokens`. */
void row_tokens(json_t *o, const struct db_result *r, size_t row, int col);
