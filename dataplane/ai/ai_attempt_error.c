/*
 * ai_attempt_error — what it means that an attempt failed: its status and body, an error in a 200,
 * a body that is no response, a connection that broke. What it cost, whether another target is
 * tried, and what the client hears otherwise.
 */
#include "dataplane/ai/ai_attempt_private.h"
#include "dataplane/ai/ai_cost.h"

/* ---- a status other than 200 ---- */

static enum refusal_id refusal_for(unsigned status)
{
    switch (status) {
    case 503:
    case 529: /* Anthropic: overloaded */
        return REFUSAL_NO_TARGET;
    case 408:
    case 504:
        return REFUSAL_UPSTREAM_TIMEOUT;
    default:
        return REFUSAL_UPSTREAM;
    }
}

static struct slice detail_of(struct ai_call *c, const struct ai_fault *f)
{
    struct arena *a = c->rq->arena;
    const char *colon = f->text.len ? ": " : "";
    if (f->verdict == AI_CREDENTIAL_BAD)
        return arena_printf(a, "it refused the gateway's credential%s%.*s", colon,
                            SLICE_ARG(f->text));
    return arena_printf(a, "it answered with status %u%s%.*s", c->status, colon,
                        SLICE_ARG(f->text));
}

/* An upstream's refusal of the request itself, which no other target would take either. */
static void finish_refused(struct ai_call *c, const struct ai_fault *f)
{
    const struct ai_dialect *d = c->endpoint->dialect;
    struct slice body = buf_slice(&c->gathered);
    bool passes = c->native && d->is_error(body);
    ai_attempt_close(c, OUTCOME_ERROR, arena_printf(c->rq->arena, "status_%u", c->status));
    if (!passes) {
        struct buf *out = &c->rq->env->scratch;
        struct ai_error e = {
            .status = c->status,
            .message = f->text.len
                           ? f->text
                           : arena_printf(c->rq->arena, "The upstream answered with status %u.",
                                          c->status),
            .code = f->verdict == AI_TOO_LONG ? SLICE("context_length_exceeded") : f->code,
            .request_id = ai_call_id(c),
        };
        buf_clear(out);
        body = d->write_error(out, &e) ? SLICE_NONE : arena_copy(c->rq->arena, buf_slice(out));
    }
    ai_attempt_finish_with(c, OUTCOME_ERROR, !passes, body);
}

/* The last target's 429 is told as it is, where the client can read it. */
static bool is_told_as_it_is(const struct ai_call *c, const struct ai_fault *f)
{
    return f->verdict == AI_LIMITED && !ai_attempt_may_try_another(c) && c->native &&
           c->endpoint->dialect->is_error(buf_slice(&c->gathered));
}

static bool is_another_credentials(enum ai_verdict v)
{
    return v == AI_CREDENTIAL_BAD || v == AI_LIMITED;
}

/* The target has no such path, and is told the same in another way. */
static bool is_missing(struct ai_call *c)
{
    bool may_be = c->status == 404 || c->status == 405 || c->status == 501;
    return may_be && c->provider->note_missing && c->rq->record.attempt_count < LIMIT_ATTEMPTS &&
           c->provider->note_missing(ai_attempt_current(c)->provider, buf_slice(&c->gathered));
}

static void tell_otherwise(struct ai_call *c)
{
    ai_attempt_close(c, OUTCOME_ERROR, SLICE("no_such_path"));
    ai_call_move(c, AI_CALL_IDLE);
    c->path_missing = true;
    c->candidate_next--;
    ai_attempt_fall_back(c);
}

/* The body of a status other than 200 has come, or as much of it as was waited for. */
void ai_attempt_take_error(struct ai_call *c)
{
    struct ai_fault f;
    struct token_count tokens;
    if (is_missing(c)) {
        tell_otherwise(c);
        return;
    }
    c->provider->read_error(c->status, buf_slice(&c->gathered), c->rq->arena, &f);
    if (c->error_word.len)
        c->provider->read_error_word(c->error_word, &f);
    if (ai_usage_count(&f.usage, &tokens) == AI_COUNTED_ALL)
        ai_cost_failed_counted(c, &tokens);
    c->limited = c->limited || f.verdict == AI_LIMITED;
    ai_attempt_note_wait(c, f.retry_after_s);
    if (f.verdict == AI_CREDENTIAL_BAD && c->exchange)
        exchange_judge(c->exchange, ENDPOINT_REFUSED);
    if (f.verdict == AI_CREDENTIAL_BAD && c->token)
        access_token_doubt(c->rq->env->upstreams.tokens,
                           &ai_attempt_current(c)->credential->token_key);
    if (is_another_credentials(f.verdict))
        ai_attempt_mark_credential(c, ai_attempt_current(c)->credential);
    bool fatal = f.verdict == AI_FATAL || f.verdict == AI_TOO_LONG || f.verdict == AI_CONTENT;
    if (fatal || is_told_as_it_is(c, &f))
        finish_refused(c, &f);
    else
        ai_attempt_fail(c, refusal_for(c->status),
                        arena_printf(c->rq->arena, "status_%u", c->status), detail_of(c, &f));
}

void ai_attempt_no_response(struct ai_call *c, struct slice code, struct slice detail)
{
    exchange_log_lost(c->exchange, ERR_PROTOCOL);
    exchange_judge(c->exchange, ENDPOINT_FAILED);
    ai_attempt_fail(c, REFUSAL_UPSTREAM, code, detail);
}

/* 200, and an error inside (dialects.md 2.10, 26): it costs nothing, unless it reports usage. */
void ai_attempt_failed_by_body(struct ai_call *c)
{
    struct ai_fault f;
    struct token_count tokens;
    c->provider->read_error(500, buf_slice(&c->gathered), c->rq->arena, &f);
    if (ai_usage_count(&f.usage, &tokens) == AI_COUNTED_ALL)
        ai_cost_failed_counted(c, &tokens);
    c->limited = c->limited || f.verdict == AI_LIMITED;
    ai_attempt_no_response(c, SLICE("error_in_answer"),
                           f.text.len ? f.text : SLICE("it answered with an error"));
}

/* A body that is no response of a model: the prompt may have been read. */
void ai_attempt_failed_by_form(struct ai_call *c, struct slice code, struct slice detail)
{
    ai_cost_failed(c);
    ai_attempt_no_response(c, code, detail);
}

static enum refusal_id refusal_for_loss(enum err why)
{
    if (why == ERR_EXHAUSTED)
        return REFUSAL_NO_CAPACITY;
    return why == ERR_TIMEOUT ? REFUSAL_UPSTREAM_TIMEOUT : REFUSAL_UPSTREAM;
}

/* It took the request. One that hung up without a word has failed; where a response had begun and
 * broke off it may have done all the work; where we gave up, we took the request back. */
static void bill_lost(struct ai_call *c, const struct exchange_failure *f)
{
    bool begun = c->status != 0;
    if (f->phase < HTTP_PHASE_FIRST_BYTE || (begun && c->status != 200))
        return;
    if (f->why == ERR_TIMEOUT)
        ai_cost_cancelled(c);
    else if (begun && c->state != AI_CALL_OPENING)
        ai_cost_unread(c);
    else
        ai_cost_failed(c);
}

void ai_attempt_lost(struct ai_call *c, const struct exchange_failure *f)
{
    c->status = exchange_status(c->exchange);
    bill_lost(c, f);
    ai_attempt_fail(c, refusal_for_loss(f->why), f->code, f->text);
}
