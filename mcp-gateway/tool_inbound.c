/*
 * tool_inbound — what a server sends beside the response: requests and notifications.
 *
 * A request goes to the client only where the client declared that it can serve it and reads an
 * event stream in a session; any other is answered here at once, since a server that waits in vain
 * holds the call. A ping is answered here always: it asks whether the other end of this connection
 * is there. The id that the client sees is a sealed one: it says which upstream session asked under
 * which id, so that any plane can lead the response there, and no response can be made up.
 *
 * Notifications about what a key is not granted (resources, prompts) are not for its client.
 */
#include "mcp-gateway/changes.h"
#include "mcp-gateway/question_id.h"
#include "mcp-gateway/tool_private.h"

static bool is_method(const struct mcp_response *a, const char *name)
{
    return mcp_response_says(a, slice_str(name));
}

/* ---- answered here ---- */

static void answer(struct tool_work *w, const struct mcp_response *a, struct slice rest)
{
    struct slice message = arena_printf(w->rq->arena, "{\"jsonrpc\":\"2.0\",\"id\":%.*s,%.*s}",
                                        SLICE_ARG(a->id.raw), SLICE_ARG(rest));
    if (message.ptr)
        tool_tell_upstream(w, message);
}

static void answer_error(struct tool_work *w, const struct mcp_response *a, int code,
                         const char *text)
{
    answer(w, a,
           arena_printf(w->rq->arena, "\"error\":{\"code\":%d,\"message\":\"%s\"}", code, text));
}

/* ---- may the client be asked? ---- */

static const struct {
    const char *method;
    uint32_t declared; /* one of these */
} askable[] = {
    {"sampling/createMessage", DECLARES_SAMPLING},
    {"roots/list", DECLARES_ROOTS},
    {"elicitation/create", DECLARES_ELICITATION | DECLARES_ELICITATION_URL},
    {"tasks/get", DECLARES_TASKS},
    {"tasks/result", DECLARES_TASKS},
    {"tasks/list", DECLARES_TASKS},
    {"tasks/cancel", DECLARES_TASKS},
};

static bool is_declared(const struct tool_work *w, const struct mcp_response *a)
{
    for (size_t i = 0; i < ARRAY_LEN(askable); i++)
        if (is_method(a, askable[i].method))
            return w->session->declared & askable[i].declared;
    return false;
}

static bool is_text(const struct json_hit *h, const char *text)
{
    char buffer[64];
    struct slice got;
    return h->raw.len <= sizeof(buffer) && !json_scan_text(h, buffer, sizeof(buffer), &got) &&
           slice_eq(got, slice_str(text));
}

/* MCP 2025-11-25, Elicitation: the mode, form where none is named, must be one that the client
 * declared. */
static bool is_mode_declared(const struct tool_work *w, const struct mcp_response *a)
{
    static const char *const wants[] = {"params.mode"};
    struct json_hit mode;
    enum json_type root;
    if (!is_method(a, "elicitation/create"))
        return true;
    if (json_scan_response(a->text, wants, 1, &mode, &root, NULL))
        return false;
    uint32_t needed = is_text(&mode, "url") ? DECLARES_ELICITATION_URL : DECLARES_ELICITATION;
    return w->session->declared & needed;
}

/* ---- the id that the client sees ---- */

static struct question_place place_of(const struct tool_work *w)
{
    return (struct question_place){w->rq->who.key->o.org_id,
                                   slice_of(w->session->sid, sizeof(w->session->sid))};
}

/* A JSON string; SLICE_NONE: no memory, or the ids are too long. */
static struct slice seal_question(struct tool_work *w, struct slice original)
{
    const struct seal *seal = mcp_worker_seal(w->worker, w->rq->policy);
    const struct question_place at = place_of(w);
    char text[QUESTION_ID_TEXT];
    struct slice id;
    if (!seal || question_id_seal(seal, &at, original, w->waiter.ref.upstream_id, text, &id))
        return SLICE_NONE;
    return arena_printf(w->rq->arena, "\"%.*s\"", SLICE_ARG(id));
}

