/*
 * snapshot — the whole policy at one version: immutable, counted, shared by all workers.
 *
 * A delta costs the size of the delta: tables are hash tries whose untouched branches two
 * versions share. What must survive a version (a budget account, a rate meter) is not in here
 * but pointed to, and the pointer moves from an object's old revision to its new one.
 *
 * Owns     its objects, counted; everything a finder returns lives as long as the snapshot is held.
 * Fails    finders return NULL.
 * Threads  any may read; building is the main thread's.
 */
#pragma once

#include "common/base/data_policy.h"
#include "common/base/digest.h"
#include "common/base/failure_class.h"
#include "common/base/model_capability.h"
#include "common/base/money.h"
#include "common/base/period.h"
#include "common/base/secret.h"
#include "common/base/slice.h"
#include "common/base/sticky.h"
#include "common/base/strategy.h"
#include "common/net/address.h"
#include "common/net/stream.h"
#include "common/scope/ceiling.h"
#include "common/scope/scope.h"
#include "common/upstream/token_source.h"

struct snapshot;

/* "absent means least": an absent list and an empty one differ */
struct name_list {
    bool set;
    size_t count;
    struct slice *names;
};

/* first member of every policy object */
struct policy_object {
    int kind; /* ObjectKind */
    struct slice id;
    struct slice org_id;
    struct slice name;
    uint64_t revision;
};

/* Why an object of the policy is not applied by this plane. What depends on it is denied. */
enum policy_refusal {
    POLICY_TAKEN,
    POLICY_UNKNOWN_KIND,    /* this program does not know the noun */
    POLICY_UNKNOWN_FEATURE, /* it needs a feature that this program lacks */
    POLICY_UNREADABLE,      /* a member is out of all rules */
};

struct policy_team {
    struct policy_object o;
    struct name_list models;
    struct slice catalogue_id; /* what its calls cost, before all other prices; empty: none */
    struct slice *regions;     /* where its calls may be served; count 0: anywhere */
    size_t region_count;
    uint32_t data_policy;  /* bits of enum data_policy that a provider must promise */
    uint32_t queue_weight; /* at least 1 */
    struct scope scope;
};

struct policy_agent {
    struct policy_object o;
    struct slice team_id;
    struct name_list tasks; /* ids */
    struct name_list models;
    bool session_from_trace;
    struct scope scope;
};

struct policy_task {
    struct policy_object o;
};

struct policy_block { /* found by its subject only */
    struct policy_object o;
};

struct policy_key {
    struct policy_object o;
    struct slice public_part;
    struct digest digest;
    bool digest_is_sha256;
    struct slice agent_id; /* empty: the key is its own principal */
    struct slice team_id;
    struct name_list models;
    struct name_list tasks; /* ids */
    int64_t expires_at_us;  /* 0: never */
    bool revoked, blocked;
    struct scope scope; /* its meter is never NULL */
};

struct policy_credential {
    struct slice id, name, region;
    struct secret *secret;             /* NULL: its source wants none */
    struct slice access_key_id;        /* of AWS: requests are signed; empty: the secret is a key */
    struct secret *session_token;      /* of temporary credentials; NULL: none */
    const struct token_source *source; /* where it is had from; NULL: it is `secret` */
    struct digest token_key;           /* over all that what it is exchanged for depends on */
    struct url url;                    /* the provider's, in this credential's region */
    uint32_t weight;                   /* 0: only where all others have none either */
    uint32_t rpm, tpm;                 /* what the provider allows it; 0: no ceiling is known */
    struct ceiling *ceiling; /* what it may be sent a minute; outlives its revisions; never NULL */
};

struct policy_timeouts { /* milliseconds; 0: the default */
    uint32_t connect_ms, first_byte_ms, between_ms, total_ms;
};

struct policy_header {
    struct slice name, value;
};

enum policy_answer { POLICY_UNSAID, POLICY_NO, POLICY_YES };

struct policy_provider {
    struct policy_object o;
    struct slice dialect;
    struct slice quirks;      /* which service that speaks OpenAI's protocol; empty: none */
    struct slice api_version; /* of Azure; empty: none */
    struct slice base_url;    /* as it was given: "{region}" may stand in it */
    bool regional;            /* it does: only credentials have a url */
    struct url url;           /* of base_url; where it is regional, of the first credential's */
    struct cidr *allowed;
    size_t allowed_count;
    struct policy_credential *credentials;
    size_t credential_count;
    struct policy_timeouts timeouts;
    struct policy_header *headers; /* sent with each request */
    size_t header_count;
    enum policy_answer bills_cancelled;
    struct tls_context *tls;          /* NULL: the plane's own */
    const struct stream_proxy *proxy; /* NULL: none */
    struct slice catalogue;           /* the name of its vendor's; empty: none */
    struct slice catalogue_id;        /* of its own, which comes first; empty: none */
    uint32_t data_policy;             /* bits of enum data_policy that it promises */
    uint32_t breaker_failures;        /* one after another; 0: the default */
    uint32_t breaker_open_ms;         /* 0: the default */
    uint32_t retry_budget_permille;   /* of its live calls */
    uint32_t health_check_interval_s; /* 0: none */
    struct slice health_check_path;   /* below base_url; begins with a slash */
};

