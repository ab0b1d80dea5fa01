/*
 * error — the tool gate's dialect: a refusal as a JSON-RPC error object in the status of its row.
 *
 * Codes: JSON-RPC's own where it has one; -32001 is what the SDKs say of an unknown session;
 * the rest is -32000 (later revisions reserve what lies around it), and `data.code` is the stable
 * word of the table.
 */
#include "mcp-gateway/tool_private.h"

#define INVALID_REQUEST (-32600)
#define METHOD_NOT_FOUND (-32601)
#define INVALID_PARAMS (-32602)
#define INTERNAL_ERROR (-32603)
#define PARSE_ERROR (-32700)
#define SERVER_ERROR (-32000)
#define SESSION_NOT_FOUND (-32001)

static int code_of(enum refusal_id id)
{
    switch (id) {
    case REFUSAL_BAD_JSON:
        return PARSE_ERROR;
    case REFUSAL_BAD_REQUEST:
    case REFUSAL_SERVER_AMBIGUOUS:
        return INVALID_REQUEST;
    case REFUSAL_RPC_METHOD:
        return METHOD_NOT_FOUND;
    case REFUSAL_TOOL_UNKNOWN:
    case REFUSAL_PARAMS:
        return INVALID_PARAMS;
    case REFUSAL_SESSION_UNKNOWN:
        return SESSION_NOT_FOUND;
    case REFUSAL_INTERNAL:
    case REFUSAL_UPSTREAM:
    case REFUSAL_UPSTREAM_PROTOCOL:
    case REFUSAL_UPSTREAM_TIMEOUT:
        return INTERNAL_ERROR;
    default:
        return SERVER_ERROR;
    }
}

static enum err write_head(struct buf *out, struct slice id)
{
    enum err e = buf_append(out, SLICE("{\"jsonrpc\":\"2.0\",\"id\":"));
    return e ? e : buf_append(out, id.len ? id : SLICE("null"));
}

enum err mcp_write_error(struct buf *out, struct slice id, int code, struct slice text,
                         const char *word)
{
    enum err e = write_head(out, id);
    if (!e)
        e = buf_printf(out, ",\"error\":{\"code\":%d,\"message\":", code);
    if (!e)
        e = buf_json_string(out, text);
    if (!e)
        e = buf_printf(out, ",\"data\":{\"code\":\"%s\"}}}", word);
    return e;
}

enum err mcp_write_failure(struct buf *out, struct slice id, struct slice text)
{
    enum err e = write_head(out, id);
    if (!e)
        e = buf_append(out, SLICE(",\"result\":{\"content\":[{\"type\":\"text\",\"text\":"));
    if (!e)
        e = buf_json_string(out, text);
    return e ? e : buf_append(out, SLICE("}],\"isError\":true}}"));
}

enum err mcp_refusal_body(struct request *rq, struct buf *out, const char **content_type)
{
    const struct tool_work *w = rq->gate_state;
    const struct refusal *r = &rq->refusal;
    int code = w && w->fault_code ? w->fault_code : code_of(r->id);
    *content_type = "application/json";
    return mcp_write_error(out, w ? w->id : SLICE_NONE, code, refusal_sentence(r, rq->arena),
                           refusal_row(r->id)->code);
}

/* RFC 6750 section 3. No resource_metadata: that document is not served. */
static struct slice challenge(enum refusal_id id)
{
    return id == REFUSAL_NO_CREDENTIAL ? SLICE("Bearer") : SLICE("Bearer error=\"invalid_token\"");
}

size_t mcp_refusal_headers(struct request *rq, struct http_header *out, size_t max)
{
    enum refusal_id id = rq->refusal.id;
    const struct tool_work *w = rq->gate_state;
    if (max == 0)
        return 0;
    if (refusal_row(id)->status == 401) {
        out[0] = (struct http_header){SLICE("www-authenticate"), challenge(id)};
        return 1;
    }
    if (id == REFUSAL_METHOD) {
        bool get = w && w->is_get; /* then it is the upstream that has no event stream */
        out[0] = (struct http_header){SLICE("allow"),
                                      get ? SLICE("POST, DELETE") : SLICE("GET, POST, DELETE")};
        return 1;
    }
    return 0;
}
