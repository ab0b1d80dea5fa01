/* route_rule — the rules in their order, the cheapest first. */
#include "dataplane/ai/route/route_rule.h"

#include "common/base/json_scan.h"

static const struct {
    const char *word, *sentence;
    bool binds;
} exclusions[ROUTE_EXCLUSIONS] = {[ROUTE_ELIGIBLE] = {"", "", false},
#define ROUTE_EXCLUSION_ROW(name, word, binds, sentence) [ROUTE_##name] = {#word, sentence, binds},
                                  ROUTE_EXCLUSION_TABLE(ROUTE_EXCLUSION_ROW)
#undef ROUTE_EXCLUSION_ROW
};

const char *route_exclusion_word(enum route_exclusion e)
{
    return exclusions[e].word;
}

const char *route_exclusion_sentence(enum route_exclusion e)
{
    return exclusions[e].sentence;
}

bool route_exclusion_binds(enum route_exclusion e)
{
    return exclusions[e].binds;
}

/* ---- conditions ---- */

static bool headers_hold(const struct http_head *head, const struct policy_when *when)
{
    for (size_t i = 0; i < when->header_count; i++) {
        struct slice said = head ? http_head_find(head, when->headers[i].name) : SLICE_NONE;
        if (!said.ptr || !slice_eq(said, when->headers[i].value))
            return false;
    }
    return true;
}

/* The member's text, or a number or a truth as it is written; *out has room for it. */
static bool value_is(const struct json_hit *hit, struct slice wanted)
{
    char text[512];
    struct slice said = hit->raw;
    if (hit->type == JSON_SCAN_STRING &&
        (hit->raw.len > sizeof(text) || json_scan_text(hit, text, sizeof(text), &said)))
        return false;
    return hit->type != JSON_SCAN_ABSENT && slice_eq(said, wanted);
}

/* A name may hold dots, which would be a path to the scan: members are walked one by one. */
static bool metadata_has(struct slice object, const struct policy_pair *pair)
{
    struct json_hit hit;
    struct slice name, rest = object;
    while (json_scan_member(&rest, &name, &hit))
        if (slice_eq(name, pair->name))
            return value_is(&hit, pair->value);
    return false;
}

static bool metadata_holds(struct slice body, const struct policy_when *when)
{
    static const char *const wants[] = {"metadata"};
    struct json_hit hit = {0};
    struct json_scan_problem problem;
    enum json_type root;
    if (!when->metadata_count)
        return true;
    if (!body.len || json_scan(body, wants, 1, &hit, &root, &problem) ||
        hit.type != JSON_SCAN_OBJECT)
        return false;
    for (size_t i = 0; i < when->metadata_count; i++)
        if (!metadata_has(hit.raw, &when->metadata[i]))
            return false;
    return true;
}

static bool is_one_of(const struct slice *ids, size_t n, const struct policy_object *o)
{
    for (size_t i = 0; o && i < n; i++)
        if (slice_eq(ids[i], o->id))
            return true;
    return n == 0;
}

static bool caller_fits(const struct principal *who, const struct policy_when *when)
{
    return is_one_of(when->teams, when->team_count, who->team ? &who->team->o : NULL) &&
           is_one_of(when->agents, when->agent_count, who->agent ? &who->agent->o : NULL) &&
           is_one_of(when->keys, when->key_count, who->key ? &who->key->o : NULL);
}

bool route_when_holds(const struct route_ask *ask, const struct policy_when *when)
{
    static const struct principal unknown;
    return !when || (caller_fits(ask->who ? ask->who : &unknown, when) &&
                     policy_hours_hold(&when->hours, ask->wall_us) &&
                     headers_hold(ask->head, when) && metadata_holds(ask->body, when));
}

/* ---- what the call needs ---- */

static const struct route_need *need_of(const struct route_ask *ask)
{
    return ask->need ? ask->need(ask->need_arg) : NULL;
}

static uint32_t lacks(const struct policy_target *t, const struct policy_catalogue_model *known)
{
    if (t->capabilities_known)
        return ROUTE_NEEDS_SEEN & ~t->capabilities;
    return known && known->capabilities_known ? ROUTE_NEEDS_SEEN & ~known->capabilities : 0;
}

static bool lacks_capability(const struct route_ask *ask, const struct route_target *t)
{
    uint32_t missing = lacks(t->target, t->known);
    const struct route_need *need = missing ? need_of(ask) : NULL;
    return need && (need->capabilities & missing);
}

/* A token is a byte at least, so that a short body needs no look. */
static bool is_too_long(const struct route_ask *ask, const struct route_target *t)
{
    uint64_t most = t->target->context_tokens;
    most = most ? most : t->known ? t->known->context_tokens : 0;
    if (!most || ask->body.len <= most)
        return false;
    const struct route_need *need = need_of(ask);
    return need && need->prompt > most;
}

static bool writes_too_little(const struct route_ask *ask, const struct route_target *t)
{
    uint64_t most = t->target->max_output_tokens;
    most = most ? most : t->known ? t->known->max_output_tokens : 0;
    return most && ask->output_ceiling > most;
}

bool route_is_too_dear(const struct policy_model *m, const struct price_sheet *s)
{
    bool in = m->max_price_input != PRICE_NONE, out = m->max_price_output != PRICE_NONE;
    if (!in && !out)
        return false;
    if (!s || s->base.input == PRICE_NONE)
        return true;
    return (in && s->base.input > m->max_price_input) ||
           (out && s->base.output > m->max_price_output);
}

/* ---- all of them ---- */

enum route_exclusion route_rule_of_only(const struct route_target *t)
{
    if (!t->provider)
        return ROUTE_UNUSABLE;
    if (!t->promises)
        return ROUTE_DATA_POLICY;
    return t->credentials ? ROUTE_ELIGIBLE : ROUTE_REGION;
}

enum route_exclusion route_rule_of(const struct route_ask *ask, const struct policy_model *m,
                                   const struct route_target *t, const struct price_sheet *costs)
{
    enum route_exclusion why = route_rule_of_only(t);
    if (why)
        return why;
    if (route_is_too_dear(m, costs))
        return ROUTE_PRICE;
    if (lacks_capability(ask, t))
        return ROUTE_CAPABILITY;
    if (is_too_long(ask, t))
        return ROUTE_CONTEXT;
    return writes_too_little(ask, t) ? ROUTE_OUTPUT : ROUTE_ELIGIBLE;
}
