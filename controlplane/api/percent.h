/*
 * percent — decodes path segments and query parts (RFC 3986 section 2.1), strictly.
 *
 * Fails    ERR_INVALID: a broken escape, a control character, or bytes that are no UTF-8.
 */
#pragma once

#include "common/base/buf.h"

/* Appends the decoded text to out and lends it in *ret. The caller has reserved capacity in
 * out, so that earlier slices stay valid. plus: '+' is a space (queries). */
MUST_USE enum err percent_decode(struct slice text, bool plus, struct buf *out, struct slice *ret);
