/* endpoint — the table, admission, and the reports of attempts. Averages are integers: no decision
 * depends on their last digit. */
#include "common/upstream/endpoint.h"

#include "common/base/limits.h"
#include "common/base/mem.h"

#define US_PER_MS 1000u
#define DECAY_US 10000000u /* Finagle's peak EWMA uses ten seconds, too */
#define ERROR_SHARE 16     /* one attempt moves the error rate by a sixteenth */
#define PERMILLE 1000u

#define PACES 8                /* models of one endpoint whose averages are kept */
#define PACE_DECAY 60000000u   /* after which the past counts half */
#define PACE_SHARE 8           /* one measurement moves an average by an eighth at least */
#define SPEED_UNIT 1000000000u /* microseconds in 1000 seconds */

struct pace {
    uint32_t model;                                             /* 0: free */
    uint64_t first_at_us, whole_at_us, used_at_us, speed_at_us; /* when it was measured last */
    struct endpoint_pace average;
};

struct endpoint {
    struct list link; /* in the table's unheld, or in none */
    unsigned holders;
    uint64_t revision;
    unsigned in_flight;
    uint64_t latency_us, measured_us;
    unsigned errors; /* ERROR_SHARE × permille, so that small steps are not lost */
    unsigned failures;
    enum breaker_state breaker;
    uint64_t open_until_us;
    uint64_t wait_until_us; /* as the upstream said, or since it refused the credential */
    struct pace paces[PACES];
    uint64_t refused_until_us;
    size_t key_len;
    char key[];
};

/* ---- the table ---- */

void endpoint_table_init(struct endpoint_table *t)
{
    *t = (struct endpoint_table){0};
    list_init(&t->unheld);
}

static void forget(struct endpoint_table *t, struct endpoint *e)
{
    list_remove(&e->link);
    map_remove(t->map, slice_of(e->key, e->key_len));
    t->count--;
    t->changes++;
    mem_free(e);
}

void endpoint_table_fini(struct endpoint_table *t)
{
    struct list *first;
    while ((first = list_empty(&t->unheld) ? NULL : t->unheld.next))
        forget(t, LIST_ITEM(first, struct endpoint, link));
    MUST(t->count == 0);
    map_free(t->map);
    t->map = NULL;
    mem_free(t->memo);
    t->memo = NULL;
}

/* NUL cannot stand in an id or a host, so the parts cannot run into each other. */
static enum err spell_key(const struct endpoint_key *key, char out[static ENDPOINT_KEY_MAX],
                          size_t *ret)
{
    const struct slice parts[] = {key->target, key->credential, key->region, key->url->host};
    const size_t tail = 3; /* port, scheme */
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].len + 1 + tail > ENDPOINT_KEY_MAX - len)
            return ERR_TOO_BIG;
        if (parts[i].len)
            memcpy(out + len, parts[i].ptr, parts[i].len);
        len += parts[i].len;
        out[len++] = '\0';
    }
    out[len++] = (char)(key->url->port >> 8);
    out[len++] = (char)(key->url->port & 0xff);
    out[len++] = key->url->tls ? 's' : 'p';
    *ret = len;
    return ERR_OK;
}

static enum err make(struct endpoint_table *t, struct slice key, struct endpoint **ret)
{
    if (!t->map && !(t->map = map_new()))
        return ERR_NOMEM;
    if (t->count >= LIMIT_ENDPOINTS) {
        if (list_empty(&t->unheld))
            return ERR_EXHAUSTED;
        forget(t, LIST_ITEM(t->unheld.next, struct endpoint, link));
    }
    struct endpoint *e = mem_zalloc(sizeof(*e) + key.len);
    if (!e)
        return ERR_NOMEM;
    memcpy(e->key, key.ptr, key.len);
    e->key_len = key.len;
    list_init(&e->link);
    enum err err = map_put(t->map, slice_of(e->key, e->key_len), e, NULL);
    if (err) {
        mem_free(e);
        return err;
    }
    t->count++;
    t->changes++;
    *ret = e;
    return ERR_OK;
}

static void take_revision(struct endpoint *e, uint64_t revision)
{
    if (e->revision == revision)
        return;
    e->revision = revision;
    e->breaker = BREAKER_CLOSED;
    e->failures = 0;
    e->open_until_us = e->wait_until_us = e->refused_until_us = 0;
}

