/* api_routing — merges what planes reported; passes a question on and its answer back. */
#include "controlplane/api/api_routing.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "controlplane/channel/health_board.h"
#include "controlplane/channel/planes.h"
#include "controlplane/channel/questions.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/store/store_object.h"

#define ANSWER_MS 5000
#define ANSWER_MAX (1024 * 1024)

/* ---- health ---- */

/* What planes of the org that are connected now said of one provider. */
struct gathered {
    struct rollout *rollout;
    const char *org;
    struct told {
        struct health_row row; /* its plane_id is not used */
        char plane_id[ID_MAX], plane[ROLLOUT_TEXT_MAX];
        bool is_shown;
    } * rows;
    size_t count, cap;
    bool short_of_memory;
};

static void gather(void *arg, const struct health_row *row)
{
    struct gathered *g = arg;
    if (g->count == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 16;
        struct told *grown = mem_realloc(g->rows, cap * sizeof(*grown));
        if (!grown) {
            g->short_of_memory = true;
            return;
        }
        g->rows = grown;
        g->cap = cap;
    }
    struct told *t = &g->rows[g->count++];
    *t = (struct told){.row = *row};
    snprintf(t->plane_id, sizeof(t->plane_id), "%s", row->plane_id);
}

/* Leaves those whose planes are connected; each gets its plane's name. */
static void keep_present(struct gathered *g)
{
    struct rollout_plane plane;
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        struct slice id = slice_str(g->rows[i].plane_id);
        if (!rollout_is_here(g->rollout, id) || !rollout_find(g->rollout, id, &plane) ||
            strcmp(plane.org, g->org) != 0)
            continue;
        snprintf(g->rows[i].plane, sizeof(g->rows[i].plane), "%s", plane.name);
        g->rows[kept++] = g->rows[i];
    }
    g->count = kept;
}

