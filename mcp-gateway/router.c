/* router — two arrays, oldest first; most sessions have one request at a time. */
#include "mcp-gateway/router.h"

#include "common/base/mem.h"

void router_init(struct router *r, uint64_t first)
{
    *r = (struct router){.last_number = first};
}

static void forget_request(struct router *r, size_t at)
{
    mem_free(r->requests[at].id);
    memmove(&r->requests[at], &r->requests[at + 1],
            (r->request_count - at - 1) * sizeof(r->requests[0]));
    r->request_count--;
}

static void forget_question(struct router *r, size_t at)
{
    mem_free(r->questions[at].id);
    mem_free(r->questions[at].original);
    memmove(&r->questions[at], &r->questions[at + 1],
            (r->question_count - at - 1) * sizeof(r->questions[0]));
    r->question_count--;
}

void router_fini(struct router *r)
{
    while (r->request_count)
        forget_request(r, r->request_count - 1);
    while (r->question_count)
        forget_question(r, r->question_count - 1);
    mem_free(r->requests);
    mem_free(r->questions);
    r->requests = NULL;
    r->questions = NULL;
}

static struct pending_request *by_number(const struct router *r, uint64_t number)
{
    for (size_t i = r->request_count; i > 0; i--)
        if (r->requests[i - 1].number == number)
            return &r->requests[i - 1];
    return NULL;
}

const struct pending_request *router_by_number(const struct router *r, uint64_t number)
{
    return by_number(r, number);
}

/* the newest: an answered one of the same id is older */
const struct pending_request *router_by_id(const struct router *r, struct slice id)
{
    for (size_t i = r->request_count; i > 0; i--)
        if (slice_eq(slice_str(r->requests[i - 1].id), id))
            return &r->requests[i - 1];
    return NULL;
}

/* At the ceiling what was answered goes first, then what no client waits for, then the oldest;
 * the response of a live one still finds its own stream. */
static size_t least_needed(const struct router *r)
{
    static const enum pending_state order[] = {PENDING_ANSWERED, PENDING_DETACHED};
    for (size_t k = 0; k < ARRAY_LEN(order); k++)
        for (size_t i = 0; i < r->request_count; i++)
            if (r->requests[i].state == order[k])
                return i;
    return 0;
}

/* Makes space for one more in an array that grows with need. */
static enum err grow(void **items, size_t size, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return ERR_OK;
    size_t more = *capacity ? 2 * *capacity : 4;
    void *grown = mem_realloc(*items, more * size);
    if (!grown)
        return ERR_NOMEM;
    *items = grown;
    *capacity = more;
    return ERR_OK;
}

enum err router_add(struct router *r, struct slice id, unsigned worker, bool lists, uint64_t *ret)
{
    const struct pending_request *same = router_by_id(r, id);
    void *items = r->requests;
    if (same && same->state == PENDING_LIVE)
        return ERR_EXISTS;
    if (r->request_count == LIMIT_MCP_PENDING)
        forget_request(r, least_needed(r));
    enum err e = grow(&items, sizeof(r->requests[0]), r->request_count, &r->request_capacity);
    r->requests = items;
    char *copy = e ? NULL : mem_strndup(id.ptr, id.len);
    if (!copy)
        return ERR_NOMEM;
    *ret = ++r->last_number;
    r->requests[r->request_count++] =
        (struct pending_request){.number = *ret, .id = copy, .worker = worker, .lists = lists};
    return ERR_OK;
}

void router_answered(struct router *r, uint64_t number, bool resumable)
{
    struct pending_request *p = by_number(r, number);
    if (p && resumable)
        p->state = PENDING_ANSWERED;
    else if (p)
        forget_request(r, (size_t)(p - r->requests));
}

void router_detach(struct router *r, uint64_t number)
{
    struct pending_request *p = by_number(r, number);
    if (p && p->state == PENDING_LIVE)
        p->state = PENDING_DETACHED;
}

/* ---- the other direction ---- */

enum err router_ask(struct router *r, struct slice id, struct slice original, unsigned generation)
{
    void *items = r->questions;
    if (r->question_count == LIMIT_MCP_QUESTIONS)
        forget_question(r, 0);
    enum err e = grow(&items, sizeof(r->questions[0]), r->question_count, &r->question_capacity);
    r->questions = items;
    if (e)
        return e;
    struct pending_question q = {.id = mem_strndup(id.ptr, id.len),
                                 .original = mem_strndup(original.ptr, original.len),
                                 .generation = generation};
    if (q.id && q.original) {
        r->questions[r->question_count++] = q;
        return ERR_OK;
    }
    mem_free(q.id);
    mem_free(q.original);
    return ERR_NOMEM;
}

const struct pending_question *router_question(const struct router *r, struct slice id)
{
    for (size_t i = 0; i < r->question_count; i++)
        if (slice_eq(slice_str(r->questions[i].id), id))
            return &r->questions[i];
    return NULL;
}

const struct pending_question *router_question_of(const struct router *r, struct slice original,
                                                  unsigned generation)
{
    for (size_t i = 0; i < r->question_count; i++)
        if (r->questions[i].generation == generation &&
            slice_eq(slice_str(r->questions[i].original), original))
            return &r->questions[i];
    return NULL;
}

void router_question_done(struct router *r, const struct pending_question *q)
{
    forget_question(r, (size_t)(q - r->questions));
}
