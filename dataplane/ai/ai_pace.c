/* ai_pace — the way of one attempt through the ceiling of its credential. */
#include "dataplane/ai/ai_pace.h"

#include "common/base/clock.h"
#include "common/request/request_metrics.h"
#include "common/upstream/limit_headers.h"
#include "dataplane/ai/ai_cost.h"
#include "dataplane/ai/ai_send.h"

#define US_PER_MS 1000u
#define US_PER_S 1000000u
#define OUTPUT_ESTIMATE 512 /* tokens, of a call that names no limit; settled by what it writes */

static struct ai_call *call_of(struct pace_wait *w)
{
    return CONTAINER_OF(w, struct ai_call, pace.wait);
}

/* ---- which credentials ---- */

static bool is_usable(const struct ai_call *c, const struct candidate *t, size_t i)
{
    bool is_current = t == &c->candidates[c->candidate_next - 1];
    if (i >= CANDIDATE_CREDENTIALS ||
        !(t->credentials >> i & 1)) /* its region is not the target's, or the team's */
        return false;
    return !is_current || !(c->credentials_bad >> i & 1);
}

/* Those of the target, its own first; the others by turns from there on. NULL: no more. */
static const struct policy_credential *credential_at(const struct ai_call *c,
                                                     const struct candidate *t, size_t nth)
{
    const struct policy_provider *p = t->provider;
    size_t own = (size_t)(t->credential - p->credentials);
    if (nth == 0)
        return t->credential;
    if (c->stays || nth >= p->credential_count)
        return NULL;
    return &p->credentials[(own + nth) % p->credential_count];
}

static bool is_open(const struct ai_call *c, const struct candidate *t,
                    const struct policy_credential *k)
{
    return k == t->credential ||
           (k->weight > 0 && is_usable(c, t, (size_t)(k - t->provider->credentials)));
}

/* Takes from one of the target's that has room. *wait_us: where none has, until the soonest may. */
static bool take(struct ai_call *c, struct candidate *t, bool waits, uint64_t now_us,
                 uint64_t *wait_us)
{
    const struct policy_credential *k;
    *wait_us = UINT64_MAX;
    for (size_t n = 0; (k = credential_at(c, t, n)); n++) {
        uint64_t wait;
        if (!is_open(c, t, k))
            continue;
        if (!ceiling_take(k->ceiling, t->model, c->pace.tokens, waits, now_us, &c->pace.permit,
                          &wait)) {
            c->pace.taken = k->ceiling;
            t->credential = k;
            return true;
        }
        *wait_us = wait < *wait_us ? wait : *wait_us;
    }
    return false;
}

/* About how long a call would wait there; 0: not at all. */
static uint64_t wait_at(const struct ai_call *c, const struct candidate *t, uint64_t now_us)
{
    const struct policy_credential *k;
    uint64_t least = t->credential ? UINT64_MAX : 0;
    for (size_t n = 0; least && (k = credential_at(c, t, n)); n++) {
        if (!is_open(c, t, k))
            continue;
        uint64_t wait = ceiling_wait(k->ceiling, t->model, c->pace.tokens, now_us);
        least = wait < least ? wait : least;
    }
    return least;
}

/* At each credential that may take it, and at no other: there, calls would wait behind it in vain.
 */
static void count_in(struct ai_call *c)
{
    const struct candidate *t = &c->candidates[c->candidate_next - 1];
    const struct policy_credential *k;
    c->pace.waits_at = 0;
    for (size_t n = 0; (k = credential_at(c, t, n)); n++) {
        size_t i = (size_t)(k - t->provider->credentials);
        if (i >= CANDIDATE_CREDENTIALS || !is_open(c, t, k))
            continue;
        c->pace.waits_at |= 1ull << i;
        ceiling_add_waiting(k->ceiling, 1);
    }
}

static void count_out(struct ai_call *c)
{
    const struct policy_provider *p = c->candidates[c->candidate_next - 1].provider;
    for (size_t i = 0; i < CANDIDATE_CREDENTIALS; i++)
        if (c->pace.waits_at >> i & 1)
            ceiling_add_waiting(p->credentials[i].ceiling, -1);
    c->pace.waits_at = 0;
}

/* ---- what it takes ---- */

static uint64_t tokens_of(const struct ai_call *c)
{
    uint64_t prompt = ai_cost_prompt_guess(c);
    if (c->endpoint->kind != AI_CHAT)
        return prompt;
    uint64_t each = c->request.output_ceiling;
    if (!each)
        each = c->output_default ? c->output_default : OUTPUT_ESTIMATE;
    uint64_t most = c->request.choices ? each * c->request.choices : each;
    return prompt + (most < LIMIT_AI_TOKENS ? most : LIMIT_AI_TOKENS);
}

