/*
 * answer — what the client hears of a journey: an answer begun and written piece by piece, or all
 * of one at its end; with the headers that every answer has.
 */
#include "common/journey/walk.h"

static size_t join_headers(struct journey *j, const struct http_header *headers, size_t n,
                           struct http_header *all, size_t max, struct header_room *room)
{
    size_t count = headers_common(j, all, JOURNEY_HEADERS, room);
    for (size_t i = 0; i < n && count < max; i++)
        all[count++] = headers[i];
    return count;
}

enum err journey_answer_begin(struct journey *j, unsigned status, const struct http_header *headers,
                              size_t n, uint64_t length)
{
    struct http_header all[JOURNEY_HEADERS + LIMIT_HTTP_HEADERS] UNINITIALIZED;
    struct header_room room UNINITIALIZED;
    MUST(!j->answered_status);
    if (j->client_gone)
        return ERR_CLOSED;
    size_t count = join_headers(j, headers, n, all, ARRAY_LEN(all), &room);
    enum err e = j->answer_ops->begin(j->answer, status, all, count, length);
    if (!e)
        j->answered_status = status;
    return e;
}

enum err journey_answer_write(struct journey *j, struct slice data)
{
    return j->client_gone ? ERR_CLOSED : j->answer_ops->write(j->answer, data);
}

static void say_whole(struct journey *j, const struct parting *p)
{
    struct http_header all[JOURNEY_HEADERS + LIMIT_HTTP_HEADERS] UNINITIALIZED;
    struct header_room room UNINITIALIZED;
    size_t count = join_headers(j, p->headers, p->n, all, ARRAY_LEN(all), &room);
    j->answer_ops->whole(j->answer, p->status, all, count, p->body);
}

void journey_say_refusal(struct journey *j)
{
    struct http_header all[2 * JOURNEY_HEADERS] UNINITIALIZED;
    struct header_room room UNINITIALIZED;
    const char *type = "application/json";
    struct buf *out = &j->env->scratch;
    buf_clear(out);
    if (j->wing->refusal_body(j, out, &type))
        buf_clear(out); /* the status still says it */
    size_t n = headers_common(j, all, JOURNEY_HEADERS, &room);
    n += headers_refusal(j, all + n, JOURNEY_HEADERS - 1, &room);
    all[n++] = (struct http_header){SLICE("content-type"), slice_str(type)};
    j->answer_ops->whole(j->answer, refusal_row(j->refusal.id)->status, all, n, buf_slice(out));
}

void answer_part(struct journey *j, const struct parting *p)
{
    if (p->whole) {
        say_whole(j, p);
    } else if (!j->answered_status) {
        journey_say_refusal(j);
    } else if (j->end == JOURNEY_CANCELLED || p->cut || (j->revoked && !p->last.len)) {
        j->answer_ops->abort(j->answer);
    } else if (p->last.len && j->answer_ops->write(j->answer, p->last)) {
        j->answer_ops->abort(j->answer);
    } else {
        j->answer_ops->end(j->answer);
    }
}
