/*
 * tool_error — the tool gate's dialect: a refusal as a JSON-RPC error object, in the status of its
 * row.
 *
 * Inside a session a request that is refused for a time (429, 502 to 504) is answered in HTTP 200:
 * clients give up a session, and every call in it, for a status above. `data.retry_after` says in
 * seconds when to come again.
 *
 * Codes: enum rpc_code; `data.code` is the stable word of the table.
 */
#include <stdio.h>

#include "common/upstream/upstream_log.h"
#include "mcp-gateway/tool_private.h"

static int code_of(enum refusal_id id)
{
    switch (id) {
    case REFUSAL_BAD_JSON:
        return RPC_PARSE_ERROR;
    case REFUSAL_BAD_REQUEST:
    case REFUSAL_SERVER_AMBIGUOUS:
        return RPC_INVALID_REQUEST;
    case REFUSAL_RPC_METHOD:
        return RPC_METHOD_NOT_FOUND;
    case REFUSAL_TOOL_UNKNOWN:
    case REFUSAL_PARAMS:
        return RPC_INVALID_PARAMS;
    case REFUSAL_SESSION_UNKNOWN:
        return RPC_SESSION_NOT_FOUND;
    case REFUSAL_INTERNAL:
    case REFUSAL_UPSTREAM:
    case REFUSAL_UPSTREAM_PROTOCOL:
    case REFUSAL_UPSTREAM_TIMEOUT:
        return RPC_INTERNAL_ERROR;
    default:
        return RPC_SERVER_ERROR;
    }
}

static enum err write_head(struct buf *out, struct slice id)
{
    enum err e = buf_append(out, SLICE("{\"jsonrpc\":\"2.0\",\"id\":"));
    return e ? e : buf_append(out, id.len ? id : SLICE("null"));
}

enum err mcp_write_error(struct buf *out, struct slice id, int code, struct slice text,
                         const char *word, unsigned retry_after_s)
{
    enum err e = write_head(out, id);
    if (!e)
        e = buf_printf(out, ",\"error\":{\"code\":%d,\"message\":", code);
    if (!e)
        e = buf_json_string(out, text);
    if (!e)
        e = buf_printf(out, ",\"data\":{\"code\":\"%s\"", word);
    if (!e && retry_after_s)
        e = buf_printf(out, ",\"retry_after\":%u", retry_after_s);
    return e ? e : buf_append(out, SLICE("}}}"));
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
                           refusal_row(r->id)->code, r->retry_after_s);
}

unsigned mcp_refusal_status(const struct request *rq)
{
    const struct tool_work *w = rq->gate_state;
    unsigned status = refusal_row(rq->refusal.id)->status;
    bool passing = status == 429 || (status >= 502 && status <= 504);
    bool in_session = w && w->has_session_id && w->id.len;
    return in_session && passing ? 200 : status;
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

/* ---- failures of the way upstream ---- */

enum refusal_id mcp_refusal_of(enum err why, struct slice *detail)
{
    *detail = SLICE_NONE;
    switch (why) {
    case ERR_TIMEOUT:
        return REFUSAL_UPSTREAM_TIMEOUT;
    case ERR_TOO_BIG:
        *detail = SLICE("its response is larger than 16 MiB");
        return REFUSAL_UPSTREAM;
    case ERR_PROTOCOL:
    case ERR_INVALID:
        return REFUSAL_UPSTREAM_PROTOCOL;
    case ERR_NOMEM:
    case ERR_EXHAUSTED:
        return REFUSAL_NO_CAPACITY;
    default:
        *detail = upstream_why(why);
        return REFUSAL_UPSTREAM;
    }
}

static struct slice said(struct tool_work *w, const char *before, const char *text)
{
    return text[0] ? arena_printf(w->rq->arena, "%s, and said: %s", before, text)
                   : arena_copy(w->rq->arena, slice_str(before));
}

/* What a server says to the gateway's credential is not for the client's ears. */
static enum refusal_id by_status(struct tool_work *w, unsigned status, const char *text,
                                 struct slice *detail)
{
    char before[80];
    if (upstream_refused_us(status)) {
        *detail =
            arena_printf(w->rq->arena, "it refuses the gateway's credential (status %u)", status);
        return REFUSAL_UPSTREAM;
    }
    snprintf(before, sizeof(before), "it answered with status %u", status);
    *detail = said(w, before, text);
    return status == 429 ? REFUSAL_UPSTREAM_BUSY : REFUSAL_UPSTREAM;
}

enum refusal_id mcp_refusal_by_status(struct tool_work *w, struct slice *detail)
{
    const struct mcp_exchange *x = w->exchange;
    char text[160];
    upstream_said(buf_slice(&x->response), text, sizeof(text));
    w->retry_after_s = x->retry_after_s;
    return by_status(w, x->status, text, detail);
}

enum refusal_id mcp_refusal_of_opening(struct tool_work *w, struct slice *detail)
{
    const struct upstream_failure *f = &w->waiter.failure;
    w->retry_after_s = f->retry_after_s;
    if (f->why == ERR_NOT_FOUND) {
        *detail = said(w, "it opens no session for us", f->text);
        return REFUSAL_UPSTREAM;
    }
    if (f->why != ERR_DENIED || !f->status)
        return mcp_refusal_of(f->why, detail);
    if (f->status == 429) {
        *detail = SLICE("it opens no session for us now");
        return REFUSAL_UPSTREAM_BUSY;
    }
    return by_status(w, f->status, f->text, detail);
}
