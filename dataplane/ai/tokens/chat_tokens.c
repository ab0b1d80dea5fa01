/*
 * chat_tokens — the parts of the prompt, each counted by itself.
 */
#include "dataplane/ai/tokens/chat_tokens.h"

#include "common/base/limits.h"
#include "dataplane/ai/tokens/tokens.h"

#define PRIMING 3  /* what begins the response */
#define PER_TURN 4 /* what stands around a message: three marks, and its role */
#define PER_TOOL 8 /* and around the definition of a function */

static uint64_t json_tokens(const json_t *v)
{
    struct buf text;
    uint64_t n = 0;
    if (!v)
        return 0;
    buf_init(&text, LIMIT_AI_BODY);
    if (!json_write(v, &text))
        n = tokens_count(buf_slice(&text));
    buf_fini(&text);
    return n;
}

static uint64_t part_tokens(const struct ai_part_list *list)
{
    uint64_t n = 0;
    for (const struct ai_part *p = list->first; p; p = p->next) {
        n += tokens_count(p->text) + tokens_count(p->name);
        if (p->kind == AI_PART_TOOL_RESULT)
            n += PER_TURN + part_tokens(p->inner);
    }
    return n;
}

uint64_t chat_tokens(const struct ai_chat *c)
{
    uint64_t n = PRIMING;
    for (const struct ai_turn *t = c->first; t; t = t->next)
        n += PER_TURN + tokens_count(t->name) + part_tokens(&t->parts);
    for (const struct ai_function *f = c->functions; f; f = f->next)
        n += PER_TOOL + tokens_count(f->name) + tokens_count(f->description) +
             json_tokens(f->schema);
    return n + json_tokens(c->format_schema);
}
