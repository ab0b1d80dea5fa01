/* ceiling — two windows of a minute, what a provider said for a few models, and the way in. */
#include "common/scope/ceiling.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/map.h"
#include "common/base/mem.h"

#define MINUTE_US UINT64_C(60000000)
#define SLOT_US 500000u
#define SLOTS (MINUTE_US / SLOT_US + 2) /* a minute, the one under way, one for delays */
#define BURST_LEAST 5                   /* requests that may come at once, however low the limit */
#define MODELS 8                        /* whose remaining requests one credential remembers */
#define UNSAID_RESET_US                                                                            \
    1000000u /* where a provider says that nothing is left, and not until when */

/* What was taken in the last minute, and when the next may be. */
struct window {
    uint64_t limit; /* 0: nothing */
    uint64_t burst;
    uint64_t used;       /* the sum of the slots */
    uint64_t slot;       /* the number of the one under way: now / SLOT_US */
    uint64_t arrival_ns; /* GCRA's theoretical arrival time */
    uint64_t full_ns;    /* the same for those that found the minute full; 0: none did since */
    uint32_t slots[SLOTS];
};

struct bucket { /* one limit of a provider's, as it stood at_us */
    uint64_t limit, remaining;
    uint64_t at_us, reset_at_us; /* 0: nothing is known */
    uint64_t each_ns;            /* until one more is there; 0: all come at once, at reset_at_us */
};

struct told {          /* of one model */
    uint64_t model;    /* a hash of its name */
    uint64_t sequence; /* of the request whose response was believed last */
    struct bucket requests, tokens;
};

struct ceiling {
    atomic_uint refs;
    pthread_mutex_t lock; /* of all that follows */
    struct ceiling_limits limits;
    struct ceiling_share share;
    bool is_leased;
    struct window *requests, *tokens; /* NULL: no limit */
    uint64_t cool_until_us, hint_until_us;
    unsigned waiting, in_flight;
    uint64_t sequence, tokens_taken; /* since it was made */
    struct told *told;               /* MODELS of them; NULL: no provider said anything yet */
};

struct ceiling *ceiling_new(void)
{
    struct ceiling *c = mem_zalloc(sizeof(*c));
    if (!c)
        return NULL;
    if (pthread_mutex_init(&c->lock, NULL)) {
        mem_free(c);
        return NULL;
    }
    atomic_init(&c->refs, 1);
    return c;
}