#define POLICY_RETRY_BUDGET_PERMILLE 200 /* where a provider says nothing */

struct policy_pair {
    struct slice name, value;
};

/* Hours of the day in a place with a fixed distance from UTC. */
struct policy_hours {
    bool set;           /* false: at all hours */
    uint16_t from, to;  /* minutes since midnight; to is exclusive; to < from: of the next day */
    uint8_t days;       /* bit 0: Monday … bit 6: Sunday, on which `from` lies */
    int16_t utc_offset; /* minutes */
};

/* When a target is eligible: all that is said must hold. */
struct policy_when {
    const struct policy_pair *headers; /* of the client's request; names in lower case */
    size_t header_count;
    const struct policy_pair *metadata; /* of the body */
    size_t metadata_count;
    const struct slice *teams, *agents, *keys; /* ids: one of them; count 0: any, and none */
    size_t team_count, agent_count, key_count;
    struct policy_hours hours;
};

/* Whether the hours hold at this time of the wall clock. Pure. */
bool policy_hours_hold(const struct policy_hours *h, int64_t wall_us);

struct policy_target {
    struct slice provider_id; /* empty: the target is another model */
    struct slice model; /* of a wildcard model: a star in it is what the name's star stands for */
    uint32_t weight;    /* 0: after all others */
    struct slice model_id;          /* the other model; empty: there is a provider */
    struct slice region;            /* empty: the credential's */
    uint32_t capabilities;          /* bits of enum model_capability: its own, else the model's */
    bool capabilities_known;        /* one of the two says; else see the catalogue */
    uint64_t context_tokens;        /* 0: see the catalogue */
    uint64_t max_output_tokens;     /* 0: see the catalogue */
    const struct policy_when *when; /* NULL: always */
    uint32_t shadow_permille;       /* above 0: it is only sent copies of so many calls */
};

/* What a model's calls may be given: the name that OpenAI's chat completions have for it. */
#define POLICY_PARAMETER_TABLE(ROW)                                                                \
    ROW(TEMPERATURE, "temperature")                                                                \
    ROW(TOP_P, "top_p")                                                                            \
    ROW(TOP_K, "top_k")                                                                            \
    ROW(MAX_TOKENS, "max_tokens")                                                                  \
    ROW(SEED, "seed")                                                                              \
    ROW(PRESENCE_PENALTY, "presence_penalty")                                                      \
    ROW(FREQUENCY_PENALTY, "frequency_penalty")                                                    \
    ROW(STOP, "stop")                                                                              \
    ROW(REASONING_EFFORT, "reasoning_effort")                                                      \
    ROW(VERBOSITY, "verbosity")                                                                    \
    ROW(SERVICE_TIER, "service_tier")

enum policy_parameter_id {
#define POLICY_PARAMETER_ROW(id, name) POLICY_##id,
    POLICY_PARAMETER_TABLE(POLICY_PARAMETER_ROW)
#undef POLICY_PARAMETER_ROW
        POLICY_PARAMETERS
};

struct policy_parameter {
    struct slice json; /* its value as JSON; .ptr NULL: nothing is said of it */
    double number;     /* the same, of a number, */
    struct slice word; /* or of a word */
};

struct policy_parameters {
    struct policy_parameter of[POLICY_PARAMETERS];
    struct slice *stops; /* of POLICY_STOP */
    size_t stop_count;
};

