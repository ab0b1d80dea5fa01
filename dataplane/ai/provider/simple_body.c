/*
 * simple_body — what the bodies of such services have in common.
 */
#include "dataplane/ai/provider/simple_body.h"

#include "common/base/json.h"

static void begin(struct json_out *j, struct ai_outgoing *o)
{
    *j = (struct json_out){.to = o->translated};
    buf_clear(o->translated);
    memset(o->pieces, 0, sizeof(o->pieces));
    json_out_begin(j, NULL, '{');
    json_out_text(j, "model", o->changes.model);
}

static void end(struct json_out *j, struct ai_outgoing *o)
{
    json_out_end(j, '}');
    o->pieces[0] = buf_slice(o->translated);
}

void simple_body_begin(struct simple_body *w, struct ai_outgoing *o)
{
    *w = (struct simple_body){.o = o, .chat = o->chat};
    begin(&w->j, o);
    json_out_bool(&w->j, "stream", w->chat->stream);
    json_out_begin(&w->j, "messages", '[');
}

static void leave_out_the_rest(struct simple_body *w)
{
    const struct ai_chat *c = w->chat;
    if (c->choices > 1)
        simple_body_refuse(w, "n", SLICE("more than one choice"));
    if (c->user.len)
        ai_outgoing_leave_out(w->o, "user");
    if (c->verbosity.len)
        ai_outgoing_leave_out(w->o, "verbosity");
    if (c->tier > AI_TIER_AUTO)
        ai_outgoing_leave_out(w->o, "service_tier");
    if (ai_outgoing_take_others(w->o) == ERR_INVALID)
        w->refused = true;
}

enum err simple_body_end(struct simple_body *w)
{
    leave_out_the_rest(w);
    end(&w->j, w->o);
    return w->refused ? ERR_INVALID : w->j.e;
}

void simple_body_refuse(struct simple_body *w, const char *param, struct slice why)
{
    w->refused = ai_outgoing_refuse(w->o, param, why) == ERR_INVALID;
}

void simple_body_function(struct simple_body *w, const struct ai_function *f)
{
    json_out_begin(&w->j, NULL, '{');
    json_out_text(&w->j, "type", SLICE("function"));
    json_out_begin(&w->j, "function", '{');
    json_out_text(&w->j, "name", f->name);
    if (f->description.len)
        json_out_text(&w->j, "description", f->description);
    if (json_is_object(f->schema))
        json_out_tree(&w->j, "parameters", f->schema);
    else
        json_out_raw(&w->j, "parameters", SLICE("{\"type\":\"object\",\"properties\":{}}"));
    json_out_end(&w->j, '}');
    json_out_end(&w->j, '}');
}

void simple_embed_begin(struct json_out *j, struct ai_outgoing *o)
{
    begin(j, o);
}

enum err simple_embed_end(struct json_out *j, struct ai_outgoing *o)
{
    end(j, o);
    enum err e = ai_outgoing_take_others(o);
    return e ? e : j->e;
}
