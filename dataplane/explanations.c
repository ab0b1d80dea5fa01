/* explanations — one message, which goes to the worker with the question and back with the answer.
 */
#include "dataplane/explanations.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "dataplane/ai/ai_explain.h"
#include "dataplane/worker.h"

#define ANSWER_MAX (1024 * 1024)

struct message {
    struct explanations *home;
    uint64_t number;
    struct arena *arena; /* of the question's texts, and what it takes to answer */
    struct ai_explain_ask ask;
    struct buf answer;
    struct slice problem; /* where there is no answer */
    bool is_unknown;
};

static void free_message(struct message *m)
{
    buf_fini(&m->answer);
    arena_free(m->arena);
    mem_free(m);
}

static struct slice copy(struct message *m, const char *text)
{
    return text ? arena_copy(m->arena, slice_str(text)) : SLICE_NONE;
}

static struct message *new_message(struct explanations *x, const Gatehouse__ExplainQuestion *q)
{
    struct message *m = mem_zalloc(sizeof(*m));
    if (!m)
        return NULL;
    buf_init(&m->answer, ANSWER_MAX);
    m->home = x;
    m->number = q->number;
    m->arena = arena_new(LIMIT_ARENA_CHUNK, LIMIT_ARENA_MAX);
    if (m->arena) {
        m->ask = (struct ai_explain_ask){.org_id = copy(m, q->org_id),
                                         .model = copy(m, q->model),
                                         .team_id = copy(m, q->team_id),
                                         .agent_id = copy(m, q->agent_id),
                                         .key_id = copy(m, q->key_id),
                                         .path = copy(m, q->path),
                                         .session = copy(m, q->session),
                                         .body = copy(m, q->body)};
        if (m->ask.org_id.ptr && m->ask.model.ptr && m->ask.body.ptr)
            return m;
    }
    free_message(m);
    return NULL;
}

/* On the main loop. */
static void tell(void *arg)
{
    struct message *m = arg;
    bool has = m->answer.len > 0;
    if (*m->home->plane)
        plane_explained(*m->home->plane, m->number, has ? buf_slice(&m->answer) : SLICE_NONE,
                        m->problem, m->is_unknown);
    free_message(m);
}

/* On the worker's thread. A main loop that has ended takes no message, and waits for no answer. */
static void answer(void *arg, struct request_env *env)
{
    struct message *m = arg;
    struct slice why = SLICE_NONE;
    m->ask.policy = env->policy;
    m->ask.endpoints = &env->upstreams.endpoints;
    m->ask.now_us = loop_now_us(env->loop);
    m->ask.wall_us = clock_wall_us();
    enum err e = env->policy ? ai_explain(&m->ask, m->arena, &m->answer, &why) : ERR_AGAIN;
    if (e != ERR_OK)
        buf_clear(&m->answer);
    m->is_unknown = e == ERR_NOT_FOUND;
    m->problem = why.ptr && why.len ? why : slice_str(err_text(e));
    if (loop_post(m->home->loop, tell, m) != ERR_OK)
        free_message(m);
}

void explanations_ask(struct explanations *x, struct worker *w,
                      const Gatehouse__ExplainQuestion *question)
{
    struct message *m = w ? new_message(x, question) : NULL;
    if (m && worker_run(w, answer, m) == ERR_OK)
        return;
    if (m)
        free_message(m);
    plane_explained(*x->plane, question->number, SLICE_NONE,
                    SLICE("the data plane has no worker for it now"), false);
}
