/* Answers on their way in: heads, the interim ones skipped, and bodies. */
#include "common/base/limits.h"
#include "common/net/http_call.h"

/* False: the head of an interim answer, which has gone by; or the call has failed. */
static bool take_head(struct http_call *k, struct slice bytes)
{
    struct http1_problem problem;
    buf_clear(&k->head_bytes);
    enum err e = buf_append(&k->head_bytes, bytes);
    if (!e && http1_head_parse(HTTP1_ANSWER, buf_slice(&k->head_bytes), &k->head, &problem))
        e = ERR_PROTOCOL;
    bool interim = !e && k->head.status < 200;
    /* 101 would hand the connection to a protocol that nobody asked for */
    if (interim && (k->head.status == 101 || ++k->interims > LIMIT_HTTP_INTERIM))
        e = ERR_PROTOCOL;
    if (e)
        http_call_fail(k, e);
    return !e && !interim;
}

bool http_call_read_head(struct http_call *k, struct slice *bytes)
{
    struct http1_problem problem;
    size_t len = 0;
    if (bytes->len == 0)
        return false;
    if (k->state == HTTP_CALL_SENT)
        http_call_move(k, HTTP_CALL_HEAD);
    enum err e = http1_head_end(HTTP1_ANSWER, *bytes, &k->scanned, &len, &problem);
    if (e == ERR_AGAIN) {
        http_call_watch(k, k->gap_ms);
        return false;
    }
    k->scanned = 0;
    if (e) {
        http_call_fail(k, ERR_PROTOCOL);
        return true;
    }
    struct slice head = slice_first(*bytes, len);
    *bytes = slice_from(*bytes, len);
    if (!take_head(k, head))
        return true;
    memset(k->body, 0, sizeof(k->body)); /* what was lent goes back now */
    http1_body_init(&k->walk, HTTP1_ANSWER, &k->head, k->is_head ? SLICE("HEAD") : SLICE("GET"));
    http_call_move(k, HTTP_CALL_BODY);
    k->events.on_head(k->arg, &k->head);
    return true;
}

bool http_call_read_body(struct http_call *k, struct slice *bytes)
{
    struct http1_problem problem;
    struct slice piece;
    bool ended;
    if (k->paused)
        return false;
    enum err e = http1_body_next(&k->walk, bytes, &piece, &ended, &problem);
    if (e == ERR_AGAIN && k->eof) {
        if (k->walk.kind == HTTP1_BODY_TO_CLOSE && !k->lost)
            http_call_finish(k);
        else
            http_call_fail(k, k->lost ? k->lost : ERR_CLOSED);
        return true;
    }
    if (e == ERR_AGAIN) {
        http_call_watch(k, k->gap_ms);
        return false;
    }
    if (e) {
        http_call_fail(k, ERR_PROTOCOL);
        return true;
    }
    if (piece.len)
        k->events.on_body(k->arg, piece);
    if (ended && !k->released && k->state == HTTP_CALL_BODY) {
        if (bytes->len)
            k->eof = true; /* it says more than it was asked: not to be kept */
        http_call_finish(k);
    }
    return true;
}
