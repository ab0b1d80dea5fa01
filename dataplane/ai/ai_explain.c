/* ai_explain — one list of candidates, told as a line and as JSON. */
#include "dataplane/ai/ai_explain.h"

#include <stdio.h>

#include "common/base/digest.h"
#include "dataplane/ai/ai_need.h"
#include "dataplane/ai/ai_usage.h"

#define NOTE_MAX 1024 /* LIMIT_SPAN_TEXT: more would be cut */
#define PROSE_BYTES 4 /* a token */

/* ---- a line ---- */

struct line {
    char *to;
    size_t len;
    bool cut; /* there was no room, and nothing is added any more */
};

static void add(struct line *l, const struct slice *parts, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += parts[i].len;
    l->cut = l->cut || len > NOTE_MAX - l->len;
    for (size_t i = 0; !l->cut && i < n; i++) {
        if (parts[i].len)
            memcpy(l->to + l->len, parts[i].ptr, parts[i].len);
        l->len += parts[i].len;
    }
}

static struct slice digits(uint64_t n, char room[static 20])
{
    size_t at = 20;
    do
        room[--at] = (char)('0' + n % 10);
    while (n /= 10);
    return slice_of(room + at, 20 - at);
}

static void add_candidate(struct line *l, const struct candidate *c, bool is_first)
{
    char room[20];
    bool has_score = c->score != ROUTE_NOT_KNOWN;
    const struct slice parts[] = {
        is_first ? SLICE("") : SLICE(","),
        c->provider->o.name,
        SLICE("/"),
        c->model,
        c->credential ? SLICE("@") : SLICE(""),
        c->credential ? c->credential->name : SLICE(""),
        has_score ? SLICE(":") : SLICE(""),
        has_score ? digits(c->score, room) : SLICE(""),
        c->though ? SLICE("(") : SLICE(""),
        slice_str(route_exclusion_word(c->though)),
        c->though ? SLICE(")") : SLICE(""),
    };
    add(l, parts, ARRAY_LEN(parts));
}

static void add_excluded(struct line *l, const struct candidate_excluded *e, bool is_first)
{
    const struct slice parts[] = {
        is_first ? SLICE(" excluded=") : SLICE(","),
        e->provider ? e->provider->o.name : SLICE("model"),
        SLICE("/"),
        e->model,
        SLICE("("),
        slice_str(route_exclusion_word(e->why)),
        SLICE(")"),
    };
    add(l, parts, ARRAY_LEN(parts));
}

void ai_explain_note(struct request *rq, const struct policy_model *m, const struct candidate *list,
                     size_t count, const struct candidates_trace *t)
{
    if (m->target_count < 2 && !t->count)
        return;
    struct line l = {.to = arena_alloc(rq->arena, NOTE_MAX)};
    if (!l.to)
        return;
    const struct slice begin[] = {SLICE("strategy="), slice_str(route_strategy_word(m->strategy)),
                                  SLICE(" order=")};
    add(&l, begin, ARRAY_LEN(begin));
    for (size_t i = 0; i < count; i++)
        add_candidate(&l, &list[i], i == 0);
    for (size_t i = 0; i < t->count && i < t->max; i++)
        add_excluded(&l, &t->excluded[i], i == 0);
    request_note(rq, "route", slice_of(l.to, l.len));
}

/* ---- JSON ---- */

static void put_text(struct buf *out, enum err *e, const char *name, struct slice text)
{
    if (!*e)
        *e = buf_append(out, slice_str(name));
    if (!*e)
        *e = text.ptr ? buf_json_string(out, text) : buf_append(out, SLICE("null"));
}

static void put(struct buf *out, enum err *e, const char *text)
{
    if (!*e)
        *e = buf_append(out, slice_str(text));
}

static void put_candidate(struct buf *out, enum err *e, const struct candidate *c, bool is_first)
{
    char room[20];
    const struct policy_credential *k = c->credential;
    const struct ai_strategy *s = route_strategy(c->of->strategy);
    put_text(out, e, is_first ? "{\"provider\":" : ",{\"provider\":", c->provider->o.name);
    put_text(out, e, ",\"model\":", c->model);
    put_text(out, e, ",\"credential\":", k ? k->name : SLICE_NONE);
    put_text(out, e, ",\"region\":", c->region.len ? c->region : SLICE_NONE);
    put(out, e, ",\"score\":");
    if (!*e)
        *e = buf_append(out, c->score == ROUTE_NOT_KNOWN ? SLICE("null") : digits(c->score, room));
    put_text(out, e, ",\"unit\":", s->unit ? slice_str(s->unit) : SLICE_NONE);
    put_text(out, e,
             ",\"why\":", slice_str(c->though ? route_exclusion_sentence(c->though) : s->why));
    put(out, e, "}");
}

static void put_excluded(struct buf *out, enum err *e, const struct candidate_excluded *x,
                         bool is_first)
{
    put_text(out, e, is_first ? "{\"provider\":" : ",{\"provider\":",
             x->provider ? x->provider->o.name : SLICE_NONE);
    put_text(out, e, ",\"model\":", x->model);
    put_text(out, e, ",\"why\":", slice_str(route_exclusion_sentence(x->why)));
    put(out, e, "}");
}

