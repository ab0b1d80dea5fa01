/*
 * fuzz_texts — the readers of short texts: what they accept is within its range, and where there is
 * a writer, writes as a text that reads the same.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/money.h"
#include "common/base/period.h"
#include "common/net/host_list.h"
#include "common/upstream/trace_context.h"
#include "common/wire/enrol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void try_money(struct slice s)
{
    char text[MONEY_TEXT_MAX];
    money m, again;
    price p, same;
    if (money_parse(s, &m) == ERR_OK)
        must(money_parse(money_format(m, text), &again) == ERR_OK && m == again, "money");
    if (money_parse_price(s, &p) == ERR_OK)
        must(money_parse_price(money_format_price(p, text), &same) == ERR_OK && p == same, "price");
}

static void try_clock(struct slice s)
{
    char text[CLOCK_TEXT_MAX];
    int64_t us, again;
    if (clock_parse(s, &us) == ERR_OK)
        must(clock_parse(clock_format(us, text), &again) == ERR_OK && us == again, "clock");
}

static void try_trace(struct slice s)
{
    char text[TRACE_HEADER_LEN + 1], trace_id[33], parent_id[17];
    struct slice trace, parent, again, same;
    if (trace_read(s, &trace, &parent))
        return;
    must(trace.len == 32 && parent.len == 16, "ids of a trace");
    snprintf(trace_id, sizeof(trace_id), "%.*s", SLICE_ARG(trace));
    snprintf(parent_id, sizeof(parent_id), "%.*s", SLICE_ARG(parent));
    must(trace_read(trace_header(trace_id, parent_id, text), &again, &same) == ERR_OK &&
             slice_eq(trace, again) && slice_eq(parent, same),
         "trace");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = slice_of(data, size);
    struct host_list hosts;
    struct digest ca, stored;
    enum log_level level;
    enum period period;
    try_money(s);
    try_clock(s);
    try_trace(s);
    if (host_list_read(s, &hosts) == ERR_OK)
        for (size_t i = 0; i < hosts.count; i++)
            must(host_list_has(&hosts, hosts.names[i]), "a host of the list");
    if (enrol_token_read(s, &ca, &stored) == ERR_OK)
        must(s.len < ENROL_TOKEN_MAX, "token");
    if (log_level_parse(s, &level) == ERR_OK)
        must(level <= LOG_ERROR, "level");
    if (period_parse(s, &period) == ERR_OK)
        must(s.len > 0, "period");
    return 0;
}
