/*
 * realtime — events on their way, and what they cost.
 */
#include "dataplane/ai/realtime.h"

#include "common/base/mem.h"
#include "common/net/http_server.h"
#include "common/net/websocket.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_model_rules.h"
#include "dataplane/ai/dialect/openai_realtime.h"

#define PROMPT_STEP 4096 /* tokens: a prompt that grows is reserved for in steps of these */
/* A second of sound is ten tokens to a model, and in base64 10.7 KB where it is least (G.711);
 * twenty from it, and 64 KB (PCM of 24 kHz). Others are no denser. */
#define SOUND_IN_BYTES 512
#define SOUND_OUT_BYTES 2048

struct realtime {
    struct ai_call *call;
    struct websocket *upstream;
    const struct realtime_owner *owner;
    struct http_server *lender; /* of its descriptors; NULL: none are lent */
    bool automatic; /* the provider begins responses by itself; until it says so, it may */
    bool reads_more;
    bool waits_money; /* held: its first message waits, and the client with it */
    unsigned creates; /* response.create that went on and were not begun */
    unsigned running; /* responses that were begun and are not done */
    bool alone;       /* one of them the provider began by itself */
    /* of those that were asked for and are not done: */
    bool aside;      /* one may be no part of the conversation, and run beside one that is */
    bool own_prompt; /* one may have another prompt than the conversation's */
    uint64_t known;  /* tokens of the conversation after the last response, by the provider */
    uint64_t said;   /* tokens, at most, of what the client has said since; */
    uint64_t said_at_create; /* of them, when the first of `creates` went on */
    uint64_t said_at_begin;  /* of them, in the prompt of the last response */
    uint64_t buffered;       /* of them: sound that may be no part of the conversation yet, */
    uint64_t since_commit;   /* and what of it came behind the first commit under way */
    unsigned commits;        /* under way */
    uint64_t written_bytes, sound_bytes; /* of running responses */
    uint64_t events, events_at_beat;
    char transcriber[REALTIME_NAME_MAX];
    size_t transcriber_len;
    struct list held; /* messages of the client; the first waits for money */
    size_t held_len;
    unsigned errors; /* that the client was told */
    enum err lost;   /* how the connection with the upstream ended, if it has */
};

struct held {
    struct list link;
    bool noted;
    size_t len;
    char bytes[];
};

static void end_session(struct ai_call *c, enum request_outcome end, struct slice code,
                        unsigned close_code, const char *reason);

/* ---- what the next response may cost ---- */

static uint64_t context_of(const struct realtime *r)
{
    const struct ai_call *c = r->call;
    const struct candidate *t = &c->candidates[c->candidate_next - 1];
    return t->context_tokens ? t->context_tokens : LIMIT_REALTIME_CONTEXT;
}

static uint64_t prompt_at_most(const struct realtime *r)
{
    uint64_t most = context_of(r), seen = r->known + r->said;
    seen = (seen + PROMPT_STEP - 1) / PROMPT_STEP * PROMPT_STEP;
    return r->reads_more || seen > most ? most : seen;
}

/* What is running, what was asked for, `more`, and what the provider may begin: where another one
 * of the conversation runs that is only behind it, as a conversation has one at a time. */
static enum err reserve(struct realtime *r, unsigned more)
{
    unsigned n = r->running + r->creates + more;
    if (r->automatic && (!n || (r->aside && !r->alone)))
        n++;
    return ai_cost_reserve_responses(r->call, prompt_at_most(r), n);
}

/* ---- to the client ---- */

static void tell_client(struct ai_call *c, struct slice event)
{
    enum sink_result s = response_write(c->rq, event);
    if (s == SINK_FULL) {
        websocket_hold(c->realtime->upstream);
        exchange_hold(c->exchange, EXCHANGE_HOLD_CLIENT);
    } else if (s != SINK_OK && !ai_call_is_over(c)) {
        end_session(c, OUTCOME_CANCELLED, SLICE("client_closed"), 1011, "the client does not read");
    }
}

/* An error that does not end the session. */
static void tell_error(struct ai_call *c, enum refusal_id id, const char *param, struct slice why)
{
    struct buf out;
    const struct refusal said = {.id = id, .detail = why};
    const struct ai_error e = {
        .status = refusal_row(id)->status,
        .type = id == REFUSAL_BUDGET ? SLICE("insufficient_quota") : SLICE_NONE,
        .message = refusal_sentence(&said, c->rq->arena),
        .code = slice_str(refusal_row(id)->code),
        .param = slice_str(param),
        .request_id = ai_call_id(c),
    };
    if (++c->realtime->errors > LIMIT_REALTIME_ERRORS) {
        end_session(c, OUTCOME_ERROR, SLICE("errors"), 1008, "too many errors");
        return;
    }
    buf_init(&out, 64 * 1024);
    if (realtime_write_error(&out, &e) == ERR_OK)
        tell_client(c, buf_slice(&out));
    buf_fini(&out);
}

