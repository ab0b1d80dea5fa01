/* outage — the first target of a model is down, in each way, under 200 streams in each dialect: no
 * client sees an error, and the attempts stay within what is allowed. What it cost is printed. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "dataplane/ai/ai_retry.h"
#include "tests/kit/flow/dialect_streams.h"

#define STREAMS 200
#define SHARE 100 /* thousandths of the calls that may be tried again */
#define OPEN_MS 300

/* The limited one is the last: its credential cools beyond a revision. */
enum outage { IS_WELL, IS_503, HANGS, RESETS, IS_CUT, IS_LIMITED, OUTAGES };

static const char *const names[OUTAGES] = {"well",     "503", "hangs", "reset", "cut before a word",
                                           "429 + 30s"};

static void break_down(struct flow *k, const struct stream_provider *p, enum outage how)
{
    upstream_forget_script(k, 0);
    switch (how) {
    case IS_WELL:
        stream_opens(k, 0, p, "FIRST");
        stream_says(k, 0, p, "FIRST");
        upstream_waits_for_go(k, 0);
        stream_goes_on(k, 0, p, "FIRST");
        break;
    case IS_503:
        upstream_answers(k, 0, 503, "{\"error\":{\"message\":\"down\"}}");
        break;
    case HANGS:
        upstream_hangs(k, 0);
        break;
    case RESETS:
        upstream_cuts(k, 0);
        break;
    case IS_LIMITED:
        upstream_answers_with(k, 0, 429, "Content-Type: application/json\r\nRetry-After: 30\r\n",
                              "{\"error\":{\"message\":\"slow down\"}}");
        break;
    case IS_CUT:
    case OUTAGES:
        stream_opens(k, 0, p, "FIRST");
        upstream_cuts(k, 0);
        break;
    }
}

/* Each turn of the tests is another revision: what was known of the endpoints goes. */
static void say_policy(struct flow *k, const struct stream_provider *p)
{
    static unsigned turn;
    char row[16];
    snprintf(row, sizeof(row), "%u", turn++);
    const struct flow_provider row_of = {.dialect = p->dialect,
                                         .path = p->path,
                                         .header = "x-turn",
                                         .value = row,
                                         .first_byte_ms = 500,
                                         .breaker_failures = LIMIT_BREAKER_FAILURES,
                                         .breaker_open_ms = OPEN_MS,
                                         .retry_permille = SHARE};
    struct flow_provider well = row_of; /* however slow the machine is */
    well.first_byte_ms = 0;
    const struct flow_policy policy = {
        .providers = {row_of, well},
        .keys = {{.name = "alice", .models = {"m"}}},
        .models = {{.name = "m", .upstreams = {0, 1}, .upstream_count = 2, .retries = 1}},
    };
    policy_says(k, &policy);
}

struct calls {
    struct flow_client *of[STREAMS];
    uint64_t sent_us[STREAMS], heard_us[STREAMS];
    size_t count, heard;
};

static void look(struct calls *l, const char *word)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->heard_us[i] || slice_search(buf_slice(&l->of[i]->body), slice_str(word)) < 0)
            continue;
        l->heard_us[i] = clock_mono_us();
        l->heard++;
    }
}

static uint64_t cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct figures {
    uint64_t median_us, worst_us, cpu_us, took_us;
    size_t tried, again; /* calls whose first attempt was the broken one's; more attempts there */
};

/* How the attempts went, from the calls' records. */
static void read_records(struct flow *k, struct figures *f)
{
    for (size_t i = 0; i < STREAMS; i++) {
        Gatehouse__JournalRecord *r = flow_record(k);
        assert_non_null(r);
        assert_string_equal(r->span->status, "ok");
        size_t there = 0;
        for (size_t j = 0; j < r->n_attempts; j++) {
            const char *at =
                r->attempts[j]->provider ? r->attempts[j]->provider : r->span->provider;
            there += !strcmp(at, "provider-0");
        }
        f->tried += there > 0;
        f->again += there > 1 ? there - 1 : 0;
        flow_record_free(r);
    }
}

static void measure(struct calls *l, struct figures *f)
{
    uint64_t took[STREAMS];
    for (size_t i = 0; i < STREAMS; i++)
        took[i] = l->heard_us[i] - l->sent_us[i];
    qsort(took, STREAMS, sizeof(took[0]), by_value);
    f->median_us = took[STREAMS / 2];
    f->worst_us = took[STREAMS - 1];
}

static void expect_unseen(const struct flow_client *c, const struct stream_client *client,
                          enum outage how)
{
    struct slice body = buf_slice(&c->body);
    if (c->head.status != 200 || slice_search(body, SLICE("\"error\"")) >= 0 ||
        (how != IS_WELL && slice_search(body, SLICE("FIRST")) >= 0))
        fail_msg("%s, %s: %u %.*s", client->name, names[how], c->head.status, SLICE_ARG(body));
}