/* What the client says of it counts among the calls of its team alone. */
static int priority_of(const struct ai_call *c)
{
    struct slice said = http_head_find(c->rq->head, SLICE("x-gatehouse-priority"));
    return slice_ieq(said, SLICE("high")) ? 1 : slice_ieq(said, SLICE("low")) ? -1 : 0;
}

static uint64_t deadline_of(const struct ai_call *c)
{
    unsigned ms = ai_send_patience_ms(c->rq->head);
    return c->rq->started_us +
           (uint64_t)(ms && ms < LIMIT_PACE_WAIT_MS ? ms : LIMIT_PACE_WAIT_MS) * US_PER_MS;
}

/* ---- no room ---- */

/* No later target is tried: there is none with room. */
static enum err refuse(struct ai_call *c, uint64_t wait_us)
{
    uint64_t s = (wait_us + US_PER_S - 1) / US_PER_S;
    unsigned after = s < 1 ? 1 : s < 86400 ? (unsigned)s : 86400;
    c->failure = (struct ai_failure){
        .refusal = REFUSAL_UPSTREAM_BUSY,
        .code = SLICE("ceiling"),
        .detail = SLICE("the gateway's credentials are at their limit, and too many calls wait"),
    };
    c->limited = true;
    if (!c->retry_after_s || after < c->retry_after_s)
        c->retry_after_s = after;
    c->candidate_next = c->candidate_count;
    c->credentials_bad = UINT64_MAX;
    return ERR_EXHAUSTED;
}

static void leave_line(struct ai_call *c)
{
    uint64_t waited = loop_now_us(c->rq->env->loop) - c->pace.since_us;
    const struct candidate *t = &c->candidates[c->candidate_next - 1];
    c->pace.since_us = 0;
    count_out(c);
    count_add(c->rq->env, COUNT_QUEUED, 0, -1);
    count_observe_pair(c->rq->env, COUNT_QUEUE_TIME, t->provider->o.name, t->credential->name,
                       waited);
    c->rq->record.queued_us += waited;
    c->rq->record.upstream_us += waited;
}

static enum err try_again(struct pace_wait *w, uint64_t now_us, uint64_t *wait_us)
{
    struct ai_call *c = call_of(w);
    struct candidate *t = &c->candidates[c->candidate_next - 1];
    return take(c, t, true, now_us, wait_us) ? ERR_OK : ERR_EXHAUSTED;
}

static void on_done(struct pace_wait *w, enum err e)
{
    struct ai_call *c = call_of(w);
    leave_line(c);
    if (e)
        e = refuse(
            c, wait_at(c, &c->candidates[c->candidate_next - 1], loop_now_us(c->rq->env->loop)));
    c->pace.go_on(c, e);
}

static enum err wait_in_line(struct ai_call *c, uint64_t wait_us, uint64_t now_us)
{
    const struct candidate *t = &c->candidates[c->candidate_next - 1];
    const struct policy_team *team = c->rq->who.team;
    struct pace_wait *w = &c->pace.wait;
    w->try = try_again;
    w->done = on_done;
    w->waiter.priority = priority_of(c);
    w->waiter.deadline_us = deadline_of(c);
    w->waiter.cost = ceiling_limits(t->credential->ceiling).tpm ? c->pace.tokens : 1;
    if (now_us + wait_us > w->waiter.deadline_us)
        return refuse(c, wait_us);
    struct slice line = c->stays ? t->credential->id : t->provider->o.id;
    struct slice flow = team ? team->o.id : c->rq->who.key->o.id;
    enum err e = pacer_wait(&c->rq->env->pacer, c->rq->env->loop, line, flow,
                            team ? team->queue_weight : 1, w);
    if (e)
        return refuse(c, wait_us);
    c->pace.since_us = now_us;
    count_in(c);
    count_add(c->rq->env, COUNT_QUEUED, 0, 1);
    return ERR_AGAIN;
}

/* The first later target with room takes the current one's place, and the current one its own
 * behind it; where none has room, the one that has it soonest. */
static bool bring_forward(struct ai_call *c, uint64_t here_us, uint64_t now_us)
{
    size_t at = c->candidate_next - 1, best = at;
    for (size_t i = c->candidate_next; here_us && i < c->candidate_count; i++) {
        uint64_t there = wait_at(c, &c->candidates[i], now_us);
        if (there < here_us) {
            here_us = there;
            best = i;
        }
    }
    if (best == at)
        return false;
    struct candidate found = c->candidates[best];
    memmove(&c->candidates[at + 1], &c->candidates[at], (best - at) * sizeof(found));
    c->candidates[at] = found;
    return true;
}