static bool open_question(struct tool_work *w, struct slice id, struct slice *original,
                          struct slice *upstream_id)
{
    const struct seal *seal = mcp_worker_seal(w->worker, w->rq->policy);
    const struct question_place at = place_of(w);
    if (!seal || id.len < 2 || id.ptr[0] != '"')
        return false;
    char *plain = arena_alloc(w->rq->arena, QUESTION_ID_PLAIN);
    return plain && !question_id_open(seal, &at, slice_of(id.ptr + 1, id.len - 2), plain, original,
                                      upstream_id);
}

bool tool_question_of(struct tool_work *w, struct slice id, struct slice *original,
                      struct slice *upstream_id, bool *first)
{
    if (!open_question(w, id, original, upstream_id))
        return false;
    *first = client_session_take_question(w->session, id);
    return true;
}

/* ---- to the client ---- */

static struct slice make_event(struct tool_work *w, const struct mcp_response *a,
                               const struct sse_event *e, struct slice place, struct slice now)
{
    struct mcp_edit edit = {place, now};
    buf_clear(&w->out);
    buf_clear(&w->event);
    if (mcp_edit(a->text, &edit, 1, &w->out) ||
        sse_write(&w->event, e->event, e->id, buf_slice(&w->out)))
        return SLICE_NONE;
    return buf_slice(&w->event);
}

static struct slice take_request(struct tool_work *w, const struct mcp_response *a,
                                 const struct sse_event *e)
{
    if (is_method(a, "ping")) {
        answer(w, a, SLICE("\"result\":{}"));
        return SLICE_NONE;
    }
    bool heard = !w->one_shot && w->streaming && e;
    if (!heard || !is_declared(w, a)) {
        answer_error(w, a, RPC_METHOD_NOT_FOUND, "the client does not serve this");
        return SLICE_NONE;
    }
    if (!is_mode_declared(w, a)) {
        answer_error(w, a, RPC_INVALID_PARAMS, "the client does not serve this mode");
        return SLICE_NONE;
    }
    struct slice id = seal_question(w, a->id.raw);
    struct slice event = SLICE_NONE;
    if (id.ptr && !client_session_ask(w->session, id, a->id.raw, w->waiter.ref.generation))
        event = make_event(w, a, e, a->id.raw, id);
    if (!event.ptr)
        answer_error(w, a, RPC_METHOD_NOT_FOUND, "the client could not be asked");
    return event;
}

/* A server that takes back what it asked names it by its own id. */
static struct slice take_cancelled(struct tool_work *w, const struct mcp_response *a,
                                   const struct sse_event *e)
{
    static const char *const wants[] = {"params.requestId"};
    struct json_hit hit;
    enum json_type root;
    if (json_scan_response(a->text, wants, 1, &hit, &root, NULL) || hit.type == JSON_SCAN_ABSENT)
        return SLICE_NONE;
    struct slice id =
        client_session_question(w->session, hit.raw, w->waiter.ref.generation, w->rq->arena);
    return id.ptr ? make_event(w, a, e, hit.raw, id) : SLICE_NONE;
}

static bool is_for_all(const struct mcp_response *a)
{
    static const char *const methods[] = {
        "notifications/progress", "notifications/message", "notifications/tools/list_changed",
        "notifications/tasks/status", "notifications/elicitation/complete"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (is_method(a, methods[i]))
            return true;
    return false;
}

struct slice tool_inbound(struct tool_work *w, const struct mcp_response *a,
                          const struct sse_event *e)
{
    mcp_changes_look(w->worker, w->server, a);
    if (a->kind == MCP_RESPONSE_REQUEST)
        return take_request(w, a, e);
    if (!e || !w->streaming)
        return SLICE_NONE; /* a client that reads JSON hears of the response only */
    if (is_method(a, "notifications/cancelled"))
        return take_cancelled(w, a, e);
    return is_for_all(a) || tool_is_whole(w) ? e->raw : SLICE_NONE;
}
