/* spend_bound — whatever upstreams and clients do, what is spent stays within the budget, and
 * nothing is under way afterwards. Each seed is a budget and eight calls; a failure names its seed.
 */
#include "tests/kit/flow/flow.h"

#define CHAT "/v1/chat/completions"
#define SEEDS 60
#define CALLS 31

static unsigned state;

static unsigned dice(unsigned n)
{
    state = state * 1103515245u + 12345u;
    return (state >> 16) % n;
}

static const char *usage(void)
{
    static const char *const rows[] = {
        "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10}",
        "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":1000000}",
        "\"usage\":{\"prompt_tokens\":1000000,\"completion_tokens\":1}",
        "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10,\"total_tokens\":90030,"
        "\"completion_tokens_details\":{\"reasoning_tokens\":90000}}",
        "\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":1e30}",
        "\"usage\":null",
    };
    return rows[dice(ARRAY_LEN(rows))];
}

static void script_stream(struct flow *k, size_t i)
{
    char event[256];
    upstream_opens_stream(k, i);
    for (unsigned n = dice(4); n > 0; n--)
        upstream_sends(k, i, "data: {\"choices\":[{\"delta\":{\"content\":\"one two\"}}]}\n\n");
    if (dice(4) == 0)
        upstream_sends(k, i, "data: {\"error\":{\"message\":\"no\"}}\n\n");
    if (dice(2))
        upstream_sends(k, i, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    snprintf(event, sizeof(event), "data: {\"choices\":[],%s}\n\n", usage());
    if (dice(2))
        upstream_sends(k, i, event);
    if (dice(2))
        upstream_sends(k, i, "data: [DONE]\n\n");
    if (dice(3))
        upstream_ends_stream(k, i);
    else
        upstream_cuts(k, i);
}

static void script(struct flow *k, size_t i, bool *hangs)
{
    static const unsigned statuses[] = {400, 401, 402, 429, 500, 503, 529};
    char body[256];
    upstream_forget_script(k, i);
    *hangs = false;
    switch (dice(8)) {
    case 0:
    case 1:
        snprintf(body, sizeof(body), "{\"choices\":[{\"message\":{\"content\":\"hi\"}}],%s}",
                 usage());
        upstream_answers(k, i, 200, body);
        break;
    case 2:
        snprintf(body, sizeof(body), "{\"error\":{\"message\":\"no\"},%s}", usage());
        upstream_answers(k, i, statuses[dice(ARRAY_LEN(statuses))], body);
        break;
    case 3:
        upstream_answers(k, i, 200, dice(2) ? "" : "<html></html>");
        break;
    case 4:
        upstream_says(k, i, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":");
        upstream_cuts(k, i);
        break;
    case 5:
        *hangs = true;
        upstream_hangs(k, i);
        break;
    default:
        script_stream(k, i);
        break;
    }
}

static void call(struct flow *k)
{
    static const char *const bodies[] = {
        "{\"model\":\"small\",\"messages\":[]}",
        "{\"model\":\"small\",\"max_tokens\":100,\"messages\":[]}",
        "{\"model\":\"small\",\"stream\":true,\"messages\":[]}",
        "{\"model\":\"small\",\"stream\":true,\"n\":2,\"max_tokens\":50,\"messages\":[]}",
    };
    bool hangs[2];
    script(k, 0, &hangs[0]);
    script(k, 1, &hangs[1]);
    struct flow_client *c = client_posts(k, "alice", CHAT, NULL, bodies[dice(ARRAY_LEN(bodies))]);
    unsigned turns = dice(30);
    bool leaves = hangs[0] || hangs[1] || dice(4) == 0;
    for (unsigned i = 0; leaves && i < turns && !c->whole && !c->closed; i++)
        flow_turn(k);
    if (leaves && !c->closed)
        client_hangs_up(c);
    else
        WAIT(k, c->whole || c->closed);
    WAIT(k, k->env.request_count == 0);
}

static void a_seed(unsigned seed)
{
    struct flow *k = flow_open();
    state = seed * 7919 + 1;
    money limit = (money)(1 + dice(200)) * 1000000; /* up to 0.20 USD */
    money spent = 0;
    struct flow_policy p = {
        .keys = {{.name = "alice", .models = {"small"}, .budget = limit}},
        .models = {{.name = "small", .upstreams = {0, 1}, .upstream_count = 1 + dice(2)}},
    };
    policy_says(k, &p);
    for (int i = 0; i < CALLS; i++)
        call(k);
    for (Gatehouse__JournalRecord *r; (r = flow_record(k)); flow_record_free(r)) {
        if (r->n_charges && r->charges[0]->amount_nano > 0) {
            assert_true(r->span->cost_known);
            assert_int_equal(r->charges[0]->amount_nano, r->span->cost_nano);
            spent += r->charges[0]->amount_nano;
        }
    }
    if (spent > limit)
        fail_msg("seed %u: %lld of %lld spent", seed, (long long)spent, (long long)limit);
    flow_close(k);
}

static void spent_stays_within_the_budget(void **unused)
{
    (void)unused;
    for (unsigned seed = 0; seed < SEEDS; seed++)
        a_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(spent_stays_within_the_budget)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