static enum err write(const struct policy_model *m, const struct candidate *list, size_t count,
                      const struct candidates_trace *t, struct buf *out)
{
    enum err e = ERR_OK;
    struct slice detail;
    put_text(out, &e, "{\"strategy\":", slice_str(route_strategy_word(m->strategy)));
    put(out, &e, ",\"targets\":[");
    for (size_t i = 0; i < count; i++)
        put_candidate(out, &e, &list[i], i == 0);
    put(out, &e, "],\"excluded\":[");
    for (size_t i = 0; i < t->count && i < t->max; i++)
        put_excluded(out, &e, &t->excluded[i], i == 0);
    put_text(out, &e, "],\"refusal\":",
             count ? SLICE_NONE : slice_str(refusal_row(candidates_refusal(t, &detail))->code));
    put(out, &e, "}");
    return e;
}

/* ---- a call that is not made ---- */

struct look {
    const struct ai_endpoint *endpoint;
    struct ai_request request;
    struct slice body;
    struct route_need need;
    bool is_known;
};

static const struct route_need *need_of(void *arg)
{
    struct look *l = arg;
    if (l->is_known)
        return &l->need;
    struct ai_prompt *p = &l->request.prompt;
    if (l->endpoint->dialect->measure)
        l->endpoint->dialect->measure(l->body, p);
    else
        p->text = l->body.len;
    l->is_known = true;
    l->need = ai_need_from(p, l->body);
    l->need.output_ceiling = l->request.output_ceiling * l->request.choices;
    l->need.writes = l->endpoint->kind != AI_EMBEDDINGS;
    return &l->need;
}

static uint32_t roll(void *arg)
{
    uint32_t n;
    (void)arg;
    digest_random(&n, sizeof(n));
    return n;
}

static enum err read_body(const struct ai_explain_ask *ask, const struct http_head *head,
                          struct arena *arena, struct look *l, struct slice *why)
{
    const struct ai_incoming in = {.body = ask->body,
                                   .path = l->endpoint->path,
                                   .head = head,
                                   .endpoint = l->endpoint,
                                   .arena = arena};
    l->request.choices = 1;
    l->body = ask->body;
    return l->endpoint->dialect->read(&in, &l->request, why);
}

static const struct ai_endpoint *endpoint_at(const struct ai_explain_ask *ask, struct slice *why)
{
    static const struct http_head post = {.method = SLICE("POST")};
    bool allowed = false;
    struct slice path = ask->path.len ? ask->path : SLICE("/v1/chat/completions");
    const struct ai_endpoint *e = ai_endpoint_find(&post, path, &allowed);
    bool reads = e && allowed && e->dialect->read &&
                 (e->kind == AI_CHAT || e->kind == AI_EMBEDDINGS || e->kind == AI_TASK);
    *why = reads ? SLICE_NONE : SLICE("no model is called at this path");
    return reads ? e : NULL;
}

static void number_callers(const struct ai_explain_ask *ask, uint64_t ret[static STICKY_COUNT])
{
    struct slice principal = ask->agent_id.len ? ask->agent_id : ask->key_id;
    ret[STICKY_PRINCIPAL] = principal.len ? route_number(principal) : 0;
    ret[STICKY_SESSION] = ask->session.len ? route_number(ask->session) : ret[STICKY_PRINCIPAL];
}

static struct principal who_asks(const struct ai_explain_ask *a)
{
    return (struct principal){.key = a->key_id.len ? snapshot_key(a->policy, a->key_id) : NULL,
                              .agent =
                                  a->agent_id.len ? snapshot_agent(a->policy, a->agent_id) : NULL,
                              .team = a->team_id.len ? snapshot_team(a->policy, a->team_id) : NULL};
}

/* Without the team that a plane does not know, its regions and demands would not be told. */
static bool is_known(const struct ai_explain_ask *a, const struct principal *who)
{
    return (!a->key_id.len || who->key) && (!a->agent_id.len || who->agent) &&
           (!a->team_id.len || who->team);
}

enum err ai_explain(const struct ai_explain_ask *ask, struct arena *arena, struct buf *out,
                    struct slice *why)
{
    static const struct http_head nothing = {.method = SLICE("POST")};
    struct candidate list[LIMIT_ATTEMPTS];
    struct candidate_excluded excluded[AI_EXPLAIN_EXCLUDED];
    struct candidates_trace trace = {.excluded = excluded, .max = ARRAY_LEN(excluded)};
    struct slice rest = SLICE_NONE;
    struct look l = {.endpoint = endpoint_at(ask, why)};
    const struct http_head *head = ask->head ? ask->head : &nothing;
    const struct policy_model *m = snapshot_model_for(ask->policy, ask->org_id, ask->model, &rest);
    if (!l.endpoint)
        return ERR_INVALID;
    if (!m)
        return ERR_NOT_FOUND;
    enum err e = read_body(ask, head, arena, &l, why);
    if (e)
        return e == ERR_NOMEM ? e : ERR_INVALID;
    const struct principal who = who_asks(ask);
    if (!is_known(ask, &who)) {
        *why = SLICE("the data plane does not know whose call it is, and would refuse it");
        return ERR_INVALID;
    }
    const struct route_ask rules = {.who = &who,
                                    .head = head,
                                    .body = ask->body,
                                    .wall_us = ask->wall_us,
                                    .output_ceiling = l.request.output_ceiling,
                                    .need = need_of,
                                    .need_arg = &l};
    struct candidates_query q = {.policy = ask->policy,
                                 .model = m,
                                 .team = who.team,
                                 .rest = rest,
                                 .arena = arena,
                                 .endpoint = l.endpoint,
                                 .endpoints = ask->endpoints,
                                 .now_us = ask->now_us,
                                 .streams = l.request.stream,
                                 .ask = &rules,
                                 .trace = &trace,
                                 .dice = roll};
    number_callers(ask, q.callers);
    size_t n = candidates_list(&q, list, LIMIT_ATTEMPTS);
    return write(m, list, n, &trace, out);
}
