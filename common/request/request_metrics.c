/*
 * metrics — the rows.
 */
#include "common/request/request_metrics.h"

#include "common/request/request.h"

/* in the order of enum gate_slot, enum request_outcome, enum refusal_id */
static const char *const metric_gates[] = {"ai", "api", "tool", NULL};
static const char *const metric_ends[] = {"ok", "refused", "error", "cancelled", NULL};
static const char *const metric_codes[] = {
#define CODE(name, status, code, text) code[0] ? code : "none",
    REFUSAL_TABLE(CODE)
#undef CODE
        NULL};

static const char *const metric_pair[] = {"provider", "model", NULL};
static const char *const metric_account[] = {"provider", "credential", NULL};

const struct metric_row request_metrics[COUNT_COUNT] = {
#define METRIC_ROW(row, text, words, sort, which, list)                                            \
    {.name = text, .help = words, .kind = sort, .label = which, .values = list},
    REQUEST_METRICS(METRIC_ROW)
#undef METRIC_ROW
};

void count_add(struct request_env *env, enum request_metric row, size_t value, int64_t delta)
{
    if (env->metrics)
        metric_add(env->metrics, row, value, delta);
}

void count_observe(struct request_env *env, enum request_metric row, uint64_t us)
{
    if (env->metrics)
        metric_observe_us(env->metrics, row, us);
}

void count_observe_pair(struct request_env *env, enum request_metric row, struct slice provider,
                        struct slice model, uint64_t us)
{
    if (env->metrics)
        metric_observe_pair_us(env->metrics, row, provider, model, us);
}