static int badness(const char *state)
{
    return strcmp(state, "open") == 0 ? 2 : strcmp(state, "half_open") == 0;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static void add_left(bool *has, uint64_t *sum, bool other_has, uint64_t other)
{
    *has = *has || other_has;
    *sum += other_has ? other : 0;
}

/* Of several planes' rows: the worst state, the longest wait and the slowest percentiles; attempts
 * and what is left add up, since each plane has a share of its own. */
static void merge(struct health_row *to, const struct health_row *from)
{
    uint64_t left = to->rpm_left, errors = 0;
    if (badness(from->state) > badness(to->state))
        memcpy(to->state, from->state, sizeof(to->state));
    if (from->until_us > to->until_us || to->why[0] == '\0')
        memcpy(to->why, from->why, sizeof(to->why));
    to->until_us = from->until_us > to->until_us ? from->until_us : to->until_us;
    errors = (uint64_t)to->errors_permille * to->attempts +
             (uint64_t)from->errors_permille * from->attempts;
    to->attempts += from->attempts;
    to->errors_permille = to->attempts ? (uint32_t)(errors / to->attempts)
                                       : larger(to->errors_permille, from->errors_permille);
    to->in_flight += from->in_flight;
    to->ttft_p50_ms = larger(to->ttft_p50_ms, from->ttft_p50_ms);
    to->ttft_p99_ms = larger(to->ttft_p99_ms, from->ttft_p99_ms);
    to->latency_ms = larger(to->latency_ms, from->latency_ms);
    to->tokens_per_second += from->tokens_per_second;
    add_left(&to->has_rpm_left, &left, from->has_rpm_left, from->rpm_left);
    to->rpm_left = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
    add_left(&to->has_tpm_left, &to->tpm_left, from->has_tpm_left, from->tpm_left);
}

static void put_number(json_t *t, const char *name, uint64_t value)
{
    json_object_set_new(t, name, json_integer((json_int_t)value));
}

/* What was not measured is left out. */
static void put_row(json_t *t, const struct health_row *r, int64_t now_us)
{
    char at[CLOCK_TEXT_MAX];
    json_set_text(t, "state", slice_str(r->state));
    if (r->why[0] != '\0')
        json_set_text(t, "why", slice_str(r->why));
    if (r->until_us > now_us)
        json_set_text(t, "until", clock_format(r->until_us, at));
    json_object_set_new(t, "error_rate", json_real(r->errors_permille / 1000.0));
    put_number(t, "attempts", r->attempts);
    put_number(t, "in_flight", r->in_flight);
    if (r->ttft_p99_ms)
        json_object_set_new(t, "ttft_ms",
                            json_pack("{s:I,s:I}", "p50", (json_int_t)r->ttft_p50_ms, "p99",
                                      (json_int_t)r->ttft_p99_ms));
    if (r->latency_ms)
        put_number(t, "latency_ms", r->latency_ms);
    if (r->tokens_per_second)
        put_number(t, "tokens_per_second", r->tokens_per_second);
    if (r->has_rpm_left)
        put_number(t, "rpm_left", r->rpm_left);
    if (r->has_tpm_left)
        put_number(t, "tpm_left", r->tpm_left);
}

struct showing {
    struct gathered *g;
    json_t *endpoints;
    const char *provider;
    int64_t now_us;
};

/* One endpoint: this row and those of other planes for the same credential and region. */
static void show_endpoint(struct showing *s, size_t first, struct slice credential)
{
    struct gathered *g = s->g;
    const struct told *t = &g->rows[first];
    struct health_row all = t->row;
    json_t *one = json_pack("{s:s}", "provider", s->provider), *planes = json_array();
    if (credential.len)
        json_set_text(one, "credential", credential);
    if (t->row.region[0] != '\0')
        json_set_text(one, "region", slice_str(t->row.region));
    for (size_t i = first; i < g->count; i++) {
        struct told *other = &g->rows[i];
        if (other->is_shown || strcmp(other->row.credential_id, t->row.credential_id) != 0 ||
            strcmp(other->row.region, t->row.region) != 0)
            continue;
        if (i > first)
            merge(&all, &other->row);
        other->is_shown = true;
        json_t *plane = json_pack("{s:s}", "name", other->plane);
        put_row(plane, &other->row, s->now_us);
        json_array_append_new(planes, plane);
    }
    put_row(one, &all, s->now_us);
    json_object_set_new(one, "dataplanes", planes);
    json_array_append_new(s->endpoints, one);
}

/* A credential that no plane has used yet is as good as new. */
static void show_credential(struct showing *s, struct slice id, struct slice name,
                            struct slice region)
{
    bool any = false;
    for (size_t i = 0; i < s->g->count; i++) {
        if (s->g->rows[i].is_shown || !slice_eq(slice_str(s->g->rows[i].row.credential_id), id))
            continue;
        show_endpoint(s, i, name);
        any = true;
    }
    if (any)
        return;
    struct health_row unused = {.state = "closed"};
    json_t *one = json_pack("{s:s}", "provider", s->provider);
    if (name.len)
        json_set_text(one, "credential", name);
    if (region.len)
        json_set_text(one, "region", region);
    put_row(one, &unused, s->now_us);
    json_object_set_new(one, "dataplanes", json_array());
    json_array_append_new(s->endpoints, one);
}

static enum err respond_with_health(struct call *c, const struct object *o, struct gathered *g)
{
    struct showing s = {
        .g = g, .endpoints = json_array(), .provider = o->name, .now_us = clock_wall_us()};
    const json_t *list = json_object_get(o->spec, "credentials");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *k = json_array_get(list, i);
        show_credential(&s, json_text(k, "id"), json_text(k, "name"), json_text(k, "region"));
    }
    if (json_array_size(list) == 0)
        show_credential(&s, SLICE(""), SLICE(""), SLICE(""));
    json_t *t = json_pack("{s:s,s:o}", "provider_id", o->id, "endpoints", s.endpoints);
    return call_respond(c, 200, &t);
}

/* ERR_CANCELLED: the response is a problem. */
static enum err refuse(enum err said)
{
    return said == ERR_OK ? ERR_CANCELLED : said;
}

static enum err find(struct call *c, struct tx *tx, const struct noun *n, struct slice name,
                     struct object *ret)
{
    enum err e = store_object_get(tx, n, name, false, ret);
    if (e == ERR_NOT_FOUND)
        return refuse(call_problem(c, PROBLEM_NOT_FOUND, "no such %s", n->name));
    if (e == ERR_EXHAUSTED)
        return refuse(call_problem(c, PROBLEM_AMBIGUOUS_NAME,
                                   "several %ss have this name: use an id", n->name));
    return e;
}