/* Where a credential of the current target has failed, it keeps its place: what is known of its
 * credentials would be lost. A later one with room is tried in its stead. */
static bool is_another_open(const struct ai_call *c, uint64_t now_us)
{
    for (size_t i = c->candidate_next; i < c->candidate_count; i++)
        if (!wait_at(c, &c->candidates[i], now_us))
            return true;
    return false;
}

enum err ai_pace_enter(struct ai_call *c, void (*go_on)(struct ai_call *c, enum err e))
{
    uint64_t now_us = loop_now_us(c->rq->env->loop), wait_us;
    struct candidate *t = &c->candidates[c->candidate_next - 1];
    ai_pace_close(c);
    c->pace.go_on = go_on;
    if (!t->credential)
        return ERR_OK;
    c->pace.tokens = tokens_of(c);
    if (take(c, t, false, now_us, &wait_us))
        return ERR_OK;
    uint64_t here = wait_at(c, t, now_us);
    if (here > LIMIT_PACE_STAY_MS * US_PER_MS && !c->stays) {
        if (c->credentials_bad && is_another_open(c, now_us)) {
            c->credentials_bad = UINT64_MAX;
            return ERR_EXHAUSTED;
        }
        if (!c->credentials_bad && bring_forward(c, here, now_us)) {
            if (!t->credential || take(c, t, false, now_us, &wait_us))
                return ERR_OK;
            here = wait_at(c, t, now_us);
        }
    }
    return wait_in_line(c, here, now_us);
}

bool ai_pace_take(struct ai_call *c)
{
    struct candidate *t = &c->candidates[c->candidate_next - 1];
    uint64_t wait_us;
    c->pace.tokens = tokens_of(c);
    return !t->credential || take(c, t, false, loop_now_us(c->rq->env->loop), &wait_us);
}

/* ---- what a response says ---- */

static struct ceiling_left left_of(const struct limit_left *l)
{
    return (struct ceiling_left){.is_said = l->is_said,
                                 .is_gradual = l->is_gradual,
                                 .limit = l->limit,
                                 .remaining = l->remaining,
                                 .reset_us = l->reset_us};
}

/* As the endpoint does (common/upstream/endpoint.h), for all workers. */
static void cool(struct ai_call *c, uint64_t for_us)
{
    const uint64_t most = LIMIT_ENDPOINT_WAIT_MS * (uint64_t)US_PER_MS;
    if (!for_us)
        for_us = LIMIT_ENDPOINT_LIMITED_MS * US_PER_MS;
    ceiling_cool(c->pace.taken, for_us < most ? for_us : most, loop_now_us(c->rq->env->loop));
}

void ai_pace_head(struct ai_call *c, const struct http_head *head)
{
    struct limit_headers said;
    if (!c->pace.taken || !limit_headers_are_there(head))
        return;
    bool any = limit_headers_read(head, clock_wall_us(), &said);
    if (any && (said.requests.is_said || said.tokens.is_said)) {
        struct ceiling_left requests = left_of(&said.requests), tokens = left_of(&said.tokens);
        ceiling_tell(c->pace.taken, &c->pace.permit, c->candidates[c->candidate_next - 1].model,
                     &requests, &tokens, loop_now_us(c->rq->env->loop));
    }
    if (head->status == 429)
        cool(c, said.retry_us);
}

void ai_pace_limited(struct ai_call *c, unsigned after_s)
{
    if (c->pace.taken)
        cool(c, (uint64_t)after_s * US_PER_S);
}

/* ---- the end ---- */

/* An error status was counted as a request, and its tokens were not used. */
static uint64_t tokens_used(const struct ai_call *c)
{
    if (c->attempt && (c->attempt->tokens.input || c->attempt->tokens.output))
        return c->attempt->tokens.input + c->attempt->tokens.output;
    return c->status && c->status != 200 ? 0 : c->pace.tokens;
}

void ai_pace_close(struct ai_call *c)
{
    struct ceiling *taken = c->pace.taken;
    uint64_t now_us = loop_now_us(c->rq->env->loop);
    if (c->pace.wait.line) {
        pacer_leave(&c->pace.wait);
        leave_line(c);
    }
    c->pace.taken = NULL;
    if (!taken)
        return;
    if (c->exchange && exchange_has_sent(c->exchange))
        ceiling_settle(taken, &c->pace.permit, tokens_used(c), now_us);
    else
        ceiling_return(taken, &c->pace.permit, now_us);
}