/* All stand at once: a stream that has its word waits for the others. */
static struct figures run(struct flow *k, const struct stream_client *client, enum outage how)
{
    static struct calls calls;
    const struct stream_provider *p = &stream_providers[client->home];
    struct calls *l = &calls;
    struct figures f = {.cpu_us = cpu_us(), .took_us = clock_mono_us()};
    calls = (struct calls){0};
    say_policy(k, p);
    k->upstreams[0].go = k->upstreams[1].go = false;
    upstream_forgets_calls(k, 0);
    upstream_forgets_calls(k, 1);
    break_down(k, p, how);
    for (size_t i = 0; i < STREAMS; i++) {
        l->sent_us[i] = clock_mono_us();
        l->of[l->count++] = client_posts(k, "alice", client->path, NULL, client->body);
        look(l, client->word);
    }
    uint64_t until = flow_now_ms() + 3 * FLOW_WAIT_MS;
    while (l->heard < STREAMS && flow_now_ms() < until) {
        flow_turn(k);
        look(l, client->word);
    }
    if (l->heard < STREAMS)
        fail_msg("%s, %s: %zu of %d streams", client->name, names[how], l->heard, STREAMS);
    assert_true(k->env.request_count == STREAMS);
    upstream_goes(k, 0);
    upstream_goes(k, 1);
    for (size_t i = 0; i < STREAMS; i++) {
        WAIT(k, l->of[i]->whole);
        expect_unseen(l->of[i], client, how);
    }
    measure(l, &f);
    read_records(k, &f);
    f.cpu_us = cpu_us() - f.cpu_us;
    f.took_us = clock_mono_us() - f.took_us;
    for (size_t i = 0; i < STREAMS; i++)
        client_is_forgotten(l->of[STREAMS - 1 - i]);
    return f;
}

static enum breaker_state breaker_of_first(struct flow *k)
{
    const struct policy_provider *p = snapshot_provider(k->policy, SLICE("p_provider-0"));
    const struct endpoint *e = endpoint_find(
        &k->env.upstreams.endpoints, &(struct endpoint_key){.target = p->o.id,
                                                            .credential = p->credentials[0].id,
                                                            .region = p->credentials[0].region,
                                                            .url = &p->credentials[0].url,
                                                            .revision = p->o.revision});
    assert_non_null(e);
    return endpoint_health(e, clock_mono_us()).breaker;
}

static const char *provider_of_one(struct flow *k, const struct stream_client *client)
{
    struct flow_client *c = client_posts(k, "alice", client->path, NULL, client->body);
    WAIT(k, c->whole);
    const char *first = slice_eq(client_header(c, "x-gatehouse-provider"), SLICE("provider-0"))
                            ? "first"
                            : "second";
    client_is_forgotten(c);
    flow_record_free(flow_record(k));
    return first;
}

/* Well again, it gets one call once its time is over, and all when that went well. */
static void expect_recovery(struct flow *k, const struct stream_client *client, enum outage how)
{
    break_down(k, &stream_providers[client->home], IS_WELL);
    if (how == IS_LIMITED) { /* for as long as it named */
        assert_string_equal(provider_of_one(k, client), "second");
        return;
    }
    assert_int_not_equal(breaker_of_first(k), BREAKER_CLOSED);
    uint64_t until = flow_now_ms() + OPEN_MS + 50;
    WAIT(k, flow_now_ms() > until);
    assert_string_equal(provider_of_one(k, client), "first");
    assert_int_equal(breaker_of_first(k), BREAKER_CLOSED);
    assert_string_equal(provider_of_one(k, client), "first");
}

static void prepare(struct flow *k, const struct stream_client *client)
{
    const struct stream_provider *p = &stream_providers[client->home];
    ai_retry_wait_ms = 20;
    stream_opens(k, 1, p, "SECOND");
    stream_says(k, 1, p, "SECOND");
    upstream_waits_for_go(k, 1);
    stream_goes_on(k, 1, p, "SECOND");
    run(k, client, IS_WELL); /* connections, memory */
}

static void rehearse(const struct stream_client *client)
{
    struct flow *k = flow_open();
    prepare(k, client);
    struct figures well = run(k, client, IS_WELL);
    for (enum outage how = IS_503; how < OUTAGES; how++) {
        struct figures f = run(k, client, how);
        int64_t median = (int64_t)(f.median_us - well.median_us);
        int64_t worst = (int64_t)(f.worst_us - well.worst_us);
        print_message("%-9s %-18s added delay: median %6.1f ms, worst %6.1f ms; first tried by "
                      "%3zu of %d, again %2zu; CPU %.2f × well\n",
                      client->name, names[how], (double)median / 1000, (double)worst / 1000,
                      f.tried, STREAMS, f.again, (double)f.cpu_us / (double)well.cpu_us);
        size_t floor = LIMIT_RETRY_FLOOR * (f.took_us / 1000000 + 2);
        size_t most = f.tried * SHARE / 1000 + STREAMS * 2 * SHARE / 1000 + floor;
        if (f.again > most)
            fail_msg("%zu were tried again, %zu at most", f.again, most);
        assert_true(f.cpu_us < 5 * well.cpu_us);
        expect_recovery(k, client, how);
    }
    flow_close(k);
}

static void no_client_sees_an_outage(void **state)
{
    (void)state;
    for (size_t i = 0; i < STREAM_CLIENTS; i++)
        rehearse(&stream_clients[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_client_sees_an_outage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
