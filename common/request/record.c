/*
 * record — a request as the records the journal keeps (proto/usage.proto, JournalRecord).
 *
 * Texts that a client chose are clipped: a record is what happened, not a place to store things,
 * and an opened one must fit its slot.
 */
#include <inttypes.h>

#include "common/base/clock.h"
#include "common/request/filter_budget.h"
#include "common/request/request_metrics.h"
#include "common/request/request_private.h"
#include "common/wire/proto_write.h"

#define RECORD_ROOM (16 * 1024) /* LIMIT_ATTEMPTS attempts with every text at its longest */
#define WORD_MAX 128            /* a name or an id */
#define OPENED_PATH 256         /* the opened record lies in a slot of fixed size */
#define CLOSED_PATH 1024
#define TELL_US 1000000 /* between two lines about records that were not taken */

/* field numbers of proto/usage.proto; tests/unit/request/test_record.c holds them against it */
enum span_field {
    SPAN_ID = 1,
    SPAN_PARENT = 2,
    SPAN_TRACE_ID = 3,
    SPAN_GATE = 4,
    SPAN_KIND = 5,
    SPAN_NAME = 6,
    SPAN_ORG = 7,
    SPAN_TEAM = 8,
    SPAN_AGENT = 9,
    SPAN_KEY = 10,
    SPAN_TASK = 11,
    SPAN_SESSION = 12,
    SPAN_EXTERNAL = 13,
    SPAN_NAMED_BY = 14,
    SPAN_STARTED = 15,
    SPAN_DURATION = 16,
    SPAN_OVERHEAD = 17,
    SPAN_STATUS = 18,
    SPAN_CODE = 19,
    SPAN_HTTP_STATUS = 20,
    SPAN_MODEL = 21,
    SPAN_PROVIDER = 22,
    SPAN_SERVER = 23,
    SPAN_TOOL = 24,
    SPAN_SERVICE = 25,
    SPAN_METHOD = 26,
    SPAN_PATH = 27,
    SPAN_TOKENS = 28,
    SPAN_COST_KNOWN = 29,
    SPAN_COST = 30,
    SPAN_USAGE_SOURCE = 31,
    SPAN_ATTEMPTS = 32,
    SPAN_CACHE = 33,
    SPAN_UPSTREAM_REQUEST_ID = 36,
};
enum tokens_field { TOKENS_INPUT = 1, TOKENS_READ, TOKENS_WRITE, TOKENS_OUTPUT, TOKENS_REASONING };
enum charge_field { CHARGE_ACCOUNT = 1, CHARGE_LEASE, CHARGE_AMOUNT };
enum record_field { RECORD_CALL_ID = 1, RECORD_OPENED, RECORD_SPAN, RECORD_ATTEMPT, RECORD_CHARGE };

static const char *const end_names[] = {"ok", "refused", "error", "cancelled"};

/* Clipped at a character's first byte: what was UTF-8 stays it. */
static struct slice clip(struct slice s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max > 0 && ((unsigned char)s.ptr[max] & 0xC0) == 0x80)
        max--;
    return slice_first(s, max);
}

static void put_name(struct proto_writer *w, unsigned field, struct slice s)
{
    proto_text(w, field, clip(s, WORD_MAX));
}

static void put_tokens(struct proto_writer *w, const struct token_count *t)
{
    char *at = proto_begin(w, SPAN_TOKENS);
    proto_u64(w, TOKENS_INPUT, t->input);
    if (t->cache_read)
        proto_u64(w, TOKENS_READ, t->cache_read);
    if (t->cache_write)
        proto_u64(w, TOKENS_WRITE, t->cache_write);
    proto_u64(w, TOKENS_OUTPUT, t->output);
    if (t->reasoning)
        proto_u64(w, TOKENS_REASONING, t->reasoning);
    proto_end(w, at);
}

static void put_principal(struct proto_writer *w, const struct request *rq)
{
    const struct principal *who = &rq->who;
    if (who->key) {
        proto_text(w, SPAN_ORG, who->key->o.org_id);
        proto_text(w, SPAN_KEY, who->key->o.id);
    }
    if (who->team)
        proto_text(w, SPAN_TEAM, who->team->o.id);
    if (who->agent)
        proto_text(w, SPAN_AGENT, who->agent->o.id);
    if (rq->task)
        proto_text(w, SPAN_TASK, rq->task->o.id);
    if (rq->session.known) {
        proto_text(w, SPAN_SESSION, slice_of(rq->session.id, SESSION_ID_LEN));
        put_name(w, SPAN_EXTERNAL, rq->session.external_id);
        proto_word(w, SPAN_NAMED_BY, rq->session.named_by);
    }
}

