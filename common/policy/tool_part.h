/*
 * tool_part — one of the messages that carry a list of tools: parts with tools, then one with all
 * names; or one with an error. What the control plane makes of them is
 * controlplane/channel/tool_report.
 *
 * Owns     the part's arrays until tool_part_fini; its texts are the list's.
 * Fails    ERR_NOMEM; the part is then empty.
 * Threads  one at a time.
 */
#pragma once

#include "common/policy/tool_list.h"
#include "proto/channel.pb-c.h"

struct tool_part {
    Gatehouse__Request request;
    Gatehouse__ToolReport report;
    Gatehouse__DirectTool *rows;
    size_t tools; /* of the list that this part stands for */
    bool last;
};

/* The part that begins with the tool `from`. ret must stay where it is. */
MUST_USE enum err tool_part_init(const struct tool_list *l, size_t from, struct tool_part *ret);
void tool_part_fini(struct tool_part *p);
