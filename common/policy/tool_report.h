/*
 * tool_report — a list of tools as the messages that carry it: parts with tools, then one with all
 * names; or one with an error.
 *
 * Owns     the part's arrays until tool_report_part_fini; its texts are the list's.
 * Fails    ERR_NOMEM; the part is then empty.
 * Threads  one at a time.
 */
#pragma once

#include "common/policy/tool_list.h"
#include "proto/channel.pb-c.h"

struct tool_report_part {
    Gatehouse__Request request;
    Gatehouse__ToolReport report;
    Gatehouse__DirectTool *rows;
    size_t tools; /* of the list that this part stands for */
    bool last;
};

/* The part that begins with the tool `from`. ret must stay where it is. */
MUST_USE enum err tool_report_part(const struct tool_list *l, size_t from,
                                   struct tool_report_part *ret);
void tool_report_part_fini(struct tool_report_part *p);
