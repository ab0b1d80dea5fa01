/*
 * ai_assembly — events appended to the texts they belong to.
 */
#include "dataplane/ai/ai_assembly.h"

#include "common/base/limits.h"
#include "common/base/mem.h"

struct ai_assembly *ai_assembly_new(void)
{
    struct ai_assembly *a = mem_zalloc(sizeof(*a));
    if (!a)
        return NULL;
    struct buf *own[] = {&a->id, &a->model};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        buf_init(own[i], LIMIT_AI_ANSWER);
    for (size_t i = 0; i < AI_ASSEMBLY_CHOICES; i++) {
        struct ai_choice *c = &a->choices[i];
        struct buf *texts[] = {&c->text, &c->reasoning, &c->refusal, &c->signature, &c->redacted};
        for (size_t j = 0; j < ARRAY_LEN(texts); j++)
            buf_init(texts[j], LIMIT_AI_ANSWER);
    }
    a->usage = AI_USAGE_NONE;
    return a;
}

static void free_tools(struct ai_choice *c)
{
    for (size_t i = 0; i < c->tool_count; i++) {
        buf_fini(&c->tools[i].id);
        buf_fini(&c->tools[i].name);
        buf_fini(&c->tools[i].arguments);
    }
    mem_free(c->tools);
}

void ai_assembly_free(struct ai_assembly *a)
{
    if (!a)
        return;
    buf_fini(&a->id);
    buf_fini(&a->model);
    for (size_t i = 0; i < AI_ASSEMBLY_CHOICES; i++) {
        struct ai_choice *c = &a->choices[i];
        buf_fini(&c->text);
        buf_fini(&c->reasoning);
        buf_fini(&c->refusal);
        buf_fini(&c->signature);
        buf_fini(&c->redacted);
        free_tools(c);
    }
    mem_free(a);
}

static enum err add(struct ai_assembly *a, struct buf *to, struct slice text)
{
    a->bytes += text.len;
    return a->bytes > LIMIT_AI_ANSWER ? ERR_TOO_BIG : buf_append(to, text);
}

static struct ai_tool *find_tool(struct ai_choice *c, unsigned block)
{
    for (size_t i = c->tool_count; i > 0; i--)
        if (c->tools[i - 1].block == block)
            return &c->tools[i - 1];
    return NULL;
}

static enum err begin_tool(struct ai_assembly *a, struct ai_choice *c, const struct ai_event *e)
{
    if (c->tool_count >= AI_ASSEMBLY_TOOLS)
        return ERR_PROTOCOL;
    if (!c->tools)
        c->tools = mem_zalloc(AI_ASSEMBLY_TOOLS * sizeof(*c->tools));
    if (!c->tools)
        return ERR_NOMEM;
    struct ai_tool *t = &c->tools[c->tool_count++];
    t->block = e->block;
    buf_init(&t->id, LIMIT_AI_ANSWER);
    buf_init(&t->name, LIMIT_AI_ANSWER);
    buf_init(&t->arguments, LIMIT_AI_ANSWER);
    enum err err = add(a, &t->id, e->id);
    return err ? err : add(a, &t->name, e->name);
}

static enum err add_arguments(struct ai_assembly *a, struct ai_choice *c, const struct ai_event *e)
{
    struct ai_tool *t = find_tool(c, e->block);
    return t ? add(a, &t->arguments, e->text) : ERR_PROTOCOL;
}

static enum err add_reasoning(struct ai_assembly *a, struct ai_choice *c, const struct ai_event *e)
{
    if (e->name.len)
        return add(a, &c->redacted, e->id);
    enum err err = add(a, &c->reasoning, e->text);
    return err ? err : add(a, &c->signature, e->id);
}

static enum err add_start(struct ai_assembly *a, const struct ai_event *e)
{
    if (a->id.len || a->model.len)
        return ERR_OK;
    enum err err = add(a, &a->id, e->id);
    return err ? err : add(a, &a->model, e->name);
}

enum err ai_assembly_add(void *assembly, const struct ai_event *e)
{
    struct ai_assembly *a = assembly;
    if (e->choice >= AI_ASSEMBLY_CHOICES)
        return ERR_PROTOCOL;
    struct ai_choice *c = &a->choices[e->choice];
    c->seen = c->seen || (e->kind >= AI_TEXT && e->kind <= AI_REFUSAL) || e->kind == AI_FINISH;
    switch (e->kind) {
    case AI_START:
        return add_start(a, e);
    case AI_TEXT:
        return add(a, &c->text, e->text);
    case AI_REASONING:
        return add_reasoning(a, c, e);
    case AI_REFUSAL:
        return add(a, &c->refusal, e->text);
    case AI_TOOL_START:
        return begin_tool(a, c, e);
    case AI_TOOL_ARGUMENTS:
        return add_arguments(a, c, e);
    case AI_USAGE:
        ai_usage_merge(&a->usage, &e->usage);
        return ERR_OK;
    case AI_FINISH:
        c->finish = e->finish;
        return ERR_OK;
    case AI_ERROR:
        a->failed = true;
        return ERR_PROTOCOL;
    case AI_END:
        a->ended = true;
        return ERR_OK;
    case AI_TOOL_END:
    case AI_CITATION:
    case AI_MEDIA:
    case AI_BLOCK_END:
    case AI_OTHER:
        break;
    }
    return ERR_OK;
}

bool ai_assembly_is_whole(const struct ai_assembly *a)
{
    bool any = false;
    for (size_t i = 0; i < AI_ASSEMBLY_CHOICES; i++) {
        if (a->choices[i].seen && !a->choices[i].finish)
            return false;
        any = any || a->choices[i].seen;
    }
    return any;
}
