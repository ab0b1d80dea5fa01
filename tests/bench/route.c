/*
 * route — what choosing among ten targets costs, and what it is worth.
 *
 *   bench_route                    both tables, as Markdown
 *   bench_route STRATEGY ROUNDS    so many lists of candidates, for callgrind
 *
 * The cost is that of candidates_list with a worker's endpoints: rules, health, the strategy, the
 * credential and the price of each candidate. The worth is a simulation by its own clock: four
 * targets, one of them slow for a share of its calls, Poisson arrivals, and the strategies' own
 * functions, which see what endpoints measured until then.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/limits.h"
#include "common/policy/snapshot_build.h"
#include "common/scope/registry.h"
#include "dataplane/ai/candidates.h"
#include "dataplane/ai/route/ai_strategy.h"
#include "proto/policy.pb-c.h"

#define TARGETS 10
#define ROUNDS 200000
#define NOW_US 1000000000ull

static uint64_t seed = 1;

static uint32_t dice(void *arg)
{
    uint64_t x = seed += 0x9e3779b97f4a7c15u;
    (void)arg;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(x >> 32);
}

/* ---- a policy of ten targets ---- */

static char ids[TARGETS][8];
static struct endpoint_table endpoints;

static void apply(struct snapshot_build *b, Gatehouse__PolicyObject *o, Gatehouse__ObjectKind kind,
                  char *id)
{
    o->has_kind = o->has_revision = true;
    o->kind = kind;
    o->id = id;
    o->revision = 1;
    if (snapshot_build_apply(b, o))
        abort();
}

static void add_provider(struct snapshot_build *b, size_t i)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Provider p = GATEHOUSE__PROVIDER__INIT;
    Gatehouse__Credential c[2], *pointers[] = {&c[0], &c[1]};
    for (size_t k = 0; k < 2; k++) {
        gatehouse__credential__init(&c[k]);
        c[k].id = k ? "second" : "first";
        c[k].name = c[k].id;
        c[k].region = "eu";
        c[k].has_secret = c[k].has_weight = true;
        c[k].weight = 1;
        c[k].secret = (ProtobufCBinaryData){8, (uint8_t *)"sk-12345"};
    }
    p.org_id = "org";
    p.name = ids[i];
    p.dialect = "openai";
    p.base_url = "https://api.acme.test/v1";
    p.n_credentials = 2;
    p.credentials = pointers;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER;
    o.provider = &p;
    apply(b, &o, GATEHOUSE__OBJECT_KIND__KIND_PROVIDER, ids[i]);
}

static void add_model(struct snapshot_build *b, char *strategy)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Model m = GATEHOUSE__MODEL__INIT;
    Gatehouse__Price costs = GATEHOUSE__PRICE__INIT;
    Gatehouse__Target t[TARGETS], *pointers[TARGETS];
    for (size_t i = 0; i < TARGETS; i++) {
        gatehouse__target__init(&t[i]);
        pointers[i] = &t[i];
        t[i].provider_id = ids[i];
        t[i].model = "gpt-4o-mini";
        t[i].has_weight = true;
        t[i].weight = (uint32_t)i + 1;
    }
    costs.has_input = costs.has_output = true;
    costs.input = 150000;
    costs.output = 600000;
    m.org_id = "org";
    m.name = strategy;
    m.strategy = strategy;
    m.price = &costs;
    m.n_targets = TARGETS;
    m.targets = pointers;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_MODEL;
    o.model = &m;
    apply(b, &o, GATEHOUSE__OBJECT_KIND__KIND_MODEL, strategy);
}

static void add_team(struct snapshot_build *b)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    Gatehouse__Team t = GATEHOUSE__TEAM__INIT;
    char *regions[] = {"us", "eu"};
    t.org_id = "org";
    t.name = "t";
    t.n_regions = 2;
    t.regions = regions;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_TEAM;
    o.team = &t;
    apply(b, &o, GATEHOUSE__OBJECT_KIND__KIND_TEAM, "t");
}

