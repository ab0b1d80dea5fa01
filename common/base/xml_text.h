/*
 * xml_text — the texts of wanted elements of a small XML document, as the query APIs of AWS answer.
 *
 * One strict pass, nothing is built. Taken are a declaration at the front, elements with
 * attributes, text, comments, and the five named and the numeric character references. A document
 * with anything else is refused: a document type (and with it every other entity), CDATA,
 * processing instructions, invalid UTF-8, elements that do not end as they began, more than one
 * root, more than XML_DEPTH_MAX levels. A wanted element stands once, and holds no other element.
 *
 * A want is the way from the root, with "/" between the names, as they stand in the document: an
 * attribute xmlns changes nothing.
 *
 * Owns     nothing; what it finds are places in the document.
 * Fails    ERR_INVALID; *ret is then void.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/slice.h"

#define XML_DEPTH_MAX 16
#define XML_WAY_MAX 256 /* bytes of a want */

/* ret[i]: the text of wants[i] as it stands, references and all; .ptr NULL where there is none */
MUST_USE enum err xml_texts(struct slice document, const char *const *wants, size_t n,
                            struct slice *ret);
/* The text that was meant; out has as many bytes as raw. Comments in it are left out. */
MUST_USE enum err xml_plain(struct slice raw, char *out, size_t cap, struct slice *ret);
