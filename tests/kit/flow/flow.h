/*
 * flow — one whole data plane worker in a test: listener, filters and gates on a loop, between
 * clients that send raw bytes and upstreams that follow a script.
 *
 * A policy is built from the objects the control plane would send; budgets are leased by the
 * real lease client from a lease server in memory with the real rules; records go to a real
 * journal, and are read back. `WAIT(k, condition)` turns the loop until it holds.
 *
 * Owns     everything; flow_close gives it back and checks that nothing is left under way.
 * Threads  one.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/net/stream.h"
#include "common/request/request.h"
#include "dataplane/listener/client_listener.h"
#include "proto/policy.pb-c.h"
#include "proto/usage.pb-c.h"
#include "tests/kit/ledger/ledger_kit.h"
#include "tests/kit/scratch.h"

#define FLOW_WAIT_MS 10000 /* a loaded machine under sanitizers still gets there */
#define FLOW_UPSTREAMS 3
#define FLOW_CLIENTS 208
#define FLOW_CALLS 512 /* requests an upstream remembers */
#define FLOW_STEPS 64
#define FLOW_FRONT 4096

struct flow;

/* ---- upstreams: what they do with each request, once it is whole ---- */

enum step_kind { STEP_SAY, STEP_REST_MS, STEP_CUT, STEP_HANG, STEP_WAIT_GO };

struct step {
    enum step_kind kind;
    const char *text; /* SAY; lives as long as the test */
    size_t len;
    unsigned ms;
};

struct upstream_call {
    struct buf bytes; /* the whole request as it came */
    struct buf unchunked;
    struct slice head, body;
    uint64_t taken; /* of an upstream that swallows: bytes of the body */
    char end[32];   /* of it: the last of them */
    bool cut;       /* the gateway closed the connection before the script ended */
    bool done;      /* the script has ended */
};

struct upstream {
    struct flow *flow;
    /* NULL: the script. Else it writes the whole response to this request. */
    void (*reply)(struct upstream *u, const struct upstream_call *c, struct buf *out);
    struct listener *listener;
    uint16_t port;
    struct step steps[FLOW_STEPS];
    size_t step_count;
    struct list conns;
    struct upstream_call calls[FLOW_CALLS];
    size_t call_count;
    bool go;       /* STEP_WAIT_GO may go on */
    bool forgets;  /* one place for all calls, whose memory is kept */
    bool deaf;     /* takes no byte of a request behind the first */
    bool swallows; /* keeps a head and FLOW_FRONT of a body, and counts the rest */
    bool hasty;    /* follows the script once a request's head has come */
};

void upstream_forget_script(struct flow *k, size_t i);
void upstream_says(struct flow *k, size_t i, const char *bytes);        /* appended to the script */
void upstream_says_bytes(struct flow *k, size_t i, struct slice bytes); /* the same, with NULs */
void upstream_rests(struct flow *k, size_t i, unsigned ms);
void upstream_cuts(struct flow *k, size_t i);
void upstream_hangs(struct flow *k, size_t i);
void upstream_waits_for_go(struct flow *k, size_t i);
void upstream_goes(struct flow *k, size_t i);
void upstream_reads_on(struct flow *k, size_t i);      /* no longer deaf */
void upstream_forgets_calls(struct flow *k, size_t i); /* none is under way */
/* whole responses */
void upstream_answers(struct flow *k, size_t i, unsigned status, const char *json);
void upstream_answers_with(struct flow *k, size_t i, unsigned status, const char *headers,
                           const char *body);
/* the same for a reply */
void upstream_reply(struct buf *out, unsigned status, const char *headers, const char *body);
/* opens a chunked event stream; each event is one chunk; end closes the chunks */
void upstream_opens_stream(struct flow *k, size_t i);
void upstream_sends(struct flow *k, size_t i, const char *event);
void upstream_ends_stream(struct flow *k, size_t i);
/* value of a header of one remembered request; SLICE_NONE where absent */
struct slice upstream_heard(const struct upstream_call *c, const char *name);

/* ---- clients ---- */

struct flow_client {
    struct flow *flow;
    struct stream *stream;
    struct buf got;
    bool open, closed;
    bool asked_head; /* by HEAD: the response has no body */
    size_t upload;   /* bytes that are still to be sent */
    /* the first response in got, once its head is whole */
    struct http_head head;
    struct buf head_bytes; /* a copy: got moves when it grows */
    bool has_head;
    struct http1_body walk;
    size_t read;     /* bytes of got that were walked */
    struct buf body; /* decoded */
    bool whole;
};

/* Sends raw bytes on a fresh connection of the next client; responses are kept there. */
struct flow_client *client_sends(struct flow *k, const char *bytes, size_t len);
struct flow_client *client_says(struct flow *k, const char *bytes);
/* POST path with a JSON body; key NULL: none; headers: further lines, each with CRLF, or NULL */
struct flow_client *client_posts(struct flow *k, const char *key, const char *path,
                                 const char *headers, const char *json);
