/*
 * openapi — the API's description (OpenAPI 3.1), derived from the route table and the nouns.
 *
 * Threads  job threads.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum err openapi_get(struct call *c);
/* A new tree; NULL: out of memory. */
json_t *openapi_document(void);
/* The schema of one field or of a noun's whole document, as JSON Schema 2020-12. */
json_t *openapi_fields(const struct noun *n);
