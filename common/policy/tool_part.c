/* tool_part — fills a report until its size is reached. */
#include "common/policy/tool_part.h"

#include "common/base/limits.h"
#include "common/base/mem.h"

#define ROW_BYTES 64 /* digest, tags and lengths beside a tool's texts */

static void open_report(const struct tool_list *l, struct tool_part *p)
{
    *p = (struct tool_part){0};
    gatehouse__request__init(&p->request);
    gatehouse__tool_report__init(&p->report);
    p->request.body_case = GATEHOUSE__REQUEST__BODY_TOOLS;
    p->request.tools = &p->report;
    p->report.server_id = (char *)l->order.server_id;
    p->report.has_revision = p->report.has_ask = true;
    p->report.revision = l->order.revision;
    p->report.ask = l->order.ask;
}

static size_t count_to_send(const struct tool_list *l, size_t from)
{
    size_t bytes = 0, n = from;
    for (; n < l->count; n++) {
        bytes += l->tools[n].name.len + l->tools[n].definition.len + ROW_BYTES;
        if (bytes > LIMIT_LIST_PART && n > from)
            break;
    }
    return n - from;
}

static enum err add_tools(const struct tool_list *l, size_t from, struct tool_part *p)
{
    p->tools = count_to_send(l, from);
    p->rows = mem_array(p->tools, sizeof(*p->rows));
    p->report.tools = mem_array(p->tools, sizeof(*p->report.tools));
    if (!p->rows || !p->report.tools)
        return ERR_NOMEM;
    for (size_t i = 0; i < p->tools; i++) {
        const struct listed_tool *t = &l->tools[from + i];
        Gatehouse__DirectTool *m = &p->rows[i];
        if (t->left_out)
            continue;
        gatehouse__direct_tool__init(m);
        m->name = (char *)t->name.ptr;
        m->definition = (char *)t->definition.ptr;
        m->has_digest = true;
        m->digest = (ProtobufCBinaryData){.data = (uint8_t *)t->digest.bytes, .len = DIGEST_LEN};
        p->report.tools[p->report.n_tools++] = m;
    }
    return ERR_OK;
}

static enum err add_names(const struct tool_list *l, struct tool_part *p)
{
    p->last = true;
    p->report.has_complete = p->report.complete = true;
    p->report.has_left_out = true;
    p->report.left_out = (uint32_t)l->left_out;
    p->report.names = mem_array(l->count ? l->count : 1, sizeof(*p->report.names));
    if (!p->report.names)
        return ERR_NOMEM;
    for (size_t i = 0; i < l->count; i++)
        if (!l->tools[i].left_out)
            p->report.names[p->report.n_names++] = (char *)l->tools[i].name.ptr;
    return ERR_OK;
}

enum err tool_part_init(const struct tool_list *l, size_t from, struct tool_part *ret)
{
    enum err e = ERR_OK;
    open_report(l, ret);
    if (l->error[0]) {
        ret->report.error = (char *)l->error;
        ret->last = true;
    } else if (from < l->count) {
        e = add_tools(l, from, ret);
    } else {
        e = add_names(l, ret);
    }
    if (e != ERR_OK)
        tool_part_fini(ret);
    return e;
}

void tool_part_fini(struct tool_part *p)
{
    mem_free(p->rows);
    mem_free(p->report.tools);
    mem_free(p->report.names);
    p->rows = NULL;
    p->report.tools = NULL;
    p->report.names = NULL;
}
