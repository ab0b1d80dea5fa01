/* trace_context — reads and writes the traceparent header. */
#include "common/upstream/trace_context.h"

#include "common/base/digest.h"

#define TRACE_ID_LEN 32
#define SPAN_ID_LEN 16

/* lower-case hex as the recommendation demands, and not all zeros */
static bool is_id(struct slice s, size_t len)
{
    bool zero = true;
    if (s.len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = s.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        zero = zero && c == '0';
    }
    return !zero;
}

enum err trace_read(struct slice header, struct slice *trace_id, struct slice *parent_id)
{
    struct slice version, trace, parent, flags;
    if (!slice_split(&header, '-', &version) || !slice_split(&header, '-', &trace) ||
        !slice_split(&header, '-', &parent) || !slice_split(&header, '-', &flags))
        return ERR_INVALID;
    if (version.len != 2 || slice_eq(version, SLICE("ff")) || flags.len != 2)
        return ERR_INVALID;
    if (slice_eq(version, SLICE("00")) && header.len)
        return ERR_INVALID;
    if (!is_id(trace, TRACE_ID_LEN) || !is_id(parent, SPAN_ID_LEN))
        return ERR_INVALID;
    *trace_id = trace;
    *parent_id = parent;
    return ERR_OK;
}

void trace_span_id(char out[static 17])
{
    uint8_t raw[SPAN_ID_LEN / 2];
    digest_random(raw, sizeof(raw));
    digest_hex(slice_of(raw, sizeof(raw)), out);
}

struct slice trace_header(const char *trace_id, const char *span_id,
                          char out[static TRACE_HEADER_LEN + 1])
{
    memcpy(out, "00-", 3);
    memcpy(out + 3, trace_id, TRACE_ID_LEN);
    out[35] = '-';
    memcpy(out + 36, span_id, SPAN_ID_LEN);
    memcpy(out + 52, "-01", 4);
    return slice_of(out, TRACE_HEADER_LEN);
}