void realtime_on_client_drain(struct ai_call *c)
{
    if (response_is_full(c->rq) || !c->realtime->upstream || !c->exchange)
        return;
    websocket_release(c->realtime->upstream);
    exchange_release(c->exchange, EXCHANGE_HOLD_CLIENT);
}

/* ---- the end ---- */

/* `n` that were asked for or begun and are not counted by the provider: the prompt that is known,
 * and what was written to them all. */
static void bill_uncounted(struct realtime *r, unsigned n, uint64_t said)
{
    uint64_t output = r->written_bytes / 4 + r->sound_bytes / SOUND_OUT_BYTES;
    const struct token_count tokens = {.input = n * (r->known + said / 4),
                                       .output = output,
                                       .audio_output = r->sound_bytes / SOUND_OUT_BYTES};
    ai_cost_add_response(r->call, &tokens, true);
    r->written_bytes = r->sound_bytes = 0;
}

/* What will not be heard of. The provider may have begun what it was asked for. */
static void bill_running(struct realtime *r)
{
    unsigned n = r->running + r->creates;
    if (n)
        bill_uncounted(r, n, r->running ? r->said_at_begin : r->said);
    r->running = r->creates = 0;
}

/* The request may be refused before: then the client hears that in an error event first. */
static void end_session(struct ai_call *c, enum request_outcome end, struct slice code,
                        unsigned close_code, const char *reason)
{
    bill_running(c->realtime);
    websocket_free(&c->realtime->upstream);
    response_close_with(c->rq, close_code, reason);
    c->realtime->owner->finish(c, end, code);
}

static void end_for_money(struct ai_call *c)
{
    request_refuse(c->rq, REFUSAL_BUDGET,
                   SLICE("the budget that this session runs under holds no further response"));
    c->rq->refusal.no_retry = true;
    end_session(c, OUTCOME_REFUSED, SLICE("budget_exceeded"), 1008, "budget_exceeded");
}

/* A client secret of a time without a budget may have set it so. */
static void end_for_transcription(struct ai_call *c)
{
    request_refuse(c->rq, REFUSAL_UNBOUNDED,
                   SLICE("what a transcription costs is not known before it was made"));
    end_session(c, OUTCOME_REFUSED, SLICE("unbounded_cost"), 1008, "unbounded_cost");
}

static void lose(struct ai_call *c, enum err why)
{
    bool timed_out = why == ERR_TIMEOUT;
    request_refuse(c->rq, timed_out ? REFUSAL_UPSTREAM_TIMEOUT : REFUSAL_UPSTREAM,
                   SLICE("it broke off the session"));
    end_session(c, OUTCOME_ERROR, slice_str(err_name(why)), 1011, "the upstream is gone");
}

/* What came before may still be on its way through libwebsockets, a close of its own above all.
 * What waits for the upstream goes nowhere now, and must not hold up the end. */
void realtime_on_lost(struct ai_call *c, enum err why)
{
    c->realtime->lost = why;
    websocket_finish(c->realtime->upstream);
    websocket_flow(c->realtime->upstream);
    if (why == ERR_TIMEOUT)
        lose(c, why);
}

