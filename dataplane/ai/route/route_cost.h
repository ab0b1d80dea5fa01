/*
 * route_cost — what one call is expected to cost at one target.
 *
 * The prompt is taken as it was measured, the output as the target's responses were long of late,
 * no longer than the client allows. Of the prompt as much counts as cached as was of late at the
 * target: a target whose cache works for this traffic may be the cheaper one at a higher price. The
 * tier of the whole prompt applies. It decides among targets, and bills nothing (ai_cost does).
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/base/money.h"
#include "common/upstream/endpoint.h"
#include "dataplane/ai/route/route_need.h"

#define ROUTE_OUTPUT_GUESS 512 /* tokens of a response where none was seen */

/* ERR_NOT_FOUND: the price is not known. sheet NULL: it is not. */
MUST_USE enum err route_cost(const struct price_sheet *sheet, const struct route_need *need,
                             const struct endpoint_pace *pace, money *ret);