static void use_endpoints(const struct snapshot *s)
{
    for (size_t i = 0; i < 2 * TARGETS; i++) {
        const struct policy_provider *p = snapshot_provider(s, slice_str(ids[i / 2]));
        const struct policy_credential *c = &p->credentials[i % 2];
        const struct endpoint_key key = {.target = p->o.id,
                                         .credential = c->id,
                                         .region = c->region,
                                         .url = &c->url,
                                         .revision = p->o.revision};
        struct endpoint *e;
        uint32_t model = endpoint_model(SLICE("gpt-4o-mini"));
        if (endpoint_hold(&endpoints, &key, &e))
            abort();
        endpoint_begin(e, NOW_US);
        endpoint_latency(e, 100000 + 1000 * i, NOW_US);
        endpoint_first(e, model, 200000 + 30000 * i, NOW_US);
        endpoint_used(e, model,
                      &(struct endpoint_use){
                          .input = 1000, .cache_read = 10 * i, .output = 300, .wrote_us = 4000000},
                      NOW_US);
    }
}

static char *const strategies[] = {
#define WORD(name, word) #word,
    STRATEGY_TABLE(WORD)
#undef WORD
};

static const struct snapshot *build(struct registry *registry)
{
    struct snapshot_build *b;
    if (snapshot_build_begin(NULL, registry, &b))
        abort();
    for (size_t i = 0; i < TARGETS; i++) {
        snprintf(ids[i], sizeof(ids[i]), "p_%zu", i);
        add_provider(b, i);
    }
    for (size_t i = 0; i < STRATEGY_COUNT; i++)
        add_model(b, strategies[i]);
    add_team(b);
    return snapshot_build_end(&b, SLICE("l"), 1);
}

/* ---- what a list costs ---- */

static const struct route_need *need_of(void *arg)
{
    return arg;
}

static void list_often(const struct snapshot *s, char *strategy, size_t rounds)
{
    static const struct ai_endpoint chat = {.kind = AI_CHAT};
    struct candidate list[LIMIT_ATTEMPTS];
    struct candidate_excluded excluded[ROUTE_TARGETS_MAX];
    struct route_need need = {.prompt = 1000, .writes = true};
    const struct principal who = {.team = snapshot_team(s, SLICE("t"))};
    const struct route_ask ask = {.who = &who, .need = need_of, .need_arg = &need};
    for (size_t i = 0; i < rounds; i++) {
        struct candidates_trace trace = {.excluded = excluded, .max = ROUTE_TARGETS_MAX};
        const struct candidates_query q = {.policy = s,
                                           .model = snapshot_model(s, slice_str(strategy)),
                                           .team = who.team,
                                           .endpoint = &chat,
                                           .endpoints = &endpoints,
                                           .now_us = NOW_US + i,
                                           .streams = true,
                                           .ask = &ask,
                                           .trace = &trace,
                                           .dice = dice};
        if (candidates_list(&q, list, LIMIT_ATTEMPTS) != LIMIT_ATTEMPTS)
            abort();
    }
}

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void print_costs(const struct snapshot *s)
{
    printf("| strategy | CPU ns for a list of 10 targets, two credentials each |\n| --- | --- |\n");
    for (size_t i = 0; i < STRATEGY_COUNT; i++) {
        double best = 0;
        list_often(s, strategies[i], 1000);
        for (int pass = 0; pass < 5; pass++) {
            double before = cpu_ns();
            list_often(s, strategies[i], ROUNDS / 5);
            double took = (cpu_ns() - before) / (ROUNDS / 5);
            best = !pass || took < best ? took : best;
        }
        printf("| %s | %.0f |\n", strategies[i], best);
    }
}

/* ---- what it is worth ---- */

#define CALLS 200000
#define FOUR 4
#define SLOWER 10 /* times, of the slow one */
#define USUAL_US 20000.0
#define BUSY 0.1 /* of what all could serve, so that no strategy drives the slow one over */
#define PLACES 8

struct call {
    uint64_t ends_us;
    struct call *next;
};

struct server {
    uint64_t free_at[PLACES]; /* each place serves one call after the other */
    struct endpoint *endpoint;
    struct call *calls; /* under way, the next to end in front */
};

static double uniform(void)
{
    return ((double)dice(NULL) + 0.5) / 4294967296.0;
}

