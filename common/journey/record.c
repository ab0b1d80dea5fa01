/*
 * record — a journey as the records the journal keeps.
 *
 * The messages are built in the journey's arena and packed straight into the ring by the
 * journal, so no heap is touched. Texts are copied where protobuf-c wants a NUL behind them.
 */
#include "common/base/clock.h"
#include "common/journey/metrics.h"
#include "common/journey/walk.h"
#include "proto/usage.pb-c.h"

static const char *const end_names[] = {"ok", "refused", "error", "cancelled"};

/* NULL where there is nothing, so that the field is absent */
static char *text(struct journey *j, struct slice s)
{
    return s.len ? arena_str(j->arena, s) : NULL;
}

static char *word(const char *s)
{
    return s && s[0] ? (char *)s : NULL; /* packed, never written to */
}

static Gatehouse__Tokens *tokens_of(struct journey *j, const struct token_count *t)
{
    Gatehouse__Tokens *m = arena_alloc(j->arena, sizeof(*m));
    if (!m)
        return NULL;
    gatehouse__tokens__init(m);
    m->has_input = m->has_output = true;
    m->input = t->input;
    m->output = t->output;
    m->has_cache_read = t->cache_read > 0;
    m->cache_read = t->cache_read;
    m->has_cache_write = t->cache_write > 0;
    m->cache_write = t->cache_write;
    m->has_reasoning = t->reasoning > 0;
    m->reasoning = t->reasoning;
    return m;
}

static void put_principal(struct journey *j, Gatehouse__Span *s)
{
    const struct principal *who = &j->who;
    if (who->key) {
        s->key_id = text(j, who->key->o.id);
        s->org_id = text(j, who->key->o.org_id);
    }
    if (who->agent)
        s->agent_id = text(j, who->agent->o.id);
    if (who->team)
        s->team_id = text(j, who->team->o.id);
    if (j->task)
        s->task_id = text(j, j->task->o.id);
    if (j->session.known) {
        s->session_id = j->session.id;
        s->external_id = text(j, j->session.external_id);
        s->named_by = word(j->session.named_by);
    }
}

static Gatehouse__Span *span_of(struct journey *j)
{
    struct journey_trace *t = &j->trace;
    Gatehouse__Span *s = arena_alloc(j->arena, sizeof(*s));
    if (!s)
        return NULL;
    gatehouse__span__init(s);
    s->id = t->span_id;
    s->parent = word(t->parent_id);
    s->trace_id = t->trace_id;
    s->gate = (char *)j->wing->name;
    s->kind = (char *)"call";
    s->name = text(j, t->name);
    put_principal(j, s);
    s->has_started_at_us = true;
    s->started_at_us = j->started_at_us;
    s->model = text(j, t->model);
    s->provider = text(j, t->provider);
    s->server = text(j, t->server);
    s->tool = text(j, t->tool);
    s->service = text(j, t->service);
    s->method = text(j, j->head->method);
    s->path = text(j, t->path);
    s->request_id = j->request_id;
    return s;
}

static Gatehouse__Span *attempt_of(struct journey *j, struct attempt *at)
{
    Gatehouse__Span *s = arena_alloc(j->arena, sizeof(*s));
    if (!s)
        return NULL;
    gatehouse__span__init(s);
    s->id = at->span_id;
    s->parent = j->trace.span_id;
    s->gate = (char *)j->wing->name;
    s->kind = (char *)"attempt";
    s->name = text(j, j->trace.name);
    s->provider = text(j, at->provider);
    s->model = text(j, at->model);
    s->server = text(j, at->server);
    s->service = text(j, at->service);
    s->has_started_at_us = s->has_duration_us = true;
    s->started_at_us = at->started_at_us;
    s->duration_us = at->duration_us;
    s->status = (char *)end_names[at->end];
    s->code = text(j, at->code);
    s->has_http_status = at->http_status != 0;
    s->http_status = at->http_status;
    if (at->tokens.input || at->tokens.output)
        s->tokens = tokens_of(j, &at->tokens);
    s->upstream_request_id = text(j, at->upstream_request_id);
    return s;
}