struct ceiling *ceiling_hold(struct ceiling *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void ceiling_drop(struct ceiling *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&c->lock);
    mem_free(c->requests);
    mem_free(c->tokens);
    mem_free(c->told);
    mem_free(c);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- a window ---- */

/* Times of several threads: one that is behind counts as the newest seen. */
static void advance(struct window *w, uint64_t now_us)
{
    uint64_t slot = now_us / SLOT_US;
    if (slot <= w->slot)
        return;
    uint64_t steps = slot - w->slot;
    for (uint64_t i = 1; i <= steps && i <= SLOTS; i++) {
        uint32_t *at = &w->slots[(w->slot + i) % SLOTS];
        w->used -= *at;
        *at = 0;
    }
    w->slot = slot;
}

/* When enough of it lies a minute back for `n` more, and at least the oldest. */
static uint64_t room_at_us(const struct window *w, uint64_t n)
{
    uint64_t used = w->used;
    for (uint64_t i = 1; i < SLOTS; i++) {
        uint64_t slot = w->slot + i; /* takes the place of the one that is SLOTS older */
        used -= w->slots[slot % SLOTS];
        if (used == 0 || used + n <= w->limit)
            return slot * SLOT_US;
    }
    return (w->slot + SLOTS) * SLOT_US;
}

static uint64_t interval_ns(const struct window *w)
{
    return MINUTE_US * 1000 / w->limit;
}

/* 0: now */
static uint64_t window_wait(struct window *w, uint64_t n, uint64_t now_us)
{
    advance(w, now_us);
    if (w->limit == 0)
        return MINUTE_US;
    uint64_t now_ns = now_us * 1000, wait = 0;
    uint64_t tolerance = interval_ns(w) * (w->burst - smaller(w->burst, n));
    if (w->used > 0 && w->used + n > w->limit) {
        uint64_t at = room_at_us(w, n);
        wait = at > now_us ? at - now_us : 1;
        /* those that wait for the end of a full minute do not come at once then */
        w->full_ns = larger(w->full_ns, (now_us + wait) * 1000 + tolerance);
    }
    uint64_t arrival = larger(w->arrival_ns, w->full_ns);
    uint64_t ahead = arrival > now_ns ? arrival - now_ns : 0;
    if (ahead > tolerance)
        wait = larger(wait, (ahead - tolerance + 999) / 1000);
    return wait;
}

static void window_take(struct window *w, uint64_t n, uint64_t now_us)
{
    uint64_t now_ns = now_us * 1000;
    uint32_t *at = &w->slots[w->slot % SLOTS];
    uint64_t most = UINT32_MAX - *at, counted = smaller(n, most);
    *at += (uint32_t)counted;
    w->used += counted;
    w->arrival_ns = larger(larger(w->arrival_ns, w->full_ns), now_ns) + n * interval_ns(w);
    w->full_ns = 0;
}

/* Takes back what was taken then, as far as that is still remembered. */
static void window_return(struct window *w, uint64_t n, uint64_t taken_us)
{
    uint64_t slot = taken_us / SLOT_US;
    w->full_ns = 0;
    if (w->limit)
        w->arrival_ns -= smaller(w->arrival_ns, n * interval_ns(w));
    if (slot > w->slot || w->slot - slot >= SLOTS)
        return;
    uint32_t *at = &w->slots[slot % SLOTS];
    uint32_t back = (uint32_t)smaller(n, *at);
    *at -= back;
    w->used -= back;
}

static void window_limit(struct window *w, uint64_t limit, uint64_t burst)
{
    if (!w || (w->limit == limit && w->burst == burst))
        return;
    w->limit = limit;
    w->full_ns = 0;
    w->burst = larger(burst, 1);
}

/* ---- what binds ---- */

static void apply(struct ceiling *c, struct ceiling_limits l)
{
    window_limit(c->requests, l.rpm, smaller(l.rpm, larger(l.rpm / 10, BURST_LEAST)));
    window_limit(c->tokens, l.tpm, l.tpm / 4);
}

static struct ceiling_limits limits_now(const struct ceiling *c, uint64_t now_us)
{
    if (!c->is_leased)
        return c->limits;
    const struct ceiling_limits *l = now_us < c->share.until_us ? &c->share.now : &c->share.floor;
    return (struct ceiling_limits){(uint32_t)smaller(l->rpm, c->limits.rpm),
                                   (uint32_t)smaller(l->tpm, c->limits.tpm)};
}

static bool make_window(struct window **w, uint32_t limit)
{
    if (limit && !*w)
        *w = mem_zalloc(sizeof(**w));
    return !limit || *w;
}

enum err ceiling_configure(struct ceiling *c, struct ceiling_limits limits)
{
    pthread_mutex_lock(&c->lock);
    enum err e = make_window(&c->requests, limits.rpm) && make_window(&c->tokens, limits.tpm)
                     ? ERR_OK
                     : ERR_NOMEM;
    if (!e) {
        c->limits = limits;
        apply(c, limits);
    }
    pthread_mutex_unlock(&c->lock);
    return e;
}

struct ceiling_limits ceiling_limits(struct ceiling *c)
{
    pthread_mutex_lock(&c->lock);
    struct ceiling_limits l = c->limits;
    pthread_mutex_unlock(&c->lock);
    return l;
}

void ceiling_lease(struct ceiling *c, const struct ceiling_share *share)
{
    pthread_mutex_lock(&c->lock);
    c->share = *share;
    c->is_leased = true;
    pthread_mutex_unlock(&c->lock);
}

/* ---- what the provider said ---- */

/* NULL: nothing was said of it. */
static struct told *find_told(const struct ceiling *c, uint64_t model)
{
    for (size_t i = 0; i < MODELS; i++)
        if (c->told[i].model == model)
            return &c->told[i];
    return NULL;
}

/* In place of the one that was told longest ago, where all are in use. */
static struct told *make_told(struct ceiling *c, uint64_t model)
{
    if (!c->told && !(c->told = mem_array(MODELS, sizeof(*c->told))))
        return NULL;
    struct told *t = find_told(c, model);
    if (t)
        return t;
    t = &c->told[0];
    for (size_t i = 1; i < MODELS; i++)
        if (c->told[i].sequence < t->sequence)
            t = &c->told[i];
    *t = (struct told){.model = model};
    return t;
}

static uint64_t refilled(const struct bucket *b, uint64_t now_us)
{
    if (!b->each_ns || now_us <= b->at_us)
        return b->remaining;
    return smaller(b->limit, b->remaining + (now_us - b->at_us) * 1000 / b->each_ns);
}

static uint64_t bucket_wait(const struct bucket *b, uint64_t n, uint64_t now_us)
{
    if (now_us >= b->reset_at_us)
        return 0;
    uint64_t left = refilled(b, now_us), whole = b->reset_at_us - now_us;
    if (left >= n)
        return 0;
    return b->each_ns ? smaller(whole, ((n - left) * b->each_ns + 999) / 1000) : whole;
}

static void bucket_take(struct bucket *b, uint64_t n, uint64_t now_us)
{
    if (now_us >= b->reset_at_us) { /* what it said is no news any more */
        b->reset_at_us = 0;
        return;
    }
    uint64_t left = refilled(b, now_us), taken = smaller(left, n);
    if (left > b->remaining) /* what refilled counts from here on; a part of one is not lost */
        b->at_us += (left - b->remaining) * b->each_ns / 1000;
    b->remaining = left - taken;
    b->reset_at_us += taken * b->each_ns / 1000;
}

static void bucket_tell(struct bucket *b, const struct ceiling_left *l, uint64_t taken_since,
                        uint64_t now_us)
{
    if (!l->is_said)
        return;
    uint64_t reset = l->reset_us ? l->reset_us : UNSAID_RESET_US;
    uint64_t missing = l->limit > l->remaining ? l->limit - l->remaining : 0;
    *b = (struct bucket){.limit = larger(l->limit, l->remaining),
                         .remaining = l->remaining - smaller(l->remaining, taken_since),
                         .at_us = now_us,
                         .reset_at_us = now_us + reset};
    if (l->is_gradual && l->reset_us && missing) {
        b->each_ns = larger(1, l->reset_us * 1000 / missing);
        b->reset_at_us += smaller(l->remaining, taken_since) * b->each_ns / 1000;
    }
}

void ceiling_tell(struct ceiling *c, const struct ceiling_permit *p, struct slice model,
                  const struct ceiling_left *requests, const struct ceiling_left *tokens,
                  uint64_t now_us)
{
    pthread_mutex_lock(&c->lock);
    struct told *t = make_told(c, map_hash(model) | 1);
    if (t && p->sequence >= t->sequence) {
        t->sequence = p->sequence;
        bucket_tell(&t->requests, requests, c->sequence - p->sequence, now_us);
        bucket_tell(&t->tokens, tokens, c->tokens_taken - p->tokens_before - p->tokens, now_us);
    }
    pthread_mutex_unlock(&c->lock);
}

void ceiling_cool(struct ceiling *c, uint64_t for_us, uint64_t now_us)
{
    pthread_mutex_lock(&c->lock);
    c->cool_until_us = larger(c->cool_until_us, now_us + for_us);
    pthread_mutex_unlock(&c->lock);
}

void ceiling_hint(struct ceiling *c, uint64_t for_us, uint64_t now_us)
{
    pthread_mutex_lock(&c->lock);
    c->hint_until_us = for_us ? now_us + for_us : 0;
    pthread_mutex_unlock(&c->lock);
}

/* ---- the way in ---- */

static uint64_t wait_of(struct ceiling *c, const struct told *t, uint64_t tokens, uint64_t now_us)
{
    uint64_t cool = larger(c->cool_until_us, c->hint_until_us);
    uint64_t wait = cool > now_us ? cool - now_us : 0;
    apply(c, limits_now(c, now_us));
    if (c->limits.rpm)
        wait = larger(wait, window_wait(c->requests, 1, now_us));
    if (c->limits.tpm)
        wait = larger(wait, window_wait(c->tokens, tokens, now_us));
    if (t) {
        wait = larger(wait, bucket_wait(&t->requests, 1, now_us));
        wait = larger(wait, bucket_wait(&t->tokens, tokens, now_us));
    }
    return wait;
}

static void take(struct ceiling *c, struct told *t, uint64_t tokens, uint64_t now_us,
                 struct ceiling_permit *ret)
{
    if (c->limits.rpm)
        window_take(c->requests, 1, now_us);
    if (c->limits.tpm)
        window_take(c->tokens, tokens, now_us);
    if (t) {
        bucket_take(&t->requests, 1, now_us);
        bucket_take(&t->tokens, tokens, now_us);
    }
    *ret = (struct ceiling_permit){.taken_us = now_us,
                                   .tokens = tokens,
                                   .sequence = ++c->sequence,
                                   .tokens_before = c->tokens_taken};
    c->tokens_taken += tokens;
    c->in_flight++;
}

enum err ceiling_take(struct ceiling *c, struct slice model, uint64_t tokens, bool waits,
                      uint64_t now_us, struct ceiling_permit *ret, uint64_t *wait_us)
{
    pthread_mutex_lock(&c->lock);
    struct told *t = c->told ? find_told(c, map_hash(model) | 1) : NULL;
    uint64_t wait = wait_of(c, t, tokens, now_us);
    if (!wait && !waits && c->waiting)
        wait = 1;
    if (!wait)
        take(c, t, tokens, now_us, ret);
    pthread_mutex_unlock(&c->lock);
    *wait_us = wait;
    return wait ? ERR_EXHAUSTED : ERR_OK;
}

uint64_t ceiling_wait(struct ceiling *c, struct slice model, uint64_t tokens, uint64_t now_us)
{
    pthread_mutex_lock(&c->lock);
    uint64_t wait = wait_of(c, c->told ? find_told(c, map_hash(model) | 1) : NULL, tokens, now_us);
    if (c->waiting && c->limits.rpm && c->requests->limit)
        wait += c->waiting * interval_ns(c->requests) / 1000;
    else if (c->waiting)
        wait += 1;
    pthread_mutex_unlock(&c->lock);
    return wait;
}

void ceiling_settle(struct ceiling *c, const struct ceiling_permit *p, uint64_t tokens,
                    uint64_t now_us)
{
    pthread_mutex_lock(&c->lock);
    MUST(c->in_flight > 0);
    c->in_flight--;
    if (c->limits.tpm && c->tokens->limit) {
        advance(c->tokens, now_us);
        if (tokens < p->tokens)
            window_return(c->tokens, p->tokens - tokens, p->taken_us);
        else if (tokens > p->tokens)
            window_take(c->tokens, tokens - p->tokens, now_us);
    }
    pthread_mutex_unlock(&c->lock);
}

void ceiling_return(struct ceiling *c, const struct ceiling_permit *p, uint64_t now_us)
{
    pthread_mutex_lock(&c->lock);
    MUST(c->in_flight > 0);
    c->in_flight--;
    if (c->limits.rpm) {
        advance(c->requests, now_us);
        window_return(c->requests, 1, p->taken_us);
    }
    if (c->limits.tpm) {
        advance(c->tokens, now_us);
        window_return(c->tokens, p->tokens, p->taken_us);
    }
    pthread_mutex_unlock(&c->lock);
}

void ceiling_add_waiting(struct ceiling *c, int by)
{
    pthread_mutex_lock(&c->lock);
    MUST(by > 0 || c->waiting >= (unsigned)-by);
    c->waiting += (unsigned)by;
    pthread_mutex_unlock(&c->lock);
}

/* ---- what is read ---- */

static uint64_t used_of(struct window *w, uint64_t now_us)
{
    if (!w)
        return 0;
    advance(w, now_us);
    return w->used;
}

static uint64_t left_of(const struct bucket *b, uint64_t now_us)
{
    return now_us < b->reset_at_us ? refilled(b, now_us) : UINT64_MAX;
}

void ceiling_look(struct ceiling *c, uint64_t now_us, struct ceiling_state *ret)
{
    pthread_mutex_lock(&c->lock);
    *ret = (struct ceiling_state){
        .limits = c->limits,
        .share = limits_now(c, now_us),
        .requests = used_of(c->requests, now_us),
        .tokens = used_of(c->tokens, now_us),
        .waiting = c->waiting,
        .in_flight = c->in_flight,
        .cool_us = c->cool_until_us > now_us ? c->cool_until_us - now_us : 0,
        .remaining_requests = UINT64_MAX,
        .remaining_tokens = UINT64_MAX,
    };
    for (size_t i = 0; c->told && i < MODELS; i++) {
        ret->remaining_requests =
            smaller(ret->remaining_requests, left_of(&c->told[i].requests, now_us));
        ret->remaining_tokens = smaller(ret->remaining_tokens, left_of(&c->told[i].tokens, now_us));
    }
    ret->is_told = ret->remaining_requests != UINT64_MAX || ret->remaining_tokens != UINT64_MAX;
    pthread_mutex_unlock(&c->lock);
}
