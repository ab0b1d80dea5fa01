/*
 * spec — reads a stored document into the fields of a policy message.
 *
 * The document is normal form (domain/field.h), so nothing is judged again here; what is
 * absent stays absent. Texts are lent by the tree, lists come from the arena.
 *
 * Fails    NULL lists or ERR_NOMEM; ERR_INVALID for a stored value that does not parse.
 * Threads  one at a time.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/json.h"
#include "common/base/money.h"
#include "proto/policy.pb-c.h"

char *spec_text(const json_t *o, const char *name); /* NULL where absent */
bool spec_true(const json_t *o, const char *name);
/* 0 where absent, and then *has is false */
uint32_t spec_u32(const json_t *o, const char *name, protobuf_c_boolean *has);
MUST_USE enum err spec_texts(struct arena *a, const json_t *list, char ***ret, size_t *ret_count);
/* NULL where absent: a list that was not given differs from an empty one */
MUST_USE enum err spec_names(struct arena *a, const json_t *o, const char *name,
                             Gatehouse__NameList **ret);
/* kind_id: "key:" or "team:" and the id */
MUST_USE enum err spec_budget(struct arena *a, const json_t *o, const char *kind, const char *id,
                              Gatehouse__Budget **ret);
MUST_USE enum err spec_limits(struct arena *a, const json_t *o, Gatehouse__Limits **ret);
MUST_USE enum err spec_price(struct arena *a, const json_t *o, Gatehouse__Price **ret);
MUST_USE enum err spec_routes(struct arena *a, const json_t *o, Gatehouse__Route ***ret,
                              size_t *ret_count);
MUST_USE enum err spec_time(const json_t *o, const char *name, int64_t *ret_us); /* 0: absent */