/* RFC 6455, section 7.4: those that may stand in a close frame. */
static bool may_be_said(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static void on_upstream_close(void *arg, unsigned code, struct slice reason)
{
    struct realtime *r = arg;
    struct ai_call *c = r->call;
    if (c->state != AI_CALL_SESSION) {
        /* libwebsockets gave up before the upgrade: there is no way to have a session */
        request_refuse(c->rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        r->owner->finish(c, OUTCOME_ERROR, SLICE("no_websocket"));
        return;
    }
    if (code != 1000 && code != 1001 && code != 1005) {
        exchange_log_lost(c->exchange, code ? ERR_CLOSED : ERR_PROTOCOL);
        if (!may_be_said(code)) {
            lose(c, code ? ERR_CLOSED : ERR_PROTOCOL);
            return;
        }
    }
    const char *said = arena_printf(c->rq->arena, "%.*s%c", SLICE_ARG(reason), 0).ptr;
    bool well = code == 1000 || code == 1001 || code == 1005;
    end_session(c, well ? OUTCOME_OK : OUTCOME_ERROR,
                well ? SLICE_NONE : arena_printf(c->rq->arena, "closed_%u", code),
                code == 1005 ? 1000 : code, said ? said : "");
}

void realtime_on_client_end(struct ai_call *c)
{
    end_session(c, OUTCOME_OK, SLICE_NONE, 1000, "");
}

/* Which code says best why, for a client that tries again or does not. */
void realtime_on_cancel(struct ai_call *c)
{
    enum refusal_id id = c->rq->refusal.id;
    bool plane = id == REFUSAL_DRAINED || id == REFUSAL_REMOVED;
    bill_running(c->realtime);
    websocket_free(&c->realtime->upstream);
    response_close_with(c->rq, plane ? 1001 : 1008, refusal_row(id)->code);
}

void realtime_on_idle(struct ai_call *c)
{
    struct realtime *r = c->realtime;
    if (r->events != r->events_at_beat) {
        r->events_at_beat = r->events;
        timer_start(&c->beat, LIMIT_REALTIME_IDLE_MS);
        return;
    }
    end_session(c, OUTCOME_OK, SLICE("idle"), 1001, "idle");
}

/* ---- from the upstream ---- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What a response that begins now reads of what was said. */
static uint64_t said_so_far(const struct realtime *r)
{
    return r->said - smaller(r->said, r->buffered);
}

/* How long the conversation is, as far as the response shows it: one that was called off before its
 * prompt was read, or whose prompt was another one, shows less, and what was said still counts. */
static void learn_length(struct realtime *r, const struct realtime_heard *h,
                         const struct token_count *tokens)
{
    uint64_t seen = tokens->input + tokens->output;
    bool shows_it = tokens->input && !r->own_prompt && !(r->aside && h->unsaid_of_aside);
    if (h->aside)
        return;
    r->known = shows_it ? seen : larger(r->known + tokens->output, seen);
    if (shows_it) {
        r->said -= smaller(r->said, r->said_at_begin);
        r->said_at_create -= smaller(r->said_at_create, r->said_at_begin);
    }
    r->said_at_begin = 0;
}

/* Nothing is under way: what comes next is of the conversation again. */
static void rest(struct realtime *r)
{
    if (!r->running && !r->creates)
        r->aside = r->own_prompt = r->alone = false;
}

static void take_usage(struct realtime *r, const struct realtime_heard *h)
{
    struct token_count tokens;
    bool counted = ai_usage_count(&h->usage, &tokens) == AI_COUNTED_ALL;
    if (r->running)
        r->running--;
    else
        r->creates -= r->creates > 0;
    if (counted) {
        ai_cost_add_response(r->call, &tokens, false);
        learn_length(r, h, &tokens);
    } else if (r->written_bytes || r->sound_bytes) {
        bill_uncounted(r, 1, r->said_at_begin);
    }
    r->written_bytes = r->sound_bytes = 0;
    r->alone = false; /* of several it is not known which one this was */
    rest(r);
}

/* The provider commits by itself too, where it detects turns. */
static void take_committed(struct realtime *r)
{
    r->buffered = r->commits ? r->since_commit : 0;
    r->commits -= r->commits > 0;
}

/* true: nothing was reserved for it */
static bool take_created(struct realtime *r, const struct realtime_heard *h)
{
    bool asked = r->creates > 0;
    /* what was said behind the create may be here before the word of its begin */
    uint64_t said = asked ? r->said_at_create : said_so_far(r);
    r->creates -= asked;
    r->running++;
    r->alone = r->alone || !asked;
    if (!h->aside)
        r->said_at_begin = said;
    return !asked;
}

static void take_transcription(struct realtime *r, const struct realtime_heard *h)
{
    struct ai_call *c = r->call;
    const struct candidate *t = &c->candidates[c->candidate_next - 1];
    struct token_count tokens = {0};
    struct slice name = slice_of(r->transcriber, r->transcriber_len);
    const struct price_sheet *sheet = candidates_team_price(c->rq->policy, c->rq->who.team, name);
    const struct policy_catalogue_model *m =
        sheet ? NULL : catalogue_model_of(c->rq->policy, t->provider, name);
    if (m)
        sheet = &m->price;
    ai_usage_count(&h->usage, &tokens);
    ai_cost_add_transcription(c, h->by_duration ? NULL : sheet, &tokens);
}

/* true: the session has ended */
static bool take_heard(struct realtime *r, const struct realtime_heard *h)
{
    bool more = false;
    switch (h->kind) {
    case REALTIME_HEARD_SESSION:
        r->automatic = h->automatic;
        r->reads_more = r->reads_more || h->reads_more;
        memcpy(r->transcriber, h->transcriber, h->transcriber_len);
        r->transcriber_len = h->transcriber_len;
        break;
    case REALTIME_HEARD_CREATED:
        more = take_created(r, h);
        break;
    case REALTIME_HEARD_TEXT:
        r->written_bytes += h->bytes;
        break;
    case REALTIME_HEARD_SOUND:
        r->sound_bytes += h->bytes;
        break;
    case REALTIME_HEARD_DONE:
        take_usage(r, h);
        break;
    case REALTIME_HEARD_TRANSCRIBED:
        take_transcription(r, h);
        break;
    case REALTIME_HEARD_REFUSED:
        r->creates -= r->creates > 0;
        rest(r);
        break;
    case REALTIME_HEARD_COMMITTED:
        take_committed(r);
        break;
    case REALTIME_HEARD_EMPTY:
        r->commits -= r->commits > 0;
        break;
    case REALTIME_HEARD_OTHER:
        break;
    }
    if (r->automatic && (h->kind == REALTIME_HEARD_DONE || h->kind == REALTIME_HEARD_SESSION ||
                         h->kind == REALTIME_HEARD_TRANSCRIBED))
        more = true;
    return more && reserve(r, 0) == ERR_EXHAUSTED;
}

static void on_upstream_message(void *arg, struct slice text)
{
    struct realtime *r = arg;
    struct ai_call *c = r->call;
    struct realtime_heard h;
    r->events++;
    realtime_read_heard(text, &h);
    tell_client(c, text);
    if (ai_call_is_over(c))
        return;
    if (h.transcribes && budget_reserved(c->rq))
        end_for_transcription(c);
    else if (take_heard(r, &h))
        end_for_money(c);
}

void realtime_on_upstream(struct ai_call *c, struct slice bytes)
{
    if (websocket_feed(c->realtime->upstream, bytes))
        lose(c, ERR_TOO_BIG);
    else if (!websocket_is_fed(c->realtime->upstream))
        exchange_hold(c->exchange, EXCHANGE_HOLD_FILTER);
}

static void on_upstream_fed(void *arg)
{
    struct realtime *r = arg;
    if (r->call->exchange)
        exchange_release(r->call->exchange, EXCHANGE_HOLD_FILTER);
}

/* ---- from the client ---- */

static void hold_client(struct ai_call *c)
{
    request_pause_body(c->rq);
}

static void release_client(struct ai_call *c)
{
    struct realtime *r = c->realtime;
    if (!r->waits_money && !websocket_is_full(r->upstream))
        request_resume_body(c->rq);
}

static enum err pass_on(struct realtime *r, const struct realtime_said *s, struct slice message)
{
    struct ai_call *c = r->call;
    struct slice name = c->candidates[c->candidate_next - 1].model;
    enum err e;
    if (s->model_len && !slice_eq(name, c->request.model)) {
        struct buf out;
        const char *at = s->model.raw.ptr, *behind = at + s->model.raw.len;
        buf_init(&out, LIMIT_WEBSOCKET_MESSAGE + REALTIME_NAME_MAX);
        e = buf_append(&out, slice_of(message.ptr, (size_t)(at - message.ptr)));
        if (!e)
            e = buf_json_string(&out, name);
        if (!e)
            e = buf_append(&out, slice_of(behind, (size_t)(message.ptr + message.len - behind)));
        if (!e)
            e = websocket_send(r->upstream, buf_slice(&out));
        buf_fini(&out);
    } else {
        e = websocket_send(r->upstream, message);
    }
    if (websocket_is_full(r->upstream))
        hold_client(c);
    return e;
}

/* A right, or what cannot be bounded under a budget. false: the client was told. */
static bool may_say(struct realtime *r, const struct realtime_said *s)
{
    struct ai_call *c = r->call;
    if (s->model_len && !slice_eq(slice_of(s->model_name, s->model_len), c->request.model)) {
        tell_error(c, REFUSAL_MODEL_UNKNOWN, "session.model",
                   slice_of(s->model_name, s->model_len));
        return false;
    }
    if (!s->transcriber_len)
        return true;
    struct slice transcriber = slice_of(s->transcriber, s->transcriber_len);
    if (!ai_may_use(c->rq, transcriber)) {
        tell_error(c, REFUSAL_MODEL_UNKNOWN, "session.audio.input.transcription.model",
                   transcriber);
        return false;
    }
    if (budget_reserved(c->rq)) {
        tell_error(c, REFUSAL_UNBOUNDED, "session.audio.input.transcription",
                   SLICE("what a transcription costs is not known before it was made"));
        return false;
    }
    return true;
}

static void note_said(struct realtime *r, const struct realtime_said *s, size_t len)
{
    const struct ai_call *c = r->call;
    struct slice model = c->candidates[c->candidate_next - 1].model;
    r->reads_more = r->reads_more || s->reads_more;
    uint64_t most = s->kind == REALTIME_SAYS_AUDIO ? len / SOUND_IN_BYTES + 1 : len;
    if (s->kind == REALTIME_SAYS_COMMIT && r->commits++ == 0)
        r->since_commit = 0;
    if (s->kind == REALTIME_SAYS_AUDIO) {
        r->buffered += most;
        r->since_commit += most;
    }
    r->said += most;
    r->said += s->images ? s->images * ai_model_image_tokens(model, false) : 0;
}

static void lose_upstream(struct ai_call *c)
{
    lose(c, ERR_CLOSED);
}

/* ERR_TOO_BIG: so much came although the client was held that it is no accident. */
static enum err hold_message(struct realtime *r, struct slice message, bool noted, bool first)
{
    if (r->held_len + message.len > 2 * LIMIT_WEBSOCKET_MESSAGE)
        return ERR_TOO_BIG;
    struct held *h = mem_alloc(sizeof(*h) + message.len);
    if (!h)
        return ERR_NOMEM;
    list_init(&h->link);
    h->noted = noted;
    h->len = message.len;
    memcpy(h->bytes, message.ptr, message.len);
    if (first)
        list_push_first(&r->held, &h->link);
    else
        list_push(&r->held, &h->link);
    r->held_len += message.len;
    return ERR_OK;
}

static struct held *take_held(struct realtime *r)
{
    struct list *it = list_take_first(&r->held);
    struct held *h = it ? LIST_ITEM(it, struct held, link) : NULL;
    r->held_len -= h ? h->len : 0;
    return h;
}

/* The message was noted already. */
static void take_noted(struct realtime *r, const struct realtime_said *s, struct slice message)
{
    struct ai_call *c = r->call;
    bool create = s->kind == REALTIME_SAYS_CREATE;
    r->aside = r->aside || s->aside;
    r->own_prompt = r->own_prompt || s->own_prompt;
    enum err e = create || r->automatic ? reserve(r, create) : ERR_OK;
    if (e == ERR_AGAIN) {
        r->waits_money = true;
        hold_client(c);
        if (hold_message(r, message, true, true))
            lose_upstream(c);
        return;
    }
    if (e && !create) {
        end_for_money(c);
        return;
    }
    if (e) {
        rest(r);
        tell_error(c, REFUSAL_BUDGET, "response",
                   SLICE("the budget that this session runs under holds no further response"));
        return;
    }
    if (create && !r->creates)
        r->said_at_create = said_so_far(r);
    r->creates += create;
    if (pass_on(r, s, message))
        lose_upstream(c);
}

static void take_message(struct realtime *r, struct slice message, bool noted)
{
    struct ai_call *c = r->call;
    struct realtime_said s;
    struct slice why;
    if (realtime_read_said(message, &s, &why)) {
        tell_error(c, REFUSAL_BAD_JSON, NULL, why);
        return;
    }
    if (!noted && !may_say(r, &s))
        return;
    if (!noted)
        note_said(r, &s, message.len);
    take_noted(r, &s, message);
}

/* A message may come although the client is held: the last one that was under way. */
void realtime_on_client(struct ai_call *c, struct slice message)
{
    struct realtime *r = c->realtime;
    r->events++;
    if (!r->waits_money)
        take_message(r, message, false);
    else if (hold_message(r, message, false, false))
        lose_upstream(c);
}

/* There is no money for what the first held message needs. false: the session has ended. */
static bool drop_held(struct realtime *r)
{
    struct ai_call *c = r->call;
    struct held *h = take_held(r);
    struct realtime_said s;
    struct slice why;
    bool create = h && !realtime_read_said(slice_of(h->bytes, h->len), &s, &why) &&
                  s.kind == REALTIME_SAYS_CREATE;
    mem_free(h);
    rest(r);
    if (create)
        tell_error(c, REFUSAL_BUDGET, "response",
                   SLICE("the budget that this session runs under holds no further response"));
    else
        end_for_money(c);
    return !ai_call_is_over(c);
}

void realtime_on_reserved(struct ai_call *c, enum err e)
{
    struct realtime *r = c->realtime;
    struct held *h;
    if (!r->waits_money) {
        if (e && (r->automatic || r->alone))
            end_for_money(c);
        return;
    }
    r->waits_money = false;
    if (e && !drop_held(r))
        return;
    while (!ai_call_is_over(c) && !r->waits_money && (h = take_held(r))) {
        take_message(r, slice_of(h->bytes, h->len), h->noted);
        mem_free(h);
    }
    if (!ai_call_is_over(c))
        release_client(c);
}

/* ---- the upstream's WebSocket ---- */

static void on_upstream_bytes(void *arg, struct slice bytes)
{
    struct realtime *r = arg;
    struct ai_call *c = r->call;
    if (r->lost)
        return;
    if (!c->exchange || exchange_write(c->exchange, bytes))
        lose_upstream(c);
    else if (exchange_is_full(c->exchange))
        websocket_stall(r->upstream);
}

void realtime_on_upstream_drain(struct ai_call *c)
{
    websocket_flow(c->realtime->upstream);
}

static void on_upstream_drain(void *arg)
{
    struct realtime *r = arg;
    release_client(r->call);
}

/* Its request: the key is what the attempts need of it. */
static void on_upstream_head(void *arg, const struct http_head *head)
{
    struct realtime *r = arg;
    struct ai_call *c = r->call;
    c->websocket_key = arena_copy(c->rq->arena, http_head_find(head, SLICE("sec-websocket-key")));
    if (c->websocket_key.len)
        r->owner->on_ready(c);
    else
        on_upstream_close(r, 0, SLICE_NONE);
}

static const struct websocket_events upstream_events = {.on_head = on_upstream_head,
                                                        .on_bytes = on_upstream_bytes,
                                                        .on_message = on_upstream_message,
                                                        .on_drain = on_upstream_drain,
                                                        .on_fed = on_upstream_fed,
                                                        .on_close = on_upstream_close};

void realtime_on_open(struct ai_call *c, const struct http_head *head)
{
    struct realtime *r = c->realtime;
    struct slice accept = http_head_find(head, SLICE("sec-websocket-accept"));
    ai_call_move(c, AI_CALL_SESSION);
    ai_cost_add_response(c, &(struct token_count){0}, false);
    if (websocket_opened(r->upstream, accept) ||
        response_begin(c->rq, 101, NULL, 0, UINT64_MAX) > SINK_FULL) {
        request_refuse(c->rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        end_session(c, OUTCOME_ERROR, SLICE("no_websocket"), 1011, "");
        return;
    }
    timer_start(&c->beat, LIMIT_REALTIME_IDLE_MS);
}

/* Sessions may not take what connections and upstreams need. */
static bool borrow_descriptors(struct realtime *r)
{
    struct http_server *clients = r->call->rq->env->clients;
    if (!clients || !http_server_lend(clients, LIMIT_REALTIME_DESCRIPTORS))
        return false;
    r->lender = clients;
    return true;
}

void realtime_start(struct ai_call *c, const struct realtime_owner *owner)
{
    struct websockets *all = request_env_websockets(c->rq->env);
    struct realtime *r = all ? mem_zalloc(sizeof(*r)) : NULL;
    if (r) {
        r->call = c;
        r->owner = owner;
        r->automatic = true;
        r->known =
            AI_SESSION_PROMPT / 2; /* and as much again may be said before more is reserved */
        list_init(&r->held);
        c->realtime = r;
    }
    bool lent = r && borrow_descriptors(r);
    if (lent && !websocket_dial(all, &upstream_events, r, &r->upstream))
        return;
    request_refuse(c->rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
    owner->finish(c, OUTCOME_ERROR, r && !lent ? SLICE("no_descriptors") : SLICE("no_websocket"));
}

void realtime_free(struct realtime **at)
{
    struct realtime *r = *at;
    *at = NULL;
    if (!r)
        return;
    struct held *h;
    while ((h = take_held(r)))
        mem_free(h);
    websocket_free(&r->upstream);
    if (r->lender && r->call->rq->env->clients == r->lender)
        http_server_take_back(r->lender, LIMIT_REALTIME_DESCRIPTORS);
    mem_free(r);
}
