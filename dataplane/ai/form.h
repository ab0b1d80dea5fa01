/*
 * form — the parts of a multipart/form-data body (RFC 7578, RFC 2046 section 5.1): as the body
 * comes, or in a body that is there.
 *
 * Read strictly: two readers must not find two models in one body. Delimiters begin a line and end
 * it; the head of a part is lines of "name: value" and no more, with one Content-Disposition, which
 * has one name, in a quoted string or a token; there is no preamble, and nothing but white space
 * behind the end.
 *
 * Owns     a form_scan holds a part's head and the beginning of its value, whatever comes.
 * Fails    ERR_INVALID; the problem is one sentence.
 * Threads  any; pure.
 */
#pragma once

#include "common/base/slice.h"

#define FORM_PARTS_MAX 64    /* OpenAI's largest form has sixteen images and a dozen fields */
#define FORM_BOUNDARY_MAX 70 /* RFC 2046 */
#define FORM_HEAD_MAX 2048   /* of one part */
#define FORM_VALUE_MAX 256   /* what is kept of a value: names of models, words */

/* The boundary out of a Content-Type; .ptr NULL: it is no form. */
struct slice form_boundary(struct slice content_type);

struct form_part {
    struct slice name;   /* lent for the call */
    bool file;           /* it has a file name */
    bool whole;          /* its end has come */
    uint64_t begin, end; /* where its value lies in the body; end: once it is whole */
    struct slice value;  /* form_read: all there is of it. A scan: its beginning, once whole */
};

/* false: it has seen enough, and no more is looked at */
typedef bool form_part_fn(void *arg, const struct form_part *p);

/* ---- as it comes ---- */

enum form_state {
    FORM_BEGIN,   /* in the first boundary */
    FORM_LINE,    /* behind a delimiter: does it end its line, or the form? */
    FORM_HEAD,    /* of a part */
    FORM_VALUE,   /* of a part */
    FORM_END,     /* behind the last delimiter */
    FORM_STOPPED, /* enough was seen */
    FORM_WRONG
};

struct form_scan {
    enum form_state state;
    form_part_fn *fn;
    void *arg;
    const char *problem; /* NULL: none */
    uint64_t at;         /* bytes that were read */
    size_t parts;
    struct form_part part;
    size_t matched; /* bytes of the delimiter that stand at the end of what was read */
    bool bare;      /* nothing of the value was read, not even the end of a line */
    char behind;    /* the first byte behind a delimiter; 0: it has not come */
    size_t delimiter_len, head_len, value_len;
    char delimiter[FORM_BOUNDARY_MAX + 4];
    char head[FORM_HEAD_MAX], value[FORM_VALUE_MAX];
};

/* `boundary` as form_boundary gave it. fn is given each part twice: when its head is read, and when
 * it is whole. */
void form_scan_init(struct form_scan *s, struct slice boundary, form_part_fn *fn, void *arg);
MUST_USE enum err form_scan_feed(struct form_scan *s, struct slice piece);
bool form_scan_is_whole(const struct form_scan *s);

/* ---- a body that is there ---- */

/* fn is given each part once, with its name and value in place. */
MUST_USE enum err form_read(struct slice body, struct slice boundary, form_part_fn *fn, void *arg,
                            const char **problem);
/* The front of a body whose rest is to come: the part that it ends in is given too, and is not
 * whole. */
MUST_USE enum err form_read_front(struct slice front, struct slice boundary, form_part_fn *fn,
                                  void *arg, const char **problem);