struct flow_client *client_gets(struct flow *k, const char *key, const char *path);
struct flow_client *client_asks(struct flow *k, const char *method, const char *key,
                                const char *path, const char *headers);
/* sends so many bytes behind what was said, as fast as they are taken */
void client_uploads(struct flow_client *c, size_t len);
void client_adds(struct flow_client *c, const char *bytes); /* on the same connection */
void client_begins_anew(struct flow_client *c); /* drops the response, keeps the memory */
void client_hangs_up(struct flow_client *c);
void client_is_forgotten(struct flow_client *c); /* the last one: its place is free again */
void client_stops_reading(struct flow_client *c);
void client_reads_on(struct flow_client *c);
struct slice client_header(const struct flow_client *c, const char *name);

/* ---- policy ---- */

struct flow_key {
    const char *name; /* its id is "k_<name>"; the credential is flow_secret(k, name) */
    const char *agent, *team;
    const char *models[8]; /* first NULL: the list is absent; "" alone: an empty list */
    const char *tasks[4];
    money budget; /* 0: none; account "key:k_<name>" */
    uint32_t rpm, parallel;
    int64_t expires_at_us;
    bool revoked, blocked;
};
struct flow_team {
    const char *name;
    const char *models[8];
    money budget;                     /* account "team:t_<name>" */
    bool own_prices;                  /* of the catalogue of own_prices below */
    void (*also)(Gatehouse__Team *m); /* completes the message; NULL: nothing */
};
struct flow_agent {
    const char *name, *team;
    const char *tasks[4];
    bool session_from_trace;
};
struct flow_model {
    const char *name;
    const char *target_model;         /* NULL: the name */
    const char *const *target_models; /* of each upstream; NULL: target_model */
    size_t upstreams[FLOW_UPSTREAMS];
    size_t upstream_count;   /* in order */
    const uint32_t *weights; /* of the upstreams; NULL: "fallback" */
    bool no_price, unpriced_allowed;
    unsigned hour_price; /* of what is written to a cache for an hour, in dollars; 0: none */
    uint32_t first_byte_ms;
    uint32_t max_output_tokens;
    const Gatehouse__ModelParameters *defaults, *overrides;
    const char *drop[4];
    const char *system_prompt;
    const char *header, *value;        /* sent to its upstream; NULL: none */
    void (*also)(Gatehouse__Model *m); /* completes the message; NULL: nothing */
    uint32_t retries;                  /* at the same target */
    const char *retry_on[4];           /* first NULL: the default */
    const char *fallback_on[6];        /* the same; first "": never */
    uint32_t total_ms, hedge_after_ms;
};
struct flow_price { /* a model of the catalogue "openai", in dollars per million tokens */
    const char *pattern;
    unsigned input, output;
    unsigned context;            /* tokens; 0: not known */
    unsigned above, input_above; /* another price above so many tokens of input; 0: none */
};
struct flow_server { /* an MCP server of the loopback; its id is "mcp_<name>" */
    const char *name;
    uint16_t port;
    const char *secret; /* sent as x-upstream-key; NULL: none */
};
struct flow_route {
    const char *methods[3]; /* first NULL: any */
    const char *path;
    bool opaque;
};
struct flow_service { /* a company API; its id is "api_<name>" */
    const char *name;
    size_t upstream;
    const char *base;            /* path of its base URL; NULL: none */
    const char *header, *secret; /* injected; NULL: nothing is */
    struct flow_route routes[4]; /* first path NULL: all of it */
    bool set_cookie;
};
struct flow_grant {
    const char *agent, *team, *task;
    const char *models[4];
    const char *server; /* with tools */
    const char *tools[4];
    const char *service;  /* with routes */
    const char *provider; /* "provider-0"; with routes */
    bool unpriced_allowed;
    struct flow_route routes[4]; /* first path NULL: all of it */
};
struct flow_alias {
    const char *name, *model;
    const char *subject; /* "k_…", "a_…" or "t_…"; NULL: the org's */
};
struct flow_block {
    const char *kind, *id;
};

struct flow_provider {         /* of the upstream at the same place */
    const char *dialect;       /* NULL: "openai" */
    const char *second_secret; /* a second credential; NULL: there is one */
    bool second_shares;        /* as often as the first; else only where that is refused */
    uint32_t rpm, tpm;         /* ceilings of each credential; 0: none */
    const char *path;          /* of its base URL; NULL: "/v1"; "" for the origin alone */
    const char *query;         /* of its base URL, with its "?"; NULL: none */
    const char *quirks, *api_version;
    const char *secret; /* of its credential; NULL: PROVIDER_SECRET and its number */
    const char *access_key_id, *session_token, *region;
    const Gatehouse__CredentialSource *source; /* of its credential; NULL: none */
    bool no_secret;                            /* its credential has none */
    const char *header, *value;                /* sent with each request; NULL: none */
    uint32_t first_byte_ms, between_ms;
    bool bills_nothing_cancelled;
    bool own_prices;
    void (*also)(Gatehouse__Provider *m); /* completes the message; NULL: nothing */
    uint32_t breaker_failures;            /* 0: so many that it stays closed */
    uint32_t breaker_open_ms;             /* 0: the default */
    uint32_t retry_permille;              /* 0: the default */
};