enum err endpoint_hold(struct endpoint_table *t, const struct endpoint_key *key,
                       struct endpoint **ret)
{
    char text[ENDPOINT_KEY_MAX] __attribute__((uninitialized));
    size_t len;
    enum err err = spell_key(key, text, &len);
    if (err)
        return err;
    struct endpoint *e = t->map ? map_find(t->map, slice_of(text, len)) : NULL;
    if (!e)
        err = make(t, slice_of(text, len), &e);
    if (err)
        return err;
    take_revision(e, key->revision);
    e->holders++;
    list_remove(&e->link);
    *ret = e;
    return ERR_OK;
}

void endpoint_drop(struct endpoint_table *t, struct endpoint **at)
{
    struct endpoint *e = *at;
    *at = NULL;
    if (e && --e->holders == 0)
        list_push(&t->unheld, &e->link);
}

static const struct endpoint *find_any(const struct endpoint_table *t,
                                       const struct endpoint_key *key)
{
    char text[ENDPOINT_KEY_MAX] __attribute__((uninitialized));
    size_t len;
    if (!t->map || spell_key(key, text, &len))
        return NULL;
    return map_find(t->map, slice_of(text, len));
}

const struct endpoint *endpoint_find(const struct endpoint_table *t, const struct endpoint_key *key)
{
    const struct endpoint *e = find_any(t, key);
    return e && e->revision == key->revision ? e : NULL;
}

/* An entry of an epoch that has passed is overwritten; one whose endpoint was freed has another
 * number of changes. The revision is looked at each time: a request of another version of the
 * policy may have moved it. */
const struct endpoint *endpoint_recall(struct endpoint_table *t, const void *way, uint64_t epoch,
                                       const struct endpoint_key *key)
{
    if (!t->memo && !(t->memo = mem_zalloc(ENDPOINT_MEMO * sizeof(*t->memo))))
        return endpoint_find(t, key);
    uint64_t spread = (uint64_t)(uintptr_t)way * 0x9e3779b97f4a7c15u;
    struct endpoint_memo *m = &t->memo[spread >> 32 & (ENDPOINT_MEMO - 1)];
    if (m->way != way || m->epoch != epoch || m->changes != t->changes)
        *m = (struct endpoint_memo){way, epoch, t->changes, find_any(t, key)};
    return m->found && m->found->revision == key->revision ? m->found : NULL;
}

/* ---- admission ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* 0: now, as far as time decides it */
static uint64_t ready_at(const struct endpoint *e, uint64_t now_us)
{
    uint64_t at = later(e->wait_until_us, e->breaker == BREAKER_OPEN ? e->open_until_us : 0);
    return at > now_us ? at : 0;
}

enum err endpoint_admits(const struct endpoint *e, const struct endpoint_limits *limits,
                         uint64_t now_us)
{
    if (limits->parallel && e->in_flight >= limits->parallel)
        return ERR_EXHAUSTED;
    if (e->breaker == BREAKER_PROBING && limits->failures)
        return ERR_AGAIN; /* the probe is under way */
    return ready_at(e, now_us) ? ERR_AGAIN : ERR_OK;
}

void endpoint_begin(struct endpoint *e, uint64_t now_us)
{
    e->in_flight++;
    if (e->breaker == BREAKER_OPEN && now_us >= e->open_until_us)
        e->breaker = BREAKER_PROBING;
}

/* ---- reports ---- */

/* Decays towards a smaller value by the time that passed, and takes a larger one at once: an
 * endpoint that becomes slow counts as slow immediately (the "peak" of peak EWMA). */
void endpoint_latency(struct endpoint *e, uint64_t took_us, uint64_t now_us)
{
    uint64_t passed = now_us - e->measured_us;
    uint64_t past =
        passed < DECAY_US * 10ull ? DECAY_US * (uint64_t)PERMILLE / (DECAY_US + passed) : 0;
    uint64_t eased = (e->latency_us * past + took_us * (PERMILLE - past)) / PERMILLE;
    e->latency_us = later(took_us, eased);
    e->measured_us = now_us;
}

/* ---- how fast its models are ---- */

