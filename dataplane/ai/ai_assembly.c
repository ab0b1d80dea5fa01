/*
 * ai_assembly — events appended to the blocks they belong to.
 */
#include "dataplane/ai/ai_assembly.h"

#include "common/base/limits.h"
#include "common/base/mem.h"

struct ai_assembly *ai_assembly_new(void)
{
    struct ai_assembly *a = mem_zalloc(sizeof(*a));
    if (!a)
        return NULL;
    buf_init(&a->id, LIMIT_AI_ANSWER);
    buf_init(&a->model, LIMIT_AI_ANSWER);
    for (size_t i = 0; i < AI_ASSEMBLY_CHOICES; i++)
        buf_init(&a->choices[i].stop, LIMIT_AI_ANSWER);
    a->usage = AI_USAGE_NONE;
    return a;
}

#define BLOCK_TEXTS 5

static void texts_of(struct ai_block *b, struct buf *ret[static BLOCK_TEXTS])
{
    struct buf *all[BLOCK_TEXTS] = {&b->text, &b->id, &b->name, &b->signature, &b->redacted};
    memcpy(ret, all, sizeof(all));
}

static void free_blocks(struct ai_choice *c)
{
    struct buf *texts[BLOCK_TEXTS];
    for (size_t i = 0; i < c->block_count; i++) {
        texts_of(&c->blocks[i], texts);
        for (size_t j = 0; j < BLOCK_TEXTS; j++)
            buf_fini(texts[j]);
    }
    mem_free(c->blocks);
}

void ai_assembly_free(struct ai_assembly *a)
{
    if (!a)
        return;
    buf_fini(&a->id);
    buf_fini(&a->model);
    for (size_t i = 0; i < AI_ASSEMBLY_CHOICES; i++) {
        buf_fini(&a->choices[i].stop);
        free_blocks(&a->choices[i]);
    }
    mem_free(a);
}

static enum err add(struct ai_assembly *a, struct buf *to, struct slice text)
{
    if (!text.len)
        return ERR_OK;
    a->bytes += text.len;
    return a->bytes > LIMIT_AI_ANSWER ? ERR_TOO_BIG : buf_append(to, text);
}

/* ---- blocks ---- */

static struct ai_block *find(const struct ai_choice *c, enum ai_event_kind kind, unsigned block)
{
    for (size_t i = c->block_count; i > 0; i--)
        if (c->blocks[i - 1].block == block && c->blocks[i - 1].kind == kind)
            return &c->blocks[i - 1];
    return NULL;
}

static bool make_room(struct ai_choice *c)
{
    if (c->block_count < c->block_cap)
        return true;
    size_t cap = c->block_cap ? 2 * c->block_cap : 4;
    struct ai_block *more = mem_zalloc(cap * sizeof(*more));
    if (!more)
        return false;
    if (c->block_count)
        memcpy(more, c->blocks, c->block_count * sizeof(*more));
    mem_free(c->blocks);
    c->blocks = more;
    c->block_cap = cap;
    return true;
}

static enum err begin(struct ai_choice *c, const struct ai_event *e, struct ai_block **ret)
{
    struct buf *texts[BLOCK_TEXTS];
    if (c->block_count >= AI_ASSEMBLY_BLOCKS)
        return ERR_PROTOCOL;
    if (!make_room(c))
        return ERR_NOMEM;
    struct ai_block *b = &c->blocks[c->block_count++];
    b->kind = e->kind;
    b->block = e->block;
    texts_of(b, texts);
    for (size_t i = 0; i < BLOCK_TEXTS; i++)
        buf_init(texts[i], LIMIT_AI_ANSWER);
    *ret = b;
    return ERR_OK;
}

static enum err add_words(struct ai_assembly *a, struct ai_choice *c, const struct ai_event *e)
{
    struct ai_block *b = find(c, e->kind, e->block);
    enum err err = b ? ERR_OK : begin(c, e, &b);
    if (!err)
        err = add(a, &b->text, e->text);
    if (!err)
        err = add(a, &b->signature, e->signature);
    return err || e->kind != AI_REASONING ? err : add(a, &b->redacted, e->id);
}

static enum err add_media(struct ai_assembly *a, struct ai_choice *c, const struct ai_event *e)
{
    enum err err = add_words(a, c, e);
    struct ai_block *b = find(c, AI_MEDIA, e->block);
    return err || !b ? err : add(a, &b->name, e->name);
}

static enum err begin_tool(struct ai_assembly *a, struct ai_choice *c, const struct ai_event *e)
{
    struct ai_block *b;
    enum err err = begin(c, e, &b);
    if (!err)
        err = add(a, &b->id, e->id);
    if (!err)
        err = add(a, &b->name, e->name);
    return err ? err : add(a, &b->signature, e->signature);
}

static enum err add_arguments(struct ai_assembly *a, struct ai_choice *c, const struct ai_event *e)
{
    struct ai_block *b = find(c, AI_TOOL_START, e->block);
    return b ? add(a, &b->text, e->text) : ERR_PROTOCOL;
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
    case AI_REASONING:
    case AI_REFUSAL:
        return add_words(a, c, e);
    case AI_MEDIA:
        return add_media(a, c, e);
    case AI_TOOL_START:
        return begin_tool(a, c, e);
    case AI_TOOL_ARGUMENTS:
        return add_arguments(a, c, e);
    case AI_USAGE:
        ai_usage_merge(&a->usage, &e->usage);
        return ERR_OK;
    case AI_FINISH:
        c->finish = e->finish;
        return add(a, &c->stop, e->text);
    case AI_ERROR:
        a->failed = true;
        return ERR_PROTOCOL;
    case AI_END:
        a->ended = true;
        return ERR_OK;
    case AI_TOOL_END:
    case AI_CITATION:
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

const struct ai_block *ai_choice_next(const struct ai_choice *c, enum ai_event_kind kind,
                                      size_t *at)
{
    while (*at < c->block_count)
        if (c->blocks[(*at)++].kind == kind)
            return &c->blocks[*at - 1];
    return NULL;
}
