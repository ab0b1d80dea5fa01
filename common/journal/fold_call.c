/* fold_call — the key is a flag and then texts, each behind its length in a byte. */
#include "common/journal/fold_call.h"

#include <stdio.h>

#include "common/base/digest.h"
#include "common/base/money.h"
#include "common/trace/span_attributes.h"
#include "proto/usage.pb-c.h"

#define MINUTE_US INT64_C(60000000)
/* store/clean.h cuts a record above a million dollars or 2^40 tokens: half of it is far enough. */
#define COST_MAX (500000 * MONEY_DOLLAR)
#define TOKENS_MAX (UINT64_C(1) << 39)

/* The texts of a span that are part of the key, each at the place its row names: journals on disk
 * hold keys. Accounts and leases follow, in pairs. */
#define TEXT_DROPPED(name)
#define TEXT_SUMMED(name)
#define TEXT_MADE(name)
#define TEXT_FLAGGED(name)
#define TEXT_AT(name) offsetof(Gatehouse__Span, name),
#define TEXT_KEYED(place) [(place)-1] = TEXT_AT
#define TEXT_ROW(name, field, type, written, absent, fold, ...) TEXT_##fold(name)
static const size_t texts[] = {SPAN_ATTRIBUTES(TEXT_ROW)};
#define TEXTS ARRAY_LEN(texts)

static char **text_at(const Gatehouse__Span *span, size_t i)
{
    return (char **)((char *)(uintptr_t)span + texts[i]);
}

/* ---- reading a record: protobuf-c unpacks into the scratch, and nothing is given back ---- */

struct scratch {
    char *p, *end;
    bool full;
};

static void *scratch_alloc(void *arg, size_t size)
{
    struct scratch *s = arg;
    size_t need = (size + 15) & ~(size_t)15;
    s->full = need < size || need > (size_t)(s->end - s->p);
    if (s->full)
        return NULL;
    void *at = s->p;
    s->p += need;
    return at;
}

static void scratch_free(void *arg UNUSED, void *at UNUSED)
{
}

static enum err put_text(struct fold_call *c, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    if (len > UINT8_MAX || c->key_len + 1 + len > FOLD_KEY_MAX)
        return ERR_TOO_BIG;
    c->key[c->key_len++] = (char)len;
    if (len > 0)
        memcpy(c->key + c->key_len, text, len);
    c->key_len += (uint32_t)len;
    return ERR_OK;
}

static enum err put_key(struct fold_call *c, const Gatehouse__JournalRecord *m)
{
    enum err e = m->n_charges <= FOLD_CHARGES ? ERR_OK : ERR_TOO_BIG;
    c->key[0] = m->span->cost_known ? 1 : 0;
    c->key_len = 1;
    c->charges = (uint32_t)m->n_charges;
    for (size_t i = 0; i < TEXTS && e == ERR_OK; i++)
        e = put_text(c, *text_at(m->span, i));
    for (size_t i = 0; i < m->n_charges && e == ERR_OK; i++) {
        e = put_text(c, m->charges[i]->account);
        if (e == ERR_OK)
            e = put_text(c, m->charges[i]->lease_id);
    }
    return e;
}

static int64_t not_below_nothing(int64_t n)
{
    return n > 0 ? n : 0;
}

static void put_sums(struct fold_sums *s, const Gatehouse__JournalRecord *m)
{
    const Gatehouse__Span *span = m->span;
    const Gatehouse__Tokens *t = span->tokens;
    s->calls = span->has_calls && span->calls > 0 ? span->calls : 1;
    if (t) {
        const uint64_t tokens[FOLD_TOKENS] = {t->input, t->cache_read, t->cache_write, t->output,
                                              t->reasoning};
        memcpy(s->tokens, tokens, sizeof(tokens));
    }
    s->cost = span->cost_known ? not_below_nothing(span->cost_nano) : 0;
    for (size_t i = 0; i < m->n_charges; i++)
        s->amounts[i] = not_below_nothing(m->charges[i]->amount_nano);
    s->first_us = not_below_nothing(span->started_at_us);
    s->last_us = money_add(s->first_us, (int64_t)(span->duration_us & INT64_MAX));
}

enum err fold_call_read(struct slice record, void *scratch, struct fold_call *ret)
{
    struct scratch s = {.p = scratch, .end = (char *)scratch + FOLD_SCRATCH};
    ProtobufCAllocator allocator = {scratch_alloc, scratch_free, &s};
    const Gatehouse__JournalRecord *m =
        gatehouse__journal_record__unpack(&allocator, record.len, (const uint8_t *)record.ptr);
    if (!m)
        return s.full ? ERR_TOO_BIG : ERR_INVALID;
    if (!m->span)
        return ERR_INVALID;
    struct fold_call c = {.minute = 0};
    enum err e = put_key(&c, m);
    if (e != ERR_OK)
        return e;
    put_sums(&c.sums, m);
    c.minute = c.sums.first_us / MINUTE_US;
    *ret = c;
    return ERR_OK;
}

/* ---- sums ---- */

bool fold_call_is_free(const struct fold_call *c)
{
    uint64_t of_tokens = 0;
    int64_t of_money = c->sums.cost;
    for (size_t i = 0; i < FOLD_TOKENS; i++)
        of_tokens |= c->sums.tokens[i];
    for (size_t i = 0; i < FOLD_CHARGES; i++)
        of_money |= c->sums.amounts[i];
    return of_tokens == 0 && of_money == 0;
}

bool fold_sums_have_room(const struct fold_sums *to, const struct fold_sums *from)
{
    bool room = to->cost < COST_MAX && from->cost < COST_MAX;
    for (size_t i = 0; i < FOLD_TOKENS; i++)
        room = room && to->tokens[i] < TOKENS_MAX && from->tokens[i] < TOKENS_MAX;
    return room;
}

