/* trace — a request's place in the client's trace, or at the head of one of its own. */
#include "common/base/digest.h"
#include "common/request/request_private.h"
#include "common/upstream/trace_context.h"

#define TRACE_ID_LEN 32
#define SPAN_ID_LEN 16

void trace_begin(struct request *rq)
{
    struct call_record *t = &rq->record;
    struct slice header = http_head_find(rq->head, SLICE("traceparent"));
    struct slice trace_id, parent_id;
    if (header.len && http_head_count(rq->head, SLICE("traceparent")) == 1 &&
        !trace_read(header, &trace_id, &parent_id)) {
        memcpy(t->trace_id, trace_id.ptr, TRACE_ID_LEN);
        memcpy(t->parent_id, parent_id.ptr, SPAN_ID_LEN);
    } else {
        uint8_t raw[TRACE_ID_LEN / 2];
        digest_random(raw, sizeof(raw));
        digest_hex(slice_of(raw, sizeof(raw)), t->trace_id);
    }
    trace_span_id(t->span_id);
}
