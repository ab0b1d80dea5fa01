/*
 * gate_task — on which task is this done? The header only chooses among those the credential
 * lists; without a list there is none to choose.
 */
#include "common/journey/walk.h"

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

static enum gate_answer ask(struct journey *j)
{
    struct slice wanted = http_head_find(j->head, SLICE("x-gatehouse-task"));
    if (!wanted.len)
        return GATE_PASS;
    const struct policy_task *task = snapshot_task_named(j->policy, j->who.key->o.org_id, wanted);
    if (!task)
        task = snapshot_task(j->policy, wanted);
    /* A task of another's is answered like one that does not exist. */
    bool once = http_head_count(j->head, SLICE("x-gatehouse-task")) == 1;
    if (!once || !task || !principal_may_assume(&j->who, task->o.id)) {
        journey_refuse(j, REFUSAL_TASK, SLICE_NONE);
        return GATE_REFUSE;
    }
    j->task = task;
    return GATE_PASS;
}

const struct gate gate_task = {"task", ask, NULL, NULL};
