/*
 * front_link_private — what the two halves of a link share: client to library in front_link.c,
 * library to client in front_link_answer.c.
 *
 * Threads  the front's loop.
 */
#pragma once

#include "controlplane/api/front_link.h"

extern const struct stream_events front_link_inner_events;

void front_link_end(struct front_link *l);
void front_link_inner_ended(struct front_link *l); /* the library's end is closed */
void front_link_judge(struct front_link *l);       /* what came goes as far as it may */
void front_link_throttle(struct front_link *l);
bool front_link_reads(struct front_link *l); /* false: too slowly, or not at all */
