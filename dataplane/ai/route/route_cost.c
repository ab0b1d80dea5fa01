/* route_cost — one sum. */
#include "dataplane/ai/route/route_cost.h"

static uint64_t output_of(const struct route_need *need, const struct endpoint_pace *pace)
{
    uint64_t usual = pace->output ? pace->output : ROUTE_OUTPUT_GUESS;
    if (!need->writes)
        return 0;
    return need->output_ceiling && need->output_ceiling < usual ? need->output_ceiling : usual;
}

enum err route_cost(const struct price_sheet *sheet, const struct route_need *need,
                    const struct endpoint_pace *pace, money *ret)
{
    if (!sheet)
        return ERR_NOT_FOUND;
    struct price_list prices = *price_for(sheet, need->prompt);
    if (!need->writes && prices.output == PRICE_NONE)
        prices.output = 0;
    const struct token_count tokens = {.input = need->prompt,
                                       .cache_read =
                                           need->prompt / 1000 * pace->cached_permille +
                                           need->prompt % 1000 * pace->cached_permille / 1000,
                                       .output = output_of(need, pace)};
    return money_cost(&prices, &tokens, ret);
}
