/*
 * filter_task — on which task is this done? The header only chooses among those the credential
 * lists; without a list there is none to choose.
 */
#include "common/request/request_private.h"

static bool lists(const struct name_list *l, struct slice id)
{
    for (size_t i = 0; i < l->count; i++)
        if (slice_eq(l->names[i], id))
            return true;
    return false;
}

bool principal_may_assume(const struct principal *who, struct slice task_id)
{
    if (who->key->tasks.set)
        return lists(&who->key->tasks, task_id);
    return who->agent && who->agent->tasks.set && lists(&who->agent->tasks, task_id);
}

static enum filter_result on_request(struct request *rq)
{
    struct slice wanted = http_head_find(rq->head, SLICE("x-gatehouse-task"));
    if (!wanted.len)
        return FILTER_PASS;
    const struct policy_task *task = snapshot_task_named(rq->policy, rq->who.key->o.org_id, wanted);
    if (!task)
        task = snapshot_task(rq->policy, wanted);
    /* A task of another's is answered like one that does not exist. */
    bool once = http_head_count(rq->head, SLICE("x-gatehouse-task")) == 1;
    if (!once || !task || !principal_may_assume(&rq->who, task->o.id)) {
        request_refuse(rq, REFUSAL_TASK, SLICE_NONE);
        return FILTER_REFUSE;
    }
    rq->task = task;
    return FILTER_PASS;
}

const struct filter filter_task = {.name = "task", .on_request = on_request};