enum err api_routing_health(struct call *c)
{
    OBJECT_AUTO struct object o = {0};
    TX_AUTO struct tx tx = {0};
    struct gathered g = {.rollout = c->app->rollout, .org = c->actor.org_id};
    if (!c->app->planes)
        return call_problem(c, PROBLEM_NO_CHANNEL, "the channel is not running");
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = find(c, &tx, &noun_provider, c->params[0], &o);
    if (e != ERR_OK)
        return e == ERR_CANCELLED ? ERR_OK : e;
    health_board_each(planes_health(c->app->planes), slice_str(o.id), gather, &g);
    keep_present(&g);
    e = g.short_of_memory ? ERR_NOMEM : respond_with_health(c, &o, &g);
    mem_free(g.rows);
    return e;
}

/* ---- explain ---- */

/* Whose call it is, as ids; each names the ones above it. */
struct caller {
    char team[ID_MAX], agent[ID_MAX], key[ID_MAX];
};

static void keep(char to[static ID_MAX], struct slice id)
{
    if (to[0] == '\0')
        snprintf(to, ID_MAX, "%.*s", SLICE_ARG(id));
}

static enum err read_caller(struct call *c, struct tx *tx, struct caller *ret)
{
    static const struct {
        const char *query;
        const struct noun *noun;
        size_t at;
    } rows[] = {
        {"key", &noun_key, offsetof(struct caller, key)},
        {"agent", &noun_agent, offsetof(struct caller, agent)},
        {"team", &noun_team, offsetof(struct caller, team)},
    };
    *ret = (struct caller){.team = ""};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        OBJECT_AUTO struct object o = {0};
        char *to = (char *)ret + rows[i].at;
        struct slice given = call_query(c, rows[i].query);
        struct slice name = to[0] != '\0' && !given.ptr ? slice_str(to) : given;
        if (!name.ptr)
            continue;
        enum err e = find(c, tx, rows[i].noun, name, &o);
        if (e != ERR_OK)
            return e;
        snprintf(to, ID_MAX, "%s", o.id);
        keep(ret->agent, json_text(o.spec, "agent"));
        keep(ret->team, json_text(o.spec, "team"));
    }
    return ERR_OK;
}

/* Whether a model is named "*", or like the name up to one of its slashes, with a star behind. */
static enum err find_wildcard(struct tx *tx, struct slice name)
{
    enum err e = ERR_NOT_FOUND;
    for (size_t at = name.len; at-- > 0 && e == ERR_NOT_FOUND;) {
        OBJECT_AUTO struct object o = {0};
        char pattern[OBJECT_NAME_MAX];
        if (at > 0 && name.ptr[at - 1] != '/')
            continue;
        snprintf(pattern, sizeof(pattern), "%.*s*", (int)at, name.ptr);
        e = store_object_get(tx, &noun_model, slice_str(pattern), false, &o);
    }
    return e;
}

/* The name of a model of this name or id, or a name that a wildcard stands for. */
static enum err read_model(struct call *c, struct tx *tx, char ret[static OBJECT_NAME_MAX])
{
    OBJECT_AUTO struct object o = {0};
    enum err e = store_object_get(tx, &noun_model, c->params[0], false, &o);
    if (e == ERR_OK) {
        snprintf(ret, OBJECT_NAME_MAX, "%s", o.name);
        return ERR_OK;
    }
    if (e == ERR_NOT_FOUND && c->params[0].len < OBJECT_NAME_MAX - 1)
        e = find_wildcard(tx, c->params[0]);
    if (e == ERR_NOT_FOUND)
        return refuse(call_problem(c, PROBLEM_NOT_FOUND, "no such model"));
    snprintf(ret, OBJECT_NAME_MAX, "%.*s", SLICE_ARG(c->params[0]));
    return e;
}

static char *given_text(const char *text)
{
    return text[0] != '\0' ? (char *)(uintptr_t)text : NULL;
}