struct policy_model {
    struct policy_object o;
    enum strategy strategy;
    struct policy_target *targets;
    size_t target_count;
    struct price_sheet price;        /* its own; base.input PRICE_NONE: see the catalogue */
    uint32_t max_output_tokens;      /* 0: unknown */
    struct policy_timeouts timeouts; /* before the provider's */
    bool unpriced_allowed;           /* without a price also where a budget applies */
    int64_t created_at_us;
    bool wildcard; /* its name is "*", or ends with a star behind a slash */
    const struct policy_parameters *defaults;  /* where the client says nothing; NULL: none */
    const struct policy_parameters *overrides; /* whatever the client says; NULL: none */
    struct slice *drop;                        /* members that the client's body loses first */
    size_t drop_count;
    struct slice system_prompt;    /* before the client's; empty: none */
    bool shapes;                   /* one of these says something */
    struct policy_header *headers; /* sent with each request, before the provider's */
    size_t header_count;
    uint32_t retry_attempts;   /* more tries at the same target */
    uint32_t retry_on;         /* bits of enum failure_class */
    bool fallback_set;         /* false: the two below say nothing, and the default holds */
    uint32_t fallback_on;      /* bits of enum failure_class, */
    uint16_t *fallback_status; /* and exact codes */
    size_t fallback_status_count;
    enum sticky sticky;
    uint32_t capabilities; /* bits of enum model_capability, of targets without their own */
    bool capabilities_known;
    price max_price_input, max_price_output; /* PRICE_NONE: none */
    uint32_t hedge_after_ms;                 /* 0: no hedging */
};

struct policy_alias { /* its name is what clients ask for */
    struct policy_object o;
    struct slice model; /* a model's name, or one that a wildcard stands for; never an alias */
};

enum policy_fault_scope {
    POLICY_FAULT_OF_ALL, /* every call of the organisation */
    POLICY_FAULT_OF_TEAM,
    POLICY_FAULT_OF_AGENT,
    POLICY_FAULT_OF_KEY,
    POLICY_FAULT_SCOPES
};

/* One of status, hangs and latency_ms is said. */
struct policy_fault {
    struct policy_object o;
    enum policy_fault_scope scope;
    struct slice subject_id;
    uint32_t share_permille; /* of the attempts that it fits */
    int64_t until_us;        /* wall; from then on it has no effect */
    uint16_t status;         /* as if the upstream had responded so; 0: not this */
    bool hangs;              /* as if it had taken the request and said nothing */
    uint32_t latency_ms;     /* it is called so much later; 0: not this */
};

struct policy_catalogue_model {
    struct slice *patterns;
    size_t pattern_count;
    uint64_t context_tokens;    /* 0: not known */
    uint64_t max_output_tokens; /* 0: not known */
    uint32_t capabilities;      /* bits of enum model_capability */
    bool capabilities_known;
    struct price_sheet price;
};

struct policy_catalogue {
    struct policy_object o;
    struct policy_catalogue_model *models;
    size_t model_count;
};

struct policy_server {
    struct policy_object o;
    struct slice url_text;
    struct url url;
    struct cidr *allowed;
    size_t allowed_count;
    struct slice credential_header; /* empty: none */
    struct secret *credential;
};

struct policy_route {
    struct slice *methods; /* count 0: any */
    size_t method_count;
    struct slice path; /* '*' one segment, '**' the rest */
    bool opaque;       /* also paths that have no canonical spelling */
};

struct policy_service {
    struct policy_object o;
    struct slice base_url;
    struct url url;
    struct cidr *allowed;
    size_t allowed_count;
    struct slice credential_header;
    struct secret *credential;
    struct policy_route *routes;
    size_t route_count;
    bool set_cookie;
};

struct policy_grant {
    struct policy_object o;
    struct slice agent_id, team_id; /* one of them */
    struct slice task_id;           /* empty: any task, and none */
    struct slice server_id, service_id, provider_id;
    struct slice *tools;
    size_t tool_count;
    struct policy_route *routes;
    size_t route_count;
    bool routes_set;       /* false: all of the service; of a provider: nothing */
    bool unpriced_allowed; /* of a provider: without a price also where a budget applies */
    struct name_list models;
};

struct snapshot *snapshot_hold(const struct snapshot *s);
void snapshot_drop(const struct snapshot *s); /* any thread; NULL is fine */

struct slice snapshot_lineage(const struct snapshot *s);
/* A number that no other snapshot of this process has or had: what was derived from one is found
 * out of date by it, whatever address the next one lies at. */
uint64_t snapshot_serial(const struct snapshot *s);

/* installation key for keyprints, 32 bytes; and the master that seals session ids. Empty before
 * the settings object has come. */
struct slice snapshot_key_hmac(const struct snapshot *s);
/* the same made ready, lent; NULL where it is empty */
const struct digest_hmac_key *snapshot_key_ready(const struct snapshot *s);
struct slice snapshot_session_seal(const struct snapshot *s);

