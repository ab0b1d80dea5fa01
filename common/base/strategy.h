/*
 * strategy — the names of the ways in which a model's targets can be ordered. The control plane
 * accepts these words; a data plane has a row for each (dataplane/ai/route).
 *
 * Threads  any; constant.
 */
#pragma once

#define STRATEGY_TABLE(X)                                                                          \
    X(FALLBACK, fallback)                                                                          \
    X(WEIGHTED, weighted)                                                                          \
    X(LEAST_IN_FLIGHT, least_in_flight)                                                            \
    X(LOWEST_LATENCY, lowest_latency)                                                              \
    X(LOWEST_COST, lowest_cost)                                                                    \
    X(HIGHEST_THROUGHPUT, highest_throughput)

enum strategy {
#define STRATEGY_ENUM(name, word) STRATEGY_##name,
    STRATEGY_TABLE(STRATEGY_ENUM)
#undef STRATEGY_ENUM
        STRATEGY_COUNT
};
