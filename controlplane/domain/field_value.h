/*
 * field_value — one value by its row, into its normal form. Inside the domain only.
 */
#pragma once

#include "controlplane/domain/field.h"

#define FIELD_POINTER_MAX 256

/* base + "/" + name, escaped by RFC 6901, cut at the ceiling */
void field_pointer(const char *base, const char *name, char out[static FIELD_POINTER_MAX]);
/* A new reference, or NULL after a problem at `at`. */
json_t *field_read_value(struct reading *r, const struct field *f, const json_t *given,
                         const json_t *old, const char *at);
