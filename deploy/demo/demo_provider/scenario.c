/* scenario — the options behind the model's name. */
#include "deploy/demo/demo_provider/scenario.h"

#include "deploy/demo/serve.h"

#define CHUNKS_MAX 100000
#define BYTES_MAX 65536

static uint64_t at_most(uint64_t n, uint64_t max)
{
    return n < max ? n : max;
}

void scenario_read(struct slice model, struct scenario *ret)
{
    ptrdiff_t mark = slice_find(model, '?');
    struct slice q = mark < 0 ? SLICE_NONE : slice_from(model, (size_t)mark + 1);
    *ret = (struct scenario){
        .name = mark < 0 ? model : slice_first(model, (size_t)mark),
        .delay_ms = query_u64(q, SLICE("delay_ms"), 0),
        .chunks = at_most(query_u64(q, SLICE("chunks"), 12), CHUNKS_MAX),
        .chunk_ms = query_u64(q, SLICE("chunk_ms"), 0),
        .bytes = at_most(query_u64(q, SLICE("bytes"), 0), BYTES_MAX),
        .fail_percent = query_u64(q, SLICE("fail_percent"), 0),
        .fail_status = query_u64(q, SLICE("fail_status"), 500),
        .cut = query_u64(q, SLICE("cut"), 0),
        .hang = query_u64(q, SLICE("hang"), 0) != 0,
        .usage = query_u64(q, SLICE("usage"), 1) != 0,
        .echo = query_u64(q, SLICE("echo"), 0) != 0,
    };
}