struct flow_fault {
    const char *name;
    const char *subject_kind, *subject; /* NULL: all */
    size_t upstream;                    /* whose provider seems to fail */
    bool everywhere;                    /* every provider does */
    uint32_t share_permille;
    uint16_t status; /* one of these three */
    bool hangs;
    uint32_t latency_ms;
    int64_t until_us; /* wall; 0: in an hour */
};

struct flow_policy {
    struct flow_provider providers[FLOW_UPSTREAMS];
    struct flow_key keys[4];
    struct flow_team teams[2];
    struct flow_agent agents[3];
    struct flow_model models[4];
    struct flow_price prices[4];
    struct flow_price own_prices[4]; /* of the catalogue "own", which no vendor has */
    struct flow_alias aliases[8];
    struct flow_fault faults[3];
    struct flow_server servers[3];
    struct flow_service services[2];
    struct flow_grant grants[4];
    struct flow_block blocks[3];
    const char *tasks[4];
};

/* Replaces the policy, as a new version from the control plane does; open calls of those it
 * blocks are cut. Prices: 1 dollar a million tokens in, 2 out. */
void policy_says(struct flow *k, const struct flow_policy *p);
/* The next version, in which this provider alone has changed. */
void policy_says_of_provider(struct flow *k, const struct flow_policy *p, size_t i);
void policy_says_of_model(struct flow *k, const struct flow_policy *p, size_t i);
const char *flow_secret(struct flow *k, const char *key_name);

/* ---- the lease server (tests/kit/ledger): this worker's plane is its first ---- */

struct flow;
void lease_server_away(struct flow *k, bool away); /* the channel is cut, or is there again */
/* spent, leased and in suspense of "key:k_<name>" or "team:t_<name>" */
money flow_taken(struct flow *k, const char *account);

/* ---- the whole ---- */

/* What a policy said of an object last. */
struct flow_object {
    char id[64];
    uint64_t hash, revision;
};

struct flow {
    struct loop *loop;
    struct resolver *resolver;
    struct request_env env;
    struct client_listener *listener;
    uint16_t port;

    struct registry *registry;
    const struct snapshot *policy;
    uint64_t version;
    struct flow_object objects[128];
    struct lease_client *lease_client;
    struct ledger_kit ledger;
    uint64_t shipped_at; /* in the journal */

    char dir[SCRATCH_MAX];
    struct journal *journal;
    uint64_t journal_at;
    struct upstream upstreams[FLOW_UPSTREAMS];
    struct flow_client clients[FLOW_CLIENTS];
    size_t client_count;
    char secrets[8][80];
    const char *secret_names[8];
    size_t secret_count;
};

struct flow *flow_open(void);
void flow_close(struct flow *k);
void flow_turn(struct flow *k); /* one turn of the loop, or 5 ms */
uint64_t flow_now_ms(void);
/* The next closed record of the journal; NULL: none. The caller frees it by record_free. */
Gatehouse__JournalRecord *flow_record(struct flow *k);
void flow_record_free(Gatehouse__JournalRecord *r);
/* What a kill would make of the one call that is under way; -1: there is none. */
money flow_lost_at(const struct flow *k);

#define WAIT(k, condition)                                                                         \
    do {                                                                                           \
        uint64_t until_ = flow_now_ms() + FLOW_WAIT_MS;                                            \
        while (!(condition) && flow_now_ms() < until_)                                             \
            flow_turn(k);                                                                          \
        if (!(condition))                                                                          \
            fail_msg("waited in vain for %s", #condition);                                         \
    } while (0)

/* One scenario: opened before, closed after. FLOW(name) { … k … }; the table holds SCENARIO(name).
 */
#define FLOW(name)                                                                                 \
    static void name##_scenario(struct flow *k);                                                   \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        struct flow *k = flow_open();                                                              \
        name##_scenario(k);                                                                        \
        flow_close(k);                                                                             \
    }                                                                                              \
    static void name##_scenario(struct flow *k)

#define SCENARIO(name) cmocka_unit_test(name)

/* what a prompt is reserved at, at most: openai_measure of the body's text */
uint64_t flow_prompt_tokens(const char *body);
void expect_status(struct flow_client *c, unsigned status); /* waits for the whole response */
void expect_code(struct flow_client *c,
                 const char *code); /* error.code of the body, or what stands for it */
void expect_body(struct flow_client *c, const char *text);
void expect_body_has(struct flow_client *c, const char *text);