static struct endpoint_table four;

static void end_calls(struct server *of, uint64_t now_us)
{
    while (of->calls && of->calls->ends_us <= now_us) {
        struct call *c = of->calls;
        of->calls = c->next;
        endpoint_end(of->endpoint, &(struct endpoint_limits){0}, ENDPOINT_OK, 0, c->ends_us);
        free(c);
    }
}

static uint64_t serve(struct server *of, bool is_slow, uint64_t now_us)
{
    size_t place = 0;
    for (size_t i = 1; i < PLACES; i++)
        place = of->free_at[i] < of->free_at[place] ? i : place;
    uint64_t from = of->free_at[place] > now_us ? of->free_at[place] : now_us;
    uint64_t took = (uint64_t)(-log(uniform()) * USUAL_US * (is_slow ? SLOWER : 1)) + 1;
    uint64_t ends = of->free_at[place] = from + took;
    struct call *c = malloc(sizeof(*c)), **at = &of->calls;
    if (!c)
        abort();
    while (*at && (*at)->ends_us < ends)
        at = &(*at)->next;
    *c = (struct call){ends, *at};
    *at = c;
    endpoint_begin(of->endpoint, now_us);
    endpoint_latency(of->endpoint, ends - now_us, now_us); /* as it will have been */
    return ends - now_us;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* strategy STRATEGY_COUNT: round robin */
static void simulate(const char *name, enum strategy strategy)
{
    static uint64_t took[CALLS];
    static struct policy_target targets[FOUR];
    struct server servers[FOUR] = {0};
    struct route_choice choices[FOUR] = {0};
    double now = NOW_US, gap = USUAL_US / (BUSY * PLACES * (FOUR - 1 + 1.0 / SLOWER));
    seed = 7;
    endpoint_table_init(&four);
    for (size_t i = 0; i < FOUR; i++) {
        static const struct url url = {.host = {"a.test", 6}, .port = 443};
        const struct endpoint_key key = {.target = slice_str(ids[i]), .url = &url};
        targets[i].weight = 1;
        choices[i].target = &targets[i];
        if (endpoint_hold(&four, &key, &servers[i].endpoint))
            abort();
    }
    for (size_t n = 0; n < CALLS; n++) {
        size_t order[FOUR] = {n % FOUR};
        now += -log(uniform()) * gap;
        for (size_t i = 0; i < FOUR; i++) {
            end_calls(&servers[i], (uint64_t)now);
            choices[i].health = endpoint_health(servers[i].endpoint, (uint64_t)now);
        }
        const struct route_view v = {.choices = choices, .count = FOUR, .dice = dice};
        if (strategy != STRATEGY_COUNT)
            route_strategy(strategy)->order(&v, order, 1);
        took[n] = serve(&servers[order[0]], order[0] == 0, (uint64_t)now);
    }
    for (size_t i = 0; i < FOUR; i++) {
        end_calls(&servers[i], UINT64_MAX);
        endpoint_drop(&four, &servers[i].endpoint);
    }
    endpoint_table_fini(&four);
    qsort(took, CALLS, sizeof(took[0]), compare);
    printf("| %s | %.1f | %.1f | %.1f |\n", name, (double)took[CALLS / 2] / 1000,
           (double)took[CALLS / 100 * 95] / 1000, (double)took[CALLS / 100 * 99] / 1000);
}

int main(int argc, char **argv)
{
    struct registry *registry = registry_new();
    const struct snapshot *s = build(registry);
    endpoint_table_init(&endpoints);
    use_endpoints(s);
    if (argc == 3) {
        list_often(s, argv[1], (size_t)strtoul(argv[2], NULL, 10));
        return 0;
    }
    print_costs(s);
    printf("\n| four targets, one %d times slower | p50 ms | p95 ms | p99 ms |\n"
           "| --- | --- | --- | --- |\n",
           SLOWER);
    simulate("round robin", STRATEGY_COUNT);
    simulate("weighted, all alike", STRATEGY_WEIGHTED);
    simulate("least_in_flight", STRATEGY_LEAST_IN_FLIGHT);
    return 0;
}