/* what is known of a call whether it is over or not */
static void put_call(struct proto_writer *w, const struct request *rq, size_t path_max)
{
    const struct call_record *t = &rq->record;
    proto_word(w, SPAN_ID, t->span_id);
    proto_word(w, SPAN_PARENT, t->parent_id);
    proto_word(w, SPAN_TRACE_ID, t->trace_id);
    proto_word(w, SPAN_GATE, rq->gate->name);
    proto_word(w, SPAN_KIND, "call");
    put_name(w, SPAN_NAME, t->name);
    put_principal(w, rq);
    proto_s64(w, SPAN_STARTED, rq->started_at_us);
    put_name(w, SPAN_MODEL, t->model);
    put_name(w, SPAN_PROVIDER, t->provider);
    put_name(w, SPAN_SERVER, t->server);
    put_name(w, SPAN_TOOL, t->tool);
    put_name(w, SPAN_SERVICE, t->service);
    put_name(w, SPAN_METHOD, rq->head->method);
    proto_text(w, SPAN_PATH, clip(t->path, path_max));
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

static void put_outcome(struct proto_writer *w, const struct request *rq, unsigned status)
{
    const struct call_record *t = &rq->record;
    proto_u64(w, SPAN_DURATION, request_took_us(rq));
    proto_u64(w, SPAN_OVERHEAD, request_overhead_us(rq));
    proto_word(w, SPAN_STATUS, end_names[rq->end]);
    put_name(w, SPAN_CODE, code_of(rq));
    if (status)
        proto_u64(w, SPAN_HTTP_STATUS, status);
    if (t->has_tokens) {
        put_tokens(w, &t->tokens);
        proto_u64(w, SPAN_COST_KNOWN, t->cost_known);
        if (t->cost_known)
            proto_s64(w, SPAN_COST, t->cost);
    }
    proto_word(w, SPAN_USAGE_SOURCE, t->usage_source);
    if (t->attempt_count)
        proto_u64(w, SPAN_ATTEMPTS, t->attempt_count);
    proto_word(w, SPAN_CACHE, t->cache);
}

/* only where the call's own span says something else */
static void put_unlike(struct proto_writer *w, unsigned field, struct slice s, struct slice of_call)
{
    if (!slice_eq(s, of_call))
        put_name(w, field, s);
}

static void put_attempt(struct proto_writer *w, const struct request *rq, const struct attempt *a)
{
    const struct call_record *t = &rq->record;
    char *at = proto_begin(w, RECORD_ATTEMPT);
    proto_word(w, SPAN_ID, a->span_id);
    put_unlike(w, SPAN_PROVIDER, a->provider, t->provider);
    put_unlike(w, SPAN_MODEL, a->model, t->model);
    put_unlike(w, SPAN_SERVER, a->server, t->server);
    put_unlike(w, SPAN_SERVICE, a->service, t->service);
    proto_s64(w, SPAN_STARTED, a->started_at_us);
    proto_u64(w, SPAN_DURATION, a->duration_us);
    proto_word(w, SPAN_STATUS, end_names[a->end]);
    put_name(w, SPAN_CODE, a->code);
    if (a->http_status)
        proto_u64(w, SPAN_HTTP_STATUS, a->http_status);
    if (a->tokens.input || a->tokens.output)
        put_tokens(w, &a->tokens);
    put_name(w, SPAN_UPSTREAM_REQUEST_ID, a->upstream_request_id);
    proto_end(w, at);
}

static void put_charges(struct proto_writer *w, const struct request *rq)
{
    size_t n;
    const struct budget_charge *charges = budget_charges(rq, &n);
    for (size_t i = 0; i < n; i++) {
        char *at = proto_begin(w, RECORD_CHARGE);
        proto_text(w, CHARGE_ACCOUNT, charges[i].account);
        proto_text(w, CHARGE_LEASE, charges[i].lease_id);
        proto_s64(w, CHARGE_AMOUNT, charges[i].amount);
        proto_end(w, at);
    }
}

/* The worker's scratch: a record is packed, kept, and forgotten within one call. */
static enum err begin(struct request *rq, struct proto_writer *w)
{
    char *room;
    buf_clear(&rq->env->scratch);
    enum err e = buf_room(&rq->env->scratch, RECORD_ROOM, &room);
    if (e)
        return e;
    *w = (struct proto_writer){.p = room, .end = room + RECORD_ROOM};
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
    /* What a kill would make of this call: its worst case. */
    money worst;
    if (budget_worst_case(rq, &worst)) {
        proto_u64(&w, SPAN_COST_KNOWN, true);
        proto_s64(&w, SPAN_COST, worst);
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
    proto_end(&w, at);
    for (size_t i = 0; !brief && i < rq->record.attempt_count; i++)
        put_attempt(&w, rq, &rq->record.attempts[i]);
    put_charges(&w, rq);
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
    /* Where every slot is taken, nobody is stopped whom no budget holds. */
    size_t charges;
    budget_charges(rq, &charges);
    return e == ERR_EXHAUSTED && charges == 0 ? ERR_OK : e;
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
