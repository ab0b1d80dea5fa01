/*
 * record — a request as the records the journal keeps (proto/usage.proto, JournalRecord).
 *
 * Texts that a client chose are clipped: a record is what happened, not a place to store things,
 * and an opened one must fit its slot.
 */
#include <inttypes.h>

#include "common/base/clock.h"
#include "common/request/filter_scopes.h"
#include "common/request/request_metrics.h"
#include "common/request/request_private.h"
#include "common/trace/span_attributes.h"
#include "common/wire/proto_write.h"

/* LIMIT_ATTEMPTS attempts and LIMIT_CALL_EVENTS events with every text at its longest */
#define RECORD_ROOM (24 * 1024)
#define EVENT_LIMIT 1024 /* LIMIT_SPAN_TEXT */
#define NAME_LIMIT 128   /* bytes of a name or a label */
#define OPENED_PATH 256  /* the opened record lies in a slot of fixed size */
#define CLOSED_PATH 1024
#define TELL_US 1000000 /* between two lines about records that were not taken */

enum charge_field { CHARGE_ACCOUNT = 1, CHARGE_LEASE, CHARGE_AMOUNT };
enum event_field { EVENT_AT = 1, EVENT_NAME, EVENT_DETAIL };
enum record_field {
    RECORD_CALL_ID = 1,
    RECORD_OPENED,
    RECORD_SPAN,
    RECORD_ATTEMPT,
    RECORD_CHARGE,
    RECORD_KEPT
};
enum kept_field { KEPT_OWNER = 1, KEPT_KIND, KEPT_ACCOUNT, KEPT_ID, KEPT_GONE };

static const char *const end_names[] = {"ok", "refused", "error", "cancelled"};

/* Clipped at a character's first byte: what was UTF-8 stays it. */
static struct slice clip_long(struct slice s, size_t max)
{
    while (max > 0 && ((unsigned char)s.ptr[max] & 0xC0) == 0x80)
        max--;
    return slice_first(s, max);
}

static inline struct slice clip(struct slice s, size_t max)
{
    return s.len <= max ? s : clip_long(s, max);
}

static inline struct slice clip_name(struct slice s)
{
    return clip(s, NAME_LIMIT);
}

static void put_tokens(struct proto_writer *w, const struct token_count *t)
{
    char *at = proto_begin(w, SPAN_FIELD_tokens);
    proto_u64(w, SPAN_TOKENS_FIELD_input, t->input);
    if (t->cache_read)
        proto_u64(w, SPAN_TOKENS_FIELD_cache_read, t->cache_read);
    if (t->cache_write)
        proto_u64(w, SPAN_TOKENS_FIELD_cache_write, t->cache_write);
    proto_u64(w, SPAN_TOKENS_FIELD_output, t->output);
    if (t->reasoning)
        proto_u64(w, SPAN_TOKENS_FIELD_reasoning, t->reasoning);
    proto_end(w, at);
}

static struct slice code_of(const struct request *rq)
{
    const struct call_record *t = &rq->record;
    if (rq->refusal.id)
        return slice_str(refusal_row(rq->refusal.id)->code);
    if (t->attempt_count && rq->end != OUTCOME_OK)
        return t->attempts[t->attempt_count - 1].code;
    return rq->end == OUTCOME_CANCELLED ? request_cut_code(rq) : SLICE_NONE;
}

/* Where the value of each attribute of a call comes from; the rows of SPAN_ATTRIBUTES are written
 * by these. `rq` is the request, `t` its call record; an empty text, a SMALL of 0, a FLAG below 0
 * and a NULL count of tokens are left out. */
#define OF_id slice_str(t->span_id)
#define OF_parent slice_str(t->parent_id)
#define OF_trace_id slice_str(t->trace_id)
#define OF_gate slice_str(rq->gate->name)
#define OF_kind SLICE("call")
#define OF_name clip_name(t->name)
#define OF_org_id (rq->who.key ? rq->who.key->o.org_id : SLICE_NONE)
#define OF_team_id (rq->who.team ? rq->who.team->o.id : SLICE_NONE)
#define OF_agent_id (rq->who.agent ? rq->who.agent->o.id : SLICE_NONE)
#define OF_key_id (rq->who.key ? rq->who.key->o.id : SLICE_NONE)
#define OF_task_id (rq->task ? rq->task->o.id : SLICE_NONE)
#define OF_session_id (rq->session.known ? slice_of(rq->session.id, SESSION_ID_LEN) : SLICE_NONE)
#define OF_external_id (rq->session.known ? clip_name(rq->session.external_id) : SLICE_NONE)
#define OF_named_by (rq->session.known ? slice_str(rq->session.named_by) : SLICE_NONE)
#define OF_started_at_us rq->started_at_us
#define OF_duration_us request_took_us(rq)
#define OF_overhead_us request_overhead_us(rq)
#define OF_status slice_str(end_names[rq->end])
#define OF_code clip_name(code_of(rq))
#define OF_http_status status
#define OF_model clip_name(t->ai.model)
#define OF_requested_model clip_name(t->ai.requested)
#define OF_provider clip_name(t->ai.provider)
#define OF_server clip_name(t->tool.server)
#define OF_tool clip_name(t->tool.name)
#define OF_service clip_name(t->api.service)
#define OF_method clip_name(rq->head->method)
#define OF_path clip(t->api.path, path_max)
#define OF_tokens (t->has_tokens ? &t->tokens : NULL)
#define OF_cost_known (t->has_tokens ? t->cost_known : -1)
#define OF_cost_nano t->cost
#define OF_usage_source slice_str(t->usage_source)
#define OF_attempts t->attempt_count
#define OF_cache slice_str(t->ai.cache)
#define OF_route clip_name(t->api.route)
#define OF_account clip_name(t->api.account)
#define OF_queued_us t->queued_us
#define OF_bytes_in t->api.bytes_in
#define OF_bytes_out t->api.bytes_out