void fold_sums_add(struct fold_sums *to, const struct fold_sums *from)
{
    to->calls += from->calls;
    for (size_t i = 0; i < FOLD_TOKENS; i++)
        to->tokens[i] += from->tokens[i];
    to->cost = money_add(to->cost, from->cost);
    for (size_t i = 0; i < FOLD_CHARGES; i++)
        to->amounts[i] = money_add(to->amounts[i], from->amounts[i]);
    to->first_us = from->first_us < to->first_us ? from->first_us : to->first_us;
    to->last_us = from->last_us > to->last_us ? from->last_us : to->last_us;
}

/* ---- packing ---- */

#define KEY_TEXTS (TEXTS + 2 * FOLD_CHARGES)

/* The key's texts, with a NUL behind each. */
struct spelled {
    char bytes[FOLD_KEY_MAX + KEY_TEXTS];
    char *text[KEY_TEXTS]; /* "" where there is none */
    size_t charges;
};

/* false: this is no key of ours */
static bool spell(const struct fold_call *c, struct spelled *ret)
{
    size_t at = 1, n = 0;
    char *to = ret->bytes;
    if (c->key_len < 1 || c->key_len > FOLD_KEY_MAX)
        return false;
    while (at < c->key_len) {
        size_t len = (uint8_t)c->key[at++];
        if (n == KEY_TEXTS || len > c->key_len - at)
            return false;
        ret->text[n++] = to;
        memcpy(to, c->key + at, len);
        to[len] = '\0';
        to += len + 1;
        at += len;
    }
    ret->charges = n > TEXTS ? (n - TEXTS) / 2 : 0;
    return n == TEXTS + 2 * ret->charges;
}

uint32_t fold_call_charges(const struct fold_call *c)
{
    struct spelled s;
    return spell(c, &s) ? (uint32_t)s.charges : 0;
}

bool fold_call_is_sound(const struct fold_call *c)
{
    struct spelled s;
    bool sound = spell(c, &s) && c->sums.cost >= 0 && c->sums.first_us >= 0;
    for (size_t i = 0; i < FOLD_CHARGES; i++)
        sound = sound && c->sums.amounts[i] >= 0;
    return sound;
}

static void fill_span(Gatehouse__Span *span, Gatehouse__Tokens *tokens, const struct fold_call *c)
{
    static char kind[] = "call", code[] = "folded", name[] = "folded calls";
    const struct fold_sums *s = &c->sums;
    uint64_t *const counts[FOLD_TOKENS] = {&tokens->input, &tokens->cache_read,
                                           &tokens->cache_write, &tokens->output,
                                           &tokens->reasoning};
    span->kind = kind;
    span->name = name;
    span->code = code;
    span->has_calls = span->has_started_at_us = span->has_duration_us = span->has_cost_known = true;
    span->calls = s->calls;
    span->started_at_us = s->first_us;
    span->duration_us = s->last_us > s->first_us ? (uint64_t)(s->last_us - s->first_us) : 0;
    span->cost_known = c->key[0] != 0;
    span->has_cost_nano = span->cost_known;
    span->cost_nano = s->cost;
    for (size_t i = 0; i < FOLD_TOKENS; i++) {
        *counts[i] = s->tokens[i];
        if (s->tokens[i] > 0) /* a lost call has none */
            span->tokens = tokens;
    }
    tokens->has_input = tokens->has_cache_read = tokens->has_cache_write = true;
    tokens->has_output = tokens->has_reasoning = true;
}

static void fill_charges(Gatehouse__Charge *charges, Gatehouse__Charge **list,
                         const struct fold_call *c, const struct spelled *s)
{
    for (size_t i = 0; i < s->charges; i++) {
        gatehouse__charge__init(&charges[i]);
        charges[i].account = s->text[TEXTS + 2 * i];
        charges[i].lease_id = s->text[TEXTS + 2 * i + 1];
        charges[i].has_amount_nano = true;
        charges[i].amount_nano = c->sums.amounts[i];
        list[i] = &charges[i];
    }
}

struct slice fold_call_pack(const struct fold_call *c, char *out)
{
    struct spelled s;
    Gatehouse__JournalRecord m = GATEHOUSE__JOURNAL_RECORD__INIT;
    Gatehouse__Span span = GATEHOUSE__SPAN__INIT;
    Gatehouse__Tokens tokens = GATEHOUSE__TOKENS__INIT;
    Gatehouse__Charge charges[FOLD_CHARGES], *list[FOLD_CHARGES];
    uint8_t id[FOLD_CALL_ID];
    char span_id[2 * FOLD_CALL_ID + 1];
    MUST(spell(c, &s)); /* it was read from a record, or found sound when the file was opened */
    digest_random(id, sizeof(id));
    digest_hex(slice_of(id, sizeof(id)), span_id);
    span_id[16] = '\0'; /* W3C: 8 bytes */
    for (size_t i = 0; i < TEXTS; i++)
        if (s.text[i][0] != '\0')
            *text_at(&span, i) = s.text[i];
    span.id = span_id;
    fill_span(&span, &tokens, c);
    fill_charges(charges, list, c, &s);
    m.has_call_id = true;
    m.call_id = (ProtobufCBinaryData){sizeof(id), id};
    m.span = &span;
    m.n_charges = s.charges;
    m.charges = list;
    MUST(gatehouse__journal_record__get_packed_size(&m) <= FOLD_RECORD_MAX);
    return slice_of(out, gatehouse__journal_record__pack(&m, (uint8_t *)out));
}