uint32_t endpoint_model(struct slice name)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < name.len; i++)
        h = (h ^ (unsigned char)name.ptr[i]) * 16777619u;
    return h ? h : 1;
}

static const struct pace *find_pace(const struct endpoint *e, uint32_t model)
{
    for (size_t i = 0; i < PACES; i++)
        if (e->paces[i].model == model)
            return &e->paces[i];
    return NULL;
}

static uint64_t measured_at(const struct pace *p)
{
    return later(later(p->first_at_us, p->whole_at_us), p->used_at_us);
}

/* The one that was measured longest ago makes way. */
static struct pace *pace_of(struct endpoint *e, uint32_t model)
{
    const struct pace *found = find_pace(e, model);
    struct pace *p = found ? &e->paces[found - e->paces] : &e->paces[0];
    for (size_t i = 1; !found && i < PACES; i++)
        if (measured_at(&e->paces[i]) < measured_at(p))
            p = &e->paces[i];
    if (!found)
        *p = (struct pace){.model = model};
    return p;
}

static void ease(uint64_t *average, uint64_t *at_us, uint64_t value, uint64_t now_us)
{
    uint64_t passed = now_us - *at_us;
    uint64_t past = (PACE_SHARE - 1) * (uint64_t)PACE_DECAY / (PACE_DECAY + passed);
    if (!*at_us || passed >= ENDPOINT_PACE_US)
        past = 0;
    *average = (*average * past + value * (PACE_SHARE - past)) / PACE_SHARE;
    *at_us = now_us;
}

/* An average of 0 says that nothing was measured. */
static uint64_t at_least_one(uint64_t n)
{
    return n ? n : 1;
}

void endpoint_first(struct endpoint *e, uint32_t model, uint64_t took_us, uint64_t now_us)
{
    struct pace *p = pace_of(e, model);
    ease(&p->average.first_us, &p->first_at_us, at_least_one(took_us), now_us);
}

void endpoint_whole(struct endpoint *e, uint32_t model, uint64_t took_us, uint64_t now_us)
{
    struct pace *p = pace_of(e, model);
    ease(&p->average.whole_us, &p->whole_at_us, at_least_one(took_us), now_us);
}

void endpoint_used(struct endpoint *e, uint32_t model, const struct endpoint_use *use,
                   uint64_t now_us)
{
    struct pace *p = pace_of(e, model);
    uint64_t at = p->used_at_us, cached = p->average.cached_permille;
    ease(&p->average.output, &at, at_least_one(use->output), now_us);
    if (use->input)
        ease(&cached, &p->used_at_us, use->cache_read * PERMILLE / use->input, now_us);
    p->average.cached_permille = (unsigned)(cached < PERMILLE ? cached : PERMILLE);
    p->used_at_us = now_us;
    if (use->wrote_us && use->output && use->output < UINT32_MAX)
        ease(&p->average.speed, &p->speed_at_us,
             at_least_one(use->output * SPEED_UNIT / use->wrote_us), now_us);
}

static uint64_t if_fresh(uint64_t average, uint64_t at_us, uint64_t now_us)
{
    return now_us - at_us < ENDPOINT_PACE_US ? average : 0;
}

struct endpoint_pace endpoint_pace(const struct endpoint *e, uint32_t model, uint64_t now_us)
{
    const struct pace *p = find_pace(e, model);
    if (!p)
        return (struct endpoint_pace){0};
    const struct endpoint_pace *a = &p->average;
    return (struct endpoint_pace){
        .first_us = if_fresh(a->first_us, p->first_at_us, now_us),
        .whole_us = if_fresh(a->whole_us, p->whole_at_us, now_us),
        .speed = if_fresh(a->speed, p->speed_at_us, now_us),
        .output = if_fresh(a->output, p->used_at_us, now_us),
        .cached_permille = (unsigned)if_fresh(a->cached_permille, p->used_at_us, now_us)};
}

static void count_error(struct endpoint *e, bool failed)
{
    unsigned step = e->errors / ERROR_SHARE;
    e->errors = e->errors - step + (failed ? PERMILLE : 0);
}

