/*
 * json_form — a small object whose form is known, read in place: no tree, no heap.
 *
 * For events that come by the thousand. An object has the form where each of its members is one of
 * those that are named, at most once, with no escape in a name, and each number is an integer of
 * at most 18 characters. What stands for them are hits in the text. Anything else is of another
 * form and says nothing about the text, which may be good or bad JSON: the caller reads it in the
 * usual way. What has the form, json_read reads as well.
 *
 * Threads  any.
 */
#pragma once

#include "common/base/json_scan.h"

struct json_form {
    const char *name; /* NULL: behind the last one */
    unsigned hit;     /* its place among the hits */
    /* The members of an object; NULL: a string, a number or a word. An object may be null too. */
    const struct json_form *inside;
    bool in_list; /* the object stands alone in a list */
};

/* All n hits are written: type and raw. */
bool json_form_match(struct slice text, const struct json_form *form, struct json_hit *hits,
                     size_t n);

/* For hits and the room: they are written before they are read, and the release build would zero
 * kilobytes for each event. */
#define JSON_FORM_SCRATCH __attribute__((uninitialized))

/* Where texts with escapes are read to, one behind the other. */
struct json_form_room {
    size_t used;
    char text[2048];
};
/* The text of a matched string, lent by the hit or the room; SLICE_NONE where the member is absent
 * or no string. False: there is no room. */
bool json_form_text(const struct json_hit *hit, struct json_form_room *room, struct slice *ret);
