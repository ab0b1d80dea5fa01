/*
 * ai_event — what is done to events whichever dialect they are written in.
 */
#include "dataplane/ai/ai_event.h"

enum err ai_event_seal(void *sealing, const struct ai_event *e)
{
    const struct ai_sealing *s = sealing;
    if (e->kind != AI_TOOL_START || !e->signature.len)
        return s->fn(s->arg, e);
    struct ai_event call = *e;
    call.signature = SLICE_NONE;
    enum err err = s->fn(s->arg, &(struct ai_event){.kind = AI_REASONING,
                                                    .choice = e->choice,
                                                    .block = e->block,
                                                    .id = e->signature});
    return err ? err : s->fn(s->arg, &call);
}

const char *ai_stop_word(const struct ai_stop_words *w, enum ai_finish f, bool refused,
                         bool has_calls, bool has_stop)
{
    bool is_plain = f == AI_FINISH_STOP || f == AI_FINISH_NONE;
    if (f == AI_FINISH_LENGTH)
        return w->length;
    if (f == AI_FINISH_FILTER || (is_plain && refused))
        return w->filter;
    if (f == AI_FINISH_TOOLS || has_calls)
        return w->tools;
    return has_stop ? w->sequence : w->stop;
}
