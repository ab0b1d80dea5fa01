/*
 * feature — what a data plane must understand beyond protocol revision 1 before it may be given
 * certain policy objects.
 *
 * A plane names all of its features in Hello. The control plane withholds an object that needs a
 * feature which the plane did not name, together with what depends on it: withheld means denied,
 * never an absent restriction. The data planes of revision 1 (commit 1910481) name none, and know
 * the kinds of object up to KIND_BLOCK.
 *
 * Every later kind is a feature by itself, "kind.<number>": no row is written for it. For anything
 * else that an older plane would not understand there is a row here, and the field row or word in
 * controlplane/domain that needs it. A row is never renamed, and goes only when no supported plane
 * lacks it.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/slice.h"

/* Revisions of the channel: 1 is commit 1910481, 2 negotiates features. A control plane of
 * revision 1 takes nothing but a Hello whose `protocol` is 1. */
#define CHANNEL_PROTOCOL_OLDEST 1
#define CHANNEL_PROTOCOL_NEWEST 2

#define FEATURE_TABLE(ROW)                                                                         \
    ROW(PROVIDER_ANTHROPIC, "provider.anthropic") /* a provider that speaks Anthropic's messages   \
                                                   */                                              \
    ROW(BUDGET_AGENT, "budget.agent")             /* an agent with a budget */                     \
    /* a provider that speaks … */                                                               \
    ROW(PROVIDER_AZURE, "provider.azure")                                                          \
    ROW(PROVIDER_GEMINI, "provider.gemini")                                                        \
    ROW(PROVIDER_VERTEX, "provider.vertex")                                                        \
    ROW(PROVIDER_BEDROCK, "provider.bedrock")                                                      \
    ROW(PROVIDER_MISTRAL, "provider.mistral")                                                      \
    ROW(PROVIDER_COHERE, "provider.cohere")                                                        \
    ROW(PROVIDER_OLLAMA, "provider.ollama")                                                        \
    ROW(MODEL_WILDCARD, "model.wildcard")   /* a model whose name is a pattern */                  \
    ROW(PROVIDER_QUIRKS, "provider.quirks") /* OpenAI's protocol with a service's differences */   \
    ROW(PROVIDER_ROUTE, "provider.route")   /* a provider's own CA, certificate or proxy */        \
    ROW(PRICES, "prices")                   /* prices of media, and of longer prompts */           \
    ROW(PRICES_OWN, "prices.own")           /* prices of a provider's, or for a team */            \
    ROW(PASSTHROUGH, "passthrough")         /* a grant of a provider's own paths */                \
    ROW(MODEL_OVERRIDES, "model.overrides") /* what a model puts into its requests */              \
    ROW(PROVIDER_SOURCE, "provider.source") /* a credential that is had from a source */           \
    ROW(ROUTING_STRATEGIES, "routing.strategies")   /* by load, latency, cost and throughput */    \
    ROW(ROUTING_RULES, "routing.rules")             /* which targets, and when again */            \
    ROW(RESIDENCY, "residency")                     /* a team's regions and demands on data */     \
    ROW(CREDENTIAL_CEILINGS, "credential.ceilings") /* keeps a credential's rpm and tpm */         \
    ROW(HEALTH_REPORTS, "health.reports")           /* tells of its endpoints */                   \
    ROW(EXPLAIN, "explain")                         /* answers which targets a call would try */

enum feature {
#define FEATURE_ROW(name, text) FEATURE_##name,
    FEATURE_TABLE(FEATURE_ROW)
#undef FEATURE_ROW
        FEATURES /* how many rows; at most FEATURE_KINDS_FROM */
};

/* A set of features: bit n is feature n. Kinds of object have the upper half. */
typedef uint64_t feature_set;
#define FEATURE_BITS 64
#define FEATURE_KINDS_FROM 32
#define FEATURE_KIND_FIRST 12 /* behind KIND_BLOCK of policy.proto */
#define FEATURE_KIND_LAST (FEATURE_KIND_FIRST + FEATURE_BITS - FEATURE_KINDS_FROM - 1)

#define FEATURES_NONE ((feature_set)0)                               /* a plane of revision 1 */
#define FEATURES_ROWS ((feature_set)((UINT64_C(1) << FEATURES) - 1)) /* of this table */
#define FEATURE_BIT(f) ((feature_set)1 << (f))

/* NULL for a number that is no feature. */
const char *feature_name(unsigned f);
/* Unknown names count for nothing: the other end may be newer. */
feature_set feature_parse(struct slice name);
/* What it takes to know a kind of object: nothing for those of revision 1. */
feature_set feature_of_kind(int kind);
/* The names of a set, in order; returns how many. */
size_t feature_names(feature_set set, char *ret[static FEATURE_BITS]);
