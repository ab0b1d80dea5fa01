/* fold_kit — a journal in a scratch folder, calls with sums to hold it against, and what it ships.
 */
#pragma once

#include "tests/unit/policy/policy_kit.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/kit/journal_calls.h"

#define RING (64 * 1024)
#define WORST 900
#define MINUTE_US INT64_C(60000000)
#define NOON (INT64_C(29000000) * MINUTE_US) /* some time in 2025 */

static char dir[SCRATCH_MAX];

static inline int make_dir(void **state)
{
    (void)state;
    return scratch_folder(dir) ? 0 : -1;
}

static inline int remove_dir(void **state)
{
    (void)state;
    char command[SCRATCH_MAX + 16];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static inline struct journal *fresh(void)
{
    struct journal_config c = {.dir = dir, .epoch = 7, .worker = 3, .bytes = RING};
    struct journal *rq;
    assert_int_equal(journal_create(&c, &rq), ERR_OK);
    return rq;
}

/* ---- calls ---- */

/* A call of some key to some model, in some minute. */
struct call {
    unsigned key, model, minute;
    int64_t cost; /* -1: no price is known */
    uint64_t input, output;
    size_t filler;
    const char *source;
};

struct made {
    Gatehouse__JournalRecord record;
    Gatehouse__Span span;
    Gatehouse__Tokens tokens;
    Gatehouse__Charge charges[2], *list[2];
    char key[32], model[32], account[40], lease[40], path[4096];
};

static inline const Gatehouse__JournalRecord *make(struct made *m, const struct call *c)
{
    gatehouse__journal_record__init(&m->record);
    gatehouse__span__init(&m->span);
    gatehouse__tokens__init(&m->tokens);
    snprintf(m->key, sizeof(m->key), "k_%u", c->key);
    snprintf(m->model, sizeof(m->model), "model-%u", c->model);
    snprintf(m->account, sizeof(m->account), "key:k_%u", c->key);
    snprintf(m->lease, sizeof(m->lease), "l_%u", c->key);
    memset(m->path, 'p', c->filler);
    m->path[c->filler] = '\0';
    m->span.path = m->path;
    m->span.key_id = m->key;
    m->span.team_id = (char *)(uintptr_t) "t_1";
    m->span.model = m->model;
    m->span.gate = (char *)(uintptr_t) "ai";
    m->span.status = (char *)(uintptr_t) "ok";
    m->span.usage_source = (char *)(uintptr_t)(c->source ? c->source : "provider");
    m->span.has_started_at_us = m->span.has_duration_us = true;
    m->span.started_at_us = NOON + c->minute * MINUTE_US + c->filler;
    m->span.duration_us = 1000;
    m->span.has_cost_known = m->span.has_cost_nano = true;
    m->span.cost_known = c->cost >= 0;
    m->span.cost_nano = c->cost >= 0 ? c->cost : 0;
    m->tokens.has_input = m->tokens.has_output = true;
    m->tokens.input = c->input;
    m->tokens.output = c->output;
    m->span.tokens = c->input || c->output ? &m->tokens : NULL;
    m->record.span = &m->span;
    for (int i = 0; i < 2; i++) {
        gatehouse__charge__init(&m->charges[i]);
        m->charges[i].has_amount_nano = true;
        m->charges[i].amount_nano = m->span.cost_nano;
        m->list[i] = &m->charges[i];
    }
    m->charges[0].account = m->account;
    m->charges[0].lease_id = m->lease;
    m->charges[1].account = (char *)(uintptr_t) "team:t_1";
    m->charges[1].lease_id = (char *)(uintptr_t) "l_team";
    m->record.charges = m->list;
    m->record.n_charges = c->cost > 0 ? 2 : 0;
    return &m->record;
}

static inline enum err open_one(struct journal *rq, const struct call *c, struct journal_entry *ret)
{
    struct made m;
    struct call worst = *c;
    worst.cost = c->cost > 0 ? WORST : c->cost;
    worst.input = worst.output = worst.filler = 0;
    return kit_open_call(rq, make(&m, &worst), ret);
}

static inline enum err close_one(struct journal *rq, const struct call *c,
                                 struct journal_entry *entry)
{
    struct made m;
    return kit_close_call(rq, make(&m, c), entry);
}

static inline void happen(struct journal *rq, const struct call *c)
{
    struct journal_entry entry;
    assert_int_equal(open_one(rq, c, &entry), ERR_OK);
    assert_int_equal(close_one(rq, c, &entry), ERR_OK);
}

/* ---- what comes out ---- */

#define KEYS 8

struct sums {
    uint64_t calls, input, output, records;
    int64_t cost;
    int64_t key_charges[KEYS], team_charges;
};

static inline void add(struct sums *s, const Gatehouse__JournalRecord *r)
{
    s->records++;
    s->calls += r->span->has_calls ? r->span->calls : 1;
    s->cost += r->span->cost_nano;
    s->input += r->span->tokens ? r->span->tokens->input : 0;
    s->output += r->span->tokens ? r->span->tokens->output : 0;
    for (size_t i = 0; i < r->n_charges; i++) {
        unsigned key;
        if (sscanf(r->charges[i]->account, "key:k_%u", &key) == 1) {
            char lease[40];
            snprintf(lease, sizeof(lease), "l_%u", key);
            assert_string_equal(r->charges[i]->lease_id, lease);
            assert_string_equal(r->span->key_id, r->charges[i]->account + 4);
            s->key_charges[key % KEYS] += r->charges[i]->amount_nano;
        } else {
            assert_string_equal(r->charges[i]->account, "team:t_1");
            assert_string_equal(r->charges[i]->lease_id, "l_team");
            s->team_charges += r->charges[i]->amount_nano;
        }
    }
}

/* Reads and commits at most `most` records. */
static inline size_t ship(struct journal *rq, struct sums *s, size_t most)
{
    uint64_t at = atomic_load(&rq->page->tail), sequence;
    struct slice packed;
    size_t n = 0;
    while (n < most && journal_next(rq, &at, &sequence, &packed)) {
        Gatehouse__JournalRecord *r =
            gatehouse__journal_record__unpack(NULL, packed.len, (const uint8_t *)packed.ptr);
        assert_non_null(r);
        add(s, r);
        gatehouse__journal_record__free_unpacked(r, NULL);
        journal_commit(rq, at, sequence);
        n++;
    }
    return n;
}

static inline void ship_all(struct journal *rq, struct sums *s)
{
    for (unsigned turns = 0; !journal_is_empty(rq); turns++) {
        assert_true(turns < 100);
        ship(rq, s, SIZE_MAX);
        journal_tend(rq);
    }
    assert_int_equal(journal_waiting(rq), 0);
    assert_int_equal(fold_in_use(rq->fold), 0);
}

/* Until not even the shortest record fits below three quarters. */
static inline void fill_with_free_calls(struct journal *rq, struct sums *s)
{
    for (; atomic_load(&rq->page->dropped) == 0; s->calls++)
        assert_int_equal(close_one(rq, &(struct call){0}, &(struct journal_entry){0}), ERR_OK);
    s->calls--;
    atomic_store(&rq->page->dropped, 0);
}

static inline void fill_but_sums(struct journal *rq, struct sums *s)
{
    struct call c = {.filler = 500};
    for (; atomic_load(&rq->page->dropped) == 0; s->calls++)
        assert_int_equal(close_one(rq, &c, &(struct journal_entry){0}), ERR_OK);
    s->calls--;
    atomic_store(&rq->page->dropped, 0);
    fill_with_free_calls(rq, s);
}

/* The same, with sums of one kind of calls beside it. */
static inline void fill(struct journal *rq, struct sums *s)
{
    const struct call c = {.cost = 7, .input = 2, .output = 1};
    fill_but_sums(rq, s);
    while (atomic_load(&rq->page->folded) < 2) {
        happen(rq, &c);
        s->calls++, s->cost += 7, s->input += 2, s->output += 1;
        s->key_charges[0] += 7, s->team_charges += 7;
    }
}

static inline void assert_same(const struct sums *got, const struct sums *want)
{
    assert_int_equal(got->calls, want->calls);
    assert_int_equal(got->cost, want->cost);
    assert_int_equal(got->input, want->input);
    assert_int_equal(got->output, want->output);
    assert_int_equal(got->team_charges, want->team_charges);
    for (size_t i = 0; i < KEYS; i++)
        assert_int_equal(got->key_charges[i], want->key_charges[i]);
}

static inline struct journal *replayed(struct journal *rq)
{
    char path[512];
    snprintf(path, sizeof(path), "%s", rq->path);
    journal_unmap(rq);
    assert_int_equal(journal_replay(path, &rq), ERR_OK);
    return rq;
}