static enum err respond_with_answer(struct call *c, const struct rollout_plane *plane,
                                    enum answer_kind kind, const struct buf *answer)
{
    struct json_problem problem;
    json_t *t = NULL;
    if (kind == ANSWER_UNKNOWN_MODEL)
        return call_problem(c, PROBLEM_NOT_FOUND, "data plane %s knows no such model", plane->name);
    if (kind == ANSWER_PROBLEM) {
        json_t *extra = json_pack("{s:[{s:s,s:s#}]}", "errors", "pointer", "", "detail",
                                  answer->data, (int)answer->len);
        return call_problem_with(c, PROBLEM_INVALID_DOCUMENT, &extra,
                                 "the data plane cannot read the call: see errors");
    }
    if (json_read(buf_slice(answer), &t, &problem) != ERR_OK || !json_is_object(t)) {
        json_decref(t);
        return call_problem(c, PROBLEM_NO_ANSWER, "data plane %s sent no answer that can be read",
                            plane->name);
    }
    json_object_set_new(t, "dataplane", json_string(plane->name));
    return call_respond(c, 200, &t);
}

static enum err ask(struct call *c, const struct rollout_plane *plane,
                    Gatehouse__ExplainQuestion *question)
{
    enum answer_kind kind = ANSWER_PROBLEM;
    struct buf answer, body;
    buf_init(&answer, ANSWER_MAX);
    buf_init(&body, LIMIT_EXPLAIN_BODY + 1);
    enum err e = buf_append(&body, c->body_bytes);
    if (e == ERR_OK)
        e = buf_append(&body, slice_of("", 1));
    if (e == ERR_OK) {
        question->body = body.data;
        e = questions_ask(planes_questions(c->app->planes), slice_str(plane->id), question,
                          ANSWER_MS, &kind, &answer);
    }
    if (e == ERR_OK)
        e = respond_with_answer(c, plane, kind, &answer);
    else if (e == ERR_EXHAUSTED)
        e = call_problem(c, PROBLEM_BUSY, "too many questions wait for data planes: try again");
    else if (e != ERR_NOMEM)
        e = call_problem(c, PROBLEM_NO_ANSWER, "data plane %s did not answer within %d seconds",
                         plane->name, ANSWER_MS / 1000);
    buf_fini(&answer);
    buf_fini(&body);
    return e;
}

enum err api_routing_explain(struct call *c)
{
    TX_AUTO struct tx tx = {0};
    struct caller who;
    struct rollout_plane plane;
    char model[OBJECT_NAME_MAX], session[256], path[256];
    if (!c->app->planes)
        return call_problem(c, PROBLEM_NO_CHANNEL, "the channel is not running");
    if (c->body_bytes.len > LIMIT_EXPLAIN_BODY)
        return call_problem(c, PROBLEM_TOO_LARGE, "a call that is explained has at most %u bytes",
                            LIMIT_EXPLAIN_BODY);
    enum err e = tx_begin(c->app->db, slice_str(c->actor.org_id), &tx);
    if (e == ERR_OK)
        e = read_model(c, &tx, model);
    if (e == ERR_OK)
        e = read_caller(c, &tx, &who);
    tx_rollback(&tx);
    if (e != ERR_OK)
        return e == ERR_CANCELLED ? ERR_OK : e;
    if (!rollout_pick(c->app->rollout, slice_str(c->actor.org_id), call_query(c, "dataplane"),
                      FEATURE_BIT(FEATURE_EXPLAIN), &plane))
        return call_problem(c, PROBLEM_NO_DATAPLANE,
                            "no data plane is connected that could answer this");
    snprintf(session, sizeof(session), "%.*s", SLICE_ARG(call_query(c, "session")));
    snprintf(path, sizeof(path), "%.*s", SLICE_ARG(call_query(c, "path")));
    Gatehouse__ExplainQuestion question = GATEHOUSE__EXPLAIN_QUESTION__INIT;
    question.org_id = c->actor.org_id[0] ? (char *)(uintptr_t)c->actor.org_id : NULL;
    question.model = model;
    question.team_id = given_text(who.team);
    question.agent_id = given_text(who.agent);
    question.key_id = given_text(who.key);
    question.session = given_text(session);
    question.path = given_text(path);
    return ask(c, &plane, &question);
}
