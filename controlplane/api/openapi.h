/*
 * openapi — the API's description (OpenAPI 3.1), derived from the route table and the nouns.
 *
 * The server accepts what a schema allows, and the reverse. Exceptions are rules that a schema
 * cannot express: whether a reference exists, rules over several members, reserved names, lengths
 * in bytes (x-gatehouse-max-bytes). tests/openapi holds the two together.
 *
 * Threads  job threads.
 */
#pragma once

#include "controlplane/api/route.h"
#include "controlplane/domain/noun.h"

/* A new tree; NULL: out of memory. */
json_t *openapi_document(const struct route *rows, size_t count);
/* A noun's whole document as JSON Schema 2020-12. */
json_t *openapi_noun(const struct noun *n);
/* What may be merged into it (RFC 7396): any part of it, null to take a member away. */
json_t *openapi_noun_patch(const struct noun *n);