static void open_breaker(struct endpoint *e, const struct endpoint_limits *limits, uint64_t now_us)
{
    unsigned ms = limits->open_ms ? limits->open_ms : LIMIT_BREAKER_OPEN_MS;
    e->breaker = BREAKER_OPEN;
    e->open_until_us = now_us + (uint64_t)ms * US_PER_MS;
}

static void fail(struct endpoint *e, const struct endpoint_limits *limits, uint64_t now_us)
{
    e->failures++;
    count_error(e, true);
    bool probe_failed = e->breaker == BREAKER_PROBING;
    if (probe_failed || (limits->failures && e->failures >= limits->failures))
        open_breaker(e, limits, now_us);
}

static void succeed(struct endpoint *e)
{
    e->failures = 0;
    e->breaker = BREAKER_CLOSED;
    e->wait_until_us = e->refused_until_us = 0;
    count_error(e, false);
}

static void wait_for(struct endpoint *e, uint64_t ms, uint64_t now_us)
{
    uint64_t most = ms < LIMIT_ENDPOINT_WAIT_MS ? ms : LIMIT_ENDPOINT_WAIT_MS;
    e->wait_until_us = later(e->wait_until_us, now_us + most * US_PER_MS);
}

bool endpoint_is_refused(const struct endpoint *e, uint64_t now_us)
{
    return now_us < e->refused_until_us;
}

void endpoint_end(struct endpoint *e, const struct endpoint_limits *limits,
                  enum endpoint_verdict verdict, uint64_t retry_ms, uint64_t now_us)
{
    MUST(e->in_flight > 0);
    e->in_flight--;
    switch (verdict) {
    case ENDPOINT_OK:
        succeed(e);
        break;
    case ENDPOINT_FAILED:
        fail(e, limits, now_us);
        break;
    case ENDPOINT_LIMITED:
        wait_for(e, retry_ms ? retry_ms : LIMIT_ENDPOINT_LIMITED_MS, now_us);
        break;
    case ENDPOINT_REFUSED:
        wait_for(e, LIMIT_ENDPOINT_REFUSED_MS, now_us);
        e->refused_until_us = e->wait_until_us;
        break;
    case ENDPOINT_UNKNOWN:
        break;
    }
    /* A probe without a result: the next request is the probe. */
    if (e->breaker == BREAKER_PROBING)
        open_breaker(e, &(struct endpoint_limits){.open_ms = 1}, now_us);
}

/* ---- what is read ---- */

struct endpoint_health endpoint_health(const struct endpoint *e, uint64_t now_us)
{
    return (struct endpoint_health){.in_flight = e->in_flight,
                                    .latency_us = e->latency_us,
                                    .errors_permille = e->errors / ERROR_SHARE,
                                    .failures = e->failures,
                                    .breaker = e->breaker,
                                    .ready_at_us = ready_at(e, now_us)};
}

uint64_t endpoint_load(const struct endpoint *e, uint64_t now_us)
{
    uint64_t passed = now_us - e->measured_us;
    uint64_t eased = e->latency_us * DECAY_US / (DECAY_US + passed);
    return eased * (e->in_flight + 1);
}

static bool is_ready(const struct endpoint_choice *c, const struct endpoint_limits *limits,
                     uint64_t now_us)
{
    return !c->endpoint || endpoint_admits(c->endpoint, limits, now_us) == ERR_OK;
}

static size_t soonest(const struct endpoint_choice *choices, size_t n, uint64_t now_us)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (ready_at(choices[i].endpoint, now_us) < ready_at(choices[best].endpoint, now_us))
            best = i;
    return best;
}

size_t endpoint_pick(const struct endpoint_choice *choices, size_t n,
                     const struct endpoint_limits *limits, uint64_t now_us,
                     uint32_t (*random)(void *arg), void *arg)
{
    uint64_t total = 0;
    size_t first = n;
    for (size_t i = 0; i < n; i++) {
        if (!is_ready(&choices[i], limits, now_us))
            continue;
        first = first == n ? i : first;
        total += choices[i].weight;
    }
    if (first == n)
        return soonest(choices, n, now_us);
    if (total == 0)
        return first;
    uint64_t at = random(arg) % total;
    size_t i = first;
    for (;; i++) {
        uint64_t weight = is_ready(&choices[i], limits, now_us) ? choices[i].weight : 0;
        if (at < weight)
            return i;
        at -= weight;
    }
}