#define PUT_TEXT(name, field) proto_text(w, field, OF_##name);
#define PUT_COUNT(name, field) proto_u64(w, field, OF_##name);
#define PUT_SMALL(name, field)                                                                     \
    if (OF_##name)                                                                                 \
        proto_u64(w, field, OF_##name);
#define PUT_TIME(name, field) proto_s64(w, field, OF_##name);
#define PUT_FLAG(name, field)                                                                      \
    if (OF_##name >= 0)                                                                            \
        proto_u64(w, field, (uint64_t)(OF_##name));
#define PUT_MONEY(name, field)                                                                     \
    if (OF_cost_known > 0)                                                                         \
        proto_s64(w, field, OF_##name);
#define PUT_TOKENS(name, field)                                                                    \
    if (OF_##name)                                                                                 \
        put_tokens(w, OF_##name);

#define SKIP(name, field)

/* What is known of a call whether it is over or not. */
#define OPENED_OPENED(type) PUT_##type
#define OPENED_CLOSED(type) SKIP
#define OPENED_MOVED(type) SKIP
#define OPENED_ATTEMPT(type) SKIP
#define OPENED_NEVER(type) SKIP
#define OPENED_ROW(name, field, type, written, ...) OPENED_##written(type)(name, field)

static void put_call(struct proto_writer *w, const struct request *rq, size_t path_max)
{
    const struct call_record *t = &rq->record;
    SPAN_ATTRIBUTES(OPENED_ROW)
}

/* What is known once it is over. */
#define CLOSED_OPENED(type) SKIP
#define CLOSED_CLOSED(type) PUT_##type
#define CLOSED_MOVED(type) PUT_SMALL
#define CLOSED_ATTEMPT(type) SKIP
#define CLOSED_NEVER(type) SKIP
#define CLOSED_ROW(name, field, type, written, ...) CLOSED_##written(type)(name, field)

static void put_outcome(struct proto_writer *w, const struct request *rq, unsigned status)
{
    const struct call_record *t = &rq->record;
    SPAN_ATTRIBUTES(CLOSED_ROW)
}

/* only where the call's own span says something else */
static inline void put_unlike(struct proto_writer *w, unsigned field, struct slice s,
                              struct slice of_call)
{
    if (!slice_eq(s, of_call))
        proto_text(w, field, clip_name(s));
}

static void put_attempt(struct proto_writer *w, const struct request *rq, const struct attempt *a)
{
    const struct call_record *t = &rq->record;
    char *at = proto_begin(w, RECORD_ATTEMPT);
    proto_word(w, SPAN_FIELD_id, a->span_id);
    put_unlike(w, SPAN_FIELD_provider, a->provider, t->ai.provider);
    put_unlike(w, SPAN_FIELD_model, a->model, t->ai.model);
    put_unlike(w, SPAN_FIELD_server, a->server, t->tool.server);
    put_unlike(w, SPAN_FIELD_service, a->service, t->api.service);
    proto_s64(w, SPAN_FIELD_started_at_us, a->started_at_us);
    proto_u64(w, SPAN_FIELD_duration_us, a->duration_us);
    proto_word(w, SPAN_FIELD_status, end_names[a->end]);
    proto_text(w, SPAN_FIELD_code, clip_name(a->code));
    if (a->http_status)
        proto_u64(w, SPAN_FIELD_http_status, a->http_status);
    if (a->tokens.input || a->tokens.output)
        put_tokens(w, &a->tokens);
    proto_text(w, SPAN_FIELD_upstream_request_id, clip_name(a->upstream_request_id));
    proto_end(w, at);
}

static void put_events(struct proto_writer *w, const struct call_record *t)
{
    for (size_t i = 0; i < t->event_count; i++) {
        char *at = proto_begin(w, SPAN_FIELD_events);
        proto_s64(w, EVENT_AT, t->events[i].at_us);
        proto_word(w, EVENT_NAME, t->events[i].name);
        proto_text(w, EVENT_DETAIL, clip(t->events[i].detail, EVENT_LIMIT));
        proto_end(w, at);
    }
}

static void put_charges(struct proto_writer *w, const struct request *rq)
{
    money amount;
    const struct charges *c = budget_charges(rq, &amount);
    for (size_t i = 0; c && i < c->count; i++) {
        char *at = proto_begin(w, RECORD_CHARGE);
        proto_text(w, CHARGE_ACCOUNT, account_id(c->of[i].scope->account));
        proto_text(w, CHARGE_LEASE, reservation_lease_id(&c->of[i].reservation));
        proto_s64(w, CHARGE_AMOUNT, amount);
        proto_end(w, at);
    }
}

static void put_kept(struct proto_writer *w, const struct request *rq)
{
    for (const struct kept_note *k = rq->record.kept; k; k = k->next) {
        char *at = proto_begin(w, RECORD_KEPT);
        proto_text(w, KEPT_OWNER, k->owner);
        proto_word(w, KEPT_KIND, k->kind);
        proto_text(w, KEPT_ACCOUNT, k->account);
        proto_text(w, KEPT_ID, k->id);
        if (k->gone)
            proto_u64(w, KEPT_GONE, true);
        proto_end(w, at);
    }
}

/* The worker's scratch: a record is packed, kept, and forgotten within one call. */
static enum err begin(struct request *rq, struct proto_writer *w)
{
    char *start;
    buf_clear(&rq->env->scratch);
    enum err e = buf_room(&rq->env->scratch, RECORD_ROOM, &start);
    if (e)
        return e;
    *w = (struct proto_writer){.p = start, .end = start + RECORD_ROOM};
    proto_text(w, RECORD_CALL_ID, slice_of(rq->call_id, sizeof(rq->call_id)));
    return ERR_OK;
}

static struct slice packed(struct request *rq, const struct proto_writer *w)
{
    char *start = w->end - RECORD_ROOM;
    (void)rq;
    return w->full ? SLICE_NONE : slice_of(start, (size_t)(w->p - start));
}

static bool is_recorded(const struct request *rq)
{
    return rq->env->journal && rq->gate->name && !rq->unrecorded;
}

struct slice record_pack_opened(struct request *rq)
{
    struct proto_writer w;
    if (begin(rq, &w))
        return SLICE_NONE;
    proto_u64(&w, RECORD_OPENED, true);
    char *at = proto_begin(&w, RECORD_SPAN);
    put_call(&w, rq, OPENED_PATH);
    /* A call that a kill ends is closed as lost at its worst case. */
    money worst;
    if (budget_worst_case(rq, &worst)) {
        proto_u64(&w, SPAN_FIELD_cost_known, true);
        proto_s64(&w, SPAN_FIELD_cost_nano, worst);
    }
    proto_end(&w, at);
    put_charges(&w, rq);
    return packed(rq, &w);
}

struct slice record_pack_closed(struct request *rq, unsigned status, bool brief)
{
    struct proto_writer w;
    if (begin(rq, &w))
        return SLICE_NONE;
    char *at = proto_begin(&w, RECORD_SPAN);
    put_call(&w, rq, brief ? 0 : CLOSED_PATH);
    put_outcome(&w, rq, status);
    if (!brief)
        put_events(&w, &rq->record);
    proto_end(&w, at);
    for (size_t i = 0; !brief && i < rq->record.attempt_count; i++)
        put_attempt(&w, rq, &rq->record.attempts[i]);
    put_charges(&w, rq);
    if (!brief)
        put_kept(&w, rq);
    return packed(rq, &w);
}

enum err record_open(struct request *rq)
{
    if (!is_recorded(rq))
        return ERR_OK;
    struct slice record = record_pack_opened(rq);
    if (!record.ptr)
        return ERR_NOMEM;
    enum err e = journal_open_packed(rq->env->journal, record, rq->call_id, &rq->entry);
    /* Where every slot is taken, a call that falls under no budget goes on unrecorded. */
    money amount;
    return e == ERR_EXHAUSTED && !budget_charges(rq, &amount) ? ERR_OK : e;
}

/* It is never one call that finds no place: a line for each would push all else out of the log.
 * The metric counts them one by one. */
static void tell_unrecorded(struct request *rq, enum err e)
{
    struct request_env *env = rq->env;
    uint64_t now_us = clock_mono_us();
    count_add(env, COUNT_UNRECORDED, 0, 1);
    env->unrecorded++;
    if (env->unrecorded_told_us && now_us - env->unrecorded_told_us < TELL_US)
        return;
    log_error(&rq->log, "record_refused", "why=%s calls=%" PRIu64, err_name(e), env->unrecorded);
    env->unrecorded = 0;
    env->unrecorded_told_us = now_us;
}

void record_close(struct request *rq, unsigned status)
{
    if (!is_recorded(rq))
        return;
    struct slice record = record_pack_closed(rq, status, false);
    enum err e =
        record.ptr ? journal_close_packed(rq->env->journal, record, &rq->entry) : ERR_NOMEM;
    if (e && rq->entry.taken) { /* what must not be lost is the money */
        record = record_pack_closed(rq, status, true);
        e = record.ptr ? journal_close_packed(rq->env->journal, record, &rq->entry) : ERR_NOMEM;
    }
    /* It was not opened, and a full journal has sums for no more kinds of calls; or it grew beyond
     * reason: then the next start closes it as lost. */
    if (e)
        tell_unrecorded(rq, e);
}
