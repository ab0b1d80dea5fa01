/*
 * form — the fields of a multipart/form-data body (RFC 7578, RFC 2046 section 5.1), found in place.
 *
 * Read strictly: two readers must not find two models in one body. Delimiters begin a line and end
 * it; a part has one Content-Disposition with one name, in a quoted string or a token; no field
 * that is looked for may stand twice; there is no preamble, and nothing but white space behind the
 * end.
 *
 * Fails    ERR_INVALID with *problem: one sentence.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/slice.h"

#define FORM_PARTS_MAX 64 /* OpenAI's largest form has sixteen images and a dozen fields */

/* The boundary out of a Content-Type; .ptr NULL: it is no form. */
struct slice form_boundary(struct slice content_type);

/* fn is given each part; `file` says that it has a file name. false: it has seen enough. */
MUST_USE enum err form_read(struct slice body, struct slice boundary,
                            bool (*fn)(void *arg, struct slice name, bool file, struct slice value),
                            void *arg, const char **problem);