static void put_charges(struct journey *j, Gatehouse__JournalRecord *r,
                        Gatehouse__Charge charges[JOURNEY_CHARGES],
                        Gatehouse__Charge *pointers[JOURNEY_CHARGES])
{
    for (size_t i = 0; i < j->charged_count; i++) {
        gatehouse__charge__init(&charges[i]);
        charges[i].account = text(j, j->charged[i].account);
        charges[i].lease_id = text(j, j->charged[i].lease_id);
        charges[i].has_amount_nano = true;
        charges[i].amount_nano = j->charged[i].amount;
        pointers[i] = &charges[i];
    }
    r->n_charges = j->charged_count;
    r->charges = pointers;
}

static void put_call_id(struct journey *j, Gatehouse__JournalRecord *r)
{
    r->has_call_id = true;
    r->call_id.data = j->call_id;
    r->call_id.len = sizeof(j->call_id);
}

enum err record_open(struct journey *j)
{
    Gatehouse__JournalRecord r = GATEHOUSE__JOURNAL_RECORD__INIT;
    Gatehouse__Charge charges[JOURNEY_CHARGES], *pointers[JOURNEY_CHARGES];
    if (!j->env->journal || !j->wing->name)
        return ERR_OK;
    r.span = span_of(j);
    if (!r.span)
        return ERR_NOMEM;
    /* What a kill would make of this call: its worst case. */
    r.span->has_cost_known = r.span->has_cost_nano = j->worst_known;
    r.span->cost_known = j->worst_known;
    r.span->cost_nano = j->worst;
    r.has_opened = true;
    r.opened = true;
    put_call_id(j, &r);
    put_charges(j, &r, charges, pointers);
    return journal_open_call(j->env->journal, &r, &j->entry);
}

static void put_outcome(struct journey *j, Gatehouse__Span *s, unsigned status)
{
    struct journey_trace *t = &j->trace;
    uint64_t took = clock_mono_us() - j->started_us;
    s->has_duration_us = s->has_overhead_us = true;
    s->duration_us = took;
    s->overhead_us = took > t->upstream_us ? took - t->upstream_us : 0;
    s->status = (char *)end_names[j->end];
    s->code = j->refusal.id ? word(refusal_row(j->refusal.id)->code) : NULL;
    if (!s->code && t->attempt_count && j->end != JOURNEY_OK)
        s->code = text(j, t->attempts[t->attempt_count - 1].code);
    s->has_http_status = status != 0;
    s->http_status = status;
    if (t->has_tokens)
        s->tokens = tokens_of(j, &t->tokens);
    s->has_cost_known = t->has_tokens;
    s->cost_known = t->cost_known;
    s->has_cost_nano = t->has_tokens && t->cost_known;
    s->cost_nano = t->cost;
    s->usage_source = word(t->usage_source);
    s->has_attempts = t->attempt_count > 0;
    s->attempts = (uint32_t)t->attempt_count;
    s->cache = word(t->cache);
}

void record_close(struct journey *j, unsigned status)
{
    Gatehouse__JournalRecord r = GATEHOUSE__JOURNAL_RECORD__INIT;
    Gatehouse__Charge charges[JOURNEY_CHARGES], *pointers[JOURNEY_CHARGES];
    Gatehouse__Span *attempts[LIMIT_ATTEMPTS];
    if (!j->env->journal || !j->wing->name)
        return;
    r.span = span_of(j);
    if (r.span) {
        put_outcome(j, r.span, status);
        put_call_id(j, &r);
        put_charges(j, &r, charges, pointers);
        for (size_t i = 0; i < j->trace.attempt_count; i++) {
            Gatehouse__Span *s = attempt_of(j, &j->trace.attempts[i]);
            if (s)
                attempts[r.n_attempts++] = s;
        }
        r.attempts = attempts;
    }
    enum err e = r.span ? journal_close_call(j->env->journal, &r, &j->entry) : ERR_NOMEM;
    if (e) {
        /* The room of an opened call was taken then; this is a free call, or a record that grew
         * beyond reason. The next start closes an opened one as lost. */
        count_add(j->env, COUNT_UNRECORDED, 0, 1);
        log_error(&j->log, "record_refused", "why=%s", err_name(e));
    }
}
