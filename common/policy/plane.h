/*
 * plane — this data plane's side of the channel: the policy it applies, the leases it holds, the
 * journals it ships. All of it runs on the main thread.
 *
 * The last good policy is kept sealed on disk and applied at start; no duration of a control plane
 * outage stops the plane.
 *
 * Owns     bus, registry, lease client, shipper, current snapshot.
 * Threads  main loop's; `publish` is called there and hands the snapshot to workers by their
 * mailboxes.
 */
#pragma once

#include "common/journal/journal.h"
#include "common/net/loop.h"
#include "common/policy/kept_list.h"
#include "common/policy/snapshot.h"
#include "common/policy/tool_list.h"
#include "common/scope/lease_client.h"
#include "proto/channel.pb-c.h"

struct plane;

#define PLANE_CERT_REMOVED "plane.crt.removed" /* what a removed plane's certificate becomes */

struct plane_config {
    struct slice channel_host;
    uint16_t push_port, request_port;
    const char *state_dir;      /* certificate, sealed policy, journals, epoch */
    const char *state_key_file; /* outside state_dir; NULL: the policy is not kept on disk */
    unsigned workers;
    size_t journal_bytes; /* per worker */
};

struct plane_events {
    /* A new version: call snapshot_hold to keep it. */
    void (*publish)(void *arg, const struct snapshot *s);
    /* Quiescence: run fn(fn_arg) on the main loop once every worker has ended a turn. */
    void (*after_turns)(void *arg, void (*fn)(void *fn_arg), void *fn_arg);
    /* List the tools of a server, and end by plane_listed. NULL: this plane lists none. */
    void (*list)(void *arg, const struct tool_order *order);
    /* The control plane has said that this plane was removed: nothing it does is recorded, and the
     * control plane sends it nothing more. Called once; its certificate was set aside. */
    void (*removed)(void *arg);
    /* Which targets would this call be sent to? Ends by plane_explained, sooner or later. NULL:
     * this plane does not say. The question is lent. */
    void (*explain)(void *arg, const Gatehouse__ExplainQuestion *question);
    /* Another plane of the pool found an endpoint unready, or ready again. Lent. NULL: not heard.
     */
    void (*hint)(void *arg, const Gatehouse__HealthHint *hint);
    void *arg;
};

/* How it stands, for /readyz detail and metrics. */
struct plane_status {
    bool has_policy;
    bool connected;
    bool stale;   /* no heartbeat for LIMIT_BUS_STALE_MS */
    bool removed; /* the control plane has reported it */
    uint64_t version;
    uint64_t newest;          /* as last pushed */
    uint64_t acknowledged;    /* the newest that every worker had when it was acknowledged */
    uint64_t refused_objects; /* of the policy; this build does not understand them */
    uint64_t policy_age_us;   /* since the control plane was last known to have no newer one */
    bool policy_marked;       /* a copy of an older policy would be noticed at the next start */
    bool database_away;       /* the control plane says that it cannot reach its database */
    uint64_t journal_waiting; /* records not yet committed */
    uint64_t journal_dropped; /* free calls whose records did not fit */
    uint64_t journal_folded;  /* calls that left no record of their own, but sums */
    uint64_t lost_calls;      /* closed as lost after a kill */
    struct lease_status leases;
};

MUST_USE enum err plane_open(const struct plane_config *c, const struct plane_events *events,
                             struct loop *main_loop, struct plane **ret);
struct journal *plane_journal(struct plane *p, unsigned worker);    /* that worker's writer */
void plane_status(const struct plane *p, struct plane_status *ret); /* main loop's */
/* Ships what is journalled and ends leases, at most for drain_ms, and for a second where the
 * control plane or its database is away, then `done`. The workers have stopped. A removed plane
 * cannot ship: it keeps its journals. */
void plane_drain(struct plane *p, unsigned drain_ms, void (*done)(void *arg), void *arg);
void plane_listed(struct plane *p, struct tool_list **list);       /* consumes */
void plane_tools_changed(struct plane *p, struct slice server_id); /* reported by a server */
/* The answer to question `number`, as JSON; where there is none, `problem` is a sentence, and
 * `unknown` says that there is no such model. */
void plane_explained(struct plane *p, uint64_t number, struct slice answer, struct slice problem,
                     bool unknown);
/* How the providers' endpoints are (proto/channel.proto says how often, and what of them). done
 * comes once, unless an error is returned. Not before plane_status says `connected`. */
MUST_USE enum err plane_report_health(struct plane *p, Gatehouse__HealthReport *report,
                                      void (*done)(void *arg, enum err e), void *arg);
/* Asks the control plane; done(arg, list) follows on the main loop, with what was found or why not:
 * at once, where it cannot be asked. */
void plane_ask_kept(struct plane *p, struct kept_list *list,
                    void (*done)(void *arg, struct kept_list *list), void *arg);
void plane_close(struct plane **p);