const struct policy_key *snapshot_key_by_digest(const struct snapshot *s, const struct digest *d);
const struct policy_key *snapshot_key(const struct snapshot *s, struct slice id);
const struct policy_team *snapshot_team(const struct snapshot *s, struct slice id);
const struct policy_agent *snapshot_agent(const struct snapshot *s, struct slice id);
const struct policy_task *snapshot_task(const struct snapshot *s, struct slice id);
const struct policy_provider *snapshot_provider(const struct snapshot *s, struct slice id);
const struct policy_model *snapshot_model(const struct snapshot *s, struct slice id);
/* by name within an organisation */
const struct policy_task *snapshot_task_named(const struct snapshot *s, struct slice org,
                                              struct slice name);
const struct policy_model *snapshot_model_named(const struct snapshot *s, struct slice org,
                                                struct slice name);
const struct policy_catalogue *snapshot_catalogue_named(const struct snapshot *s, struct slice org,
                                                        struct slice name);
const struct policy_catalogue *snapshot_catalogue(const struct snapshot *s, struct slice id);
const struct policy_server *snapshot_server_named(const struct snapshot *s, struct slice org,
                                                  struct slice name);
const struct policy_provider *snapshot_provider_named(const struct snapshot *s, struct slice org,
                                                      struct slice name);
const struct policy_service *snapshot_service_named(const struct snapshot *s, struct slice org,
                                                    struct slice name);
/* The model that a client's name leads to: the one of this name, else that of the longest prefix
 * ("a/b/" and a star, then "a/" and a star), else the one named "*". *rest: what the star stands
 * for, SLICE_NONE of an exact name. */
const struct policy_model *snapshot_model_for(const struct snapshot *s, struct slice org,
                                              struct slice name, struct slice *rest);
/* Visits every model of an organisation, in order of name. fn false: stops. */
void snapshot_each_model(const struct snapshot *s, struct slice org,
                         bool (*fn)(void *arg, const struct policy_model *m), void *arg);
void snapshot_each_server(const struct snapshot *s, struct slice org,
                          bool (*fn)(void *arg, const struct policy_server *m), void *arg);
/* Of all organisations, in no order. fn false: stops. */
void snapshot_each_provider(const struct snapshot *s,
                            bool (*fn)(void *arg, const struct policy_provider *p), void *arg);

/* The alias of this name that the key, agent, team or organisation of the id has. */
const struct policy_alias *snapshot_alias(const struct snapshot *s, struct slice subject_id,
                                          struct slice name);
/* All aliases of one key, agent, team or organisation. fn false: stops. */
void snapshot_each_alias(const struct snapshot *s, struct slice subject_id,
                         bool (*fn)(void *arg, const struct policy_alias *a), void *arg);
/* All grants of one agent or one team (by its id). */
void snapshot_each_grant(const struct snapshot *s, struct slice subject_id,
                         bool (*fn)(void *arg, const struct policy_grant *g), void *arg);
/* All faults of one provider, or those that name an organisation's providers all at once (by its
 * id). Whether one fits a call, and still holds, is the caller's to say. fn false: stops. */
void snapshot_each_fault(const struct snapshot *s, struct slice subject_id,
                         bool (*fn)(void *arg, const struct policy_fault *f), void *arg);
/* kind: "key", "agent", "team", "session" */
bool snapshot_is_blocked(const struct snapshot *s, struct slice kind, struct slice id);
/* Visits every object that one of the two versions has and the other has not, or not as it is here.
 * subject: the agent or team of a grant, what a block names; else empty. Costs the size of the
 * change where one version grew from the other. fn false: stops. */
void snapshot_diff(const struct snapshot *a, const struct snapshot *b,
                   bool (*fn)(void *arg, const struct policy_object *o, struct slice subject),
                   void *arg);

/* The objects that this plane had to refuse; they count in the policy's digest. */
size_t snapshot_refused(const struct snapshot *s);
/* In no order. fn false: stops. */
void snapshot_each_refused(const struct snapshot *s,
                           bool (*fn)(void *arg, const struct policy_object *o,
                                      enum policy_refusal why),
                           void *arg);
const char *policy_refusal_name(enum policy_refusal why); /* "unknown_kind" … */

// true where the list allows the name: exact, "prefix/*" or "*"
bool name_list_allows(const struct name_list *l, struct slice name);
/* method and path against routes; HEAD follows GET. opaque: the path has no canonical spelling, and
 * stands as it was sent (http1_path_opaque); only opaque routes take it. */
bool policy_route_allows(const struct policy_route *routes, size_t n, struct slice method,
                         struct slice path, bool opaque);

/* "*" any text, "#" a digit, " & " both sides, "!" in front of one: not. Letters of either case. */
bool policy_pattern_fits(struct slice pattern, struct slice name);
/* The first of the catalogue's models that fits the name; NULL: none does. */
const struct policy_catalogue_model *policy_catalogue_find(const struct policy_catalogue *c,
                                                           struct slice name);
