/*
 * answer — response_ops over an http_exchange.
 */
#include "dataplane/listener/http_adapter.h"

#include "common/base/mem.h"

#define SPARE_MAX 1024

void answers_init(struct answers *a)
{
    list_init(&a->spare);
    a->spare_count = 0;
}

void answers_fini(struct answers *a)
{
    struct list *it;
    while ((it = list_take_first(&a->spare)))
        mem_free(LIST_ITEM(it, struct answer, link));
    a->spare_count = 0;
}

static void release(struct answer *a)
{
    struct answers *home = a->home;
    if (home->spare_count >= SPARE_MAX) {
        mem_free(a);
        return;
    }
    list_push_first(&home->spare, &a->link);
    home->spare_count++;
}

/* ---- from the exchange ---- */

static void on_body(void *user, struct slice piece)
{
    struct answer *a = user;
    if (a->rq)
        request_on_body(a->rq, piece);
}

static void on_body_end(void *user)
{
    struct answer *a = user;
    if (a->rq)
        request_on_body_end(a->rq);
}

static void on_drain(void *user)
{
    struct answer *a = user;
    if (a->rq)
        request_on_drain(a->rq);
}

static void on_gone(void *user, enum err why)
{
    struct answer *a = user;
    (void)why;
    a->x = NULL;
    if (a->gone)
        *a->gone = true;
    if (a->rq)
        request_on_gone(a->rq); /* its end releases the answer */
    else
        release(a);
}

static const struct http_exchange_events exchange_events = {
    .on_body = on_body, .on_body_end = on_body_end, .on_drain = on_drain, .on_gone = on_gone};

struct answer *answer_new(struct answers *home, struct http_exchange *x)
{
    struct list *it = list_take_first(&home->spare);
    struct answer *a = it ? LIST_ITEM(it, struct answer, link) : mem_alloc(sizeof(*a));
    if (!a)
        return NULL;
    if (it)
        home->spare_count--;
    *a = (struct answer){.home = home, .x = x};
    list_init(&a->link);
    http_exchange_bind(x, &exchange_events, a);
    return a;
}

/* ---- from the request ---- */

static enum err begin(void *answer, unsigned status, const struct http_header *headers, size_t n,
                      uint64_t length)
{
    struct answer *a = answer;
    return a->x ? http_response_begin(a->x, status, headers, n, length) : ERR_CLOSED;
}

static enum err write_piece(void *answer, struct slice data)
{
    struct answer *a = answer;
    return a->x ? http_response_write(a->x, data) : ERR_CLOSED;
}

static size_t pending(void *answer)
{
    struct answer *a = answer;
    return a->x ? http_response_pending(a->x) : 0;
}

void answer_directly(struct answer *a, unsigned status, const struct http_header *headers, size_t n,
                     struct slice body)
{
    bool gone = false;
    a->rq = NULL;
    if (!a->x) {
        release(a);
        return;
    }
    a->gone = &gone;
    enum err e = http_response(a->x, status, headers, n, body);
    if (gone)
        return;
    a->gone = NULL;
    if (e)
        http_response_abort(a->x);
}

static void whole(void *answer, unsigned status, const struct http_header *headers, size_t n,
                  struct slice body)
{
    answer_directly(answer, status, headers, n, body);
}

static void end(void *answer)
{
    struct answer *a = answer;
    a->rq = NULL;
    if (a->x)
        http_response_end(a->x);
    else
        release(a);
}

static void abort_answer(void *answer)
{
    struct answer *a = answer;
    a->rq = NULL;
    if (a->x)
        http_response_abort(a->x);
    else
        release(a);
}

static void read_body(void *answer, uint64_t max)
{
    struct answer *a = answer;
    if (a->x)
        http_exchange_read(a->x, max);
}

static void pause_body(void *answer)
{
    struct answer *a = answer;
    if (a->x)
        http_exchange_pause(a->x);
}

static void resume_body(void *answer)
{
    struct answer *a = answer;
    if (a->x)
        http_exchange_resume(a->x);
}

const struct response_ops response_ops = {
    .begin = begin,
    .write = write_piece,
    .whole = whole,
    .pending = pending,
    .end = end,
    .abort = abort_answer,
    .read_body = read_body,
    .pause_body = pause_body,
    .resume_body = resume_body,
};
