/* kind_task — a task: nothing but a name, which grants and keys refer to by its id. */
#include "common/policy/kind.h"

static enum err decode(struct kind_decoding *d)
{
    const Gatehouse__Task *m = d->message->task;
    return kind_begin(d, sizeof(struct policy_task), m->org_id, m->name) ? ERR_OK : ERR_NOMEM;
}

const struct policy_kind kind_task = {
    .kind = GATEHOUSE__OBJECT_KIND__KIND_TASK,
    .body = GATEHOUSE__POLICY_OBJECT__BODY_TASK,
    .decode = decode,
    .named = true,
};
