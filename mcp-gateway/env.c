/* env — see the card. */
#include "mcp-gateway/env.h"

#include "common/base/mem.h"
#include "mcp-gateway/directory.h"
#include "mcp-gateway/tool_gate.h"

static struct mcp_env *create(struct request_env *env)
{
    struct mcp_env *m = mem_zalloc(sizeof(*m));
    if (!m)
        return NULL;
    if (mcp_directory_join()) {
        mem_free(m);
        return NULL;
    }
    m->env = env;
    list_init(&m->legs);
    list_push(&env->gate_spare[GATE_TOOL], &m->link);
    return m;
}

struct mcp_env *mcp_env_of(struct request_env *env)
{
    struct list *home = &env->gate_spare[GATE_TOOL];
    return list_empty(home) ? create(env) : LIST_ITEM(home->next, struct mcp_env, link);
}

/* A key schedule for each request would cost more than the request's gates. */
const struct seal *mcp_env_seal(struct mcp_env *m, const struct snapshot *policy)
{
    struct slice master = snapshot_session_seal(policy);
    struct digest print;
    digest_sha256(master, &print);
    if (m->seal && memcmp(print.bytes, m->master.bytes, sizeof(print.bytes)) == 0)
        return m->seal;
    struct seal *fresh = seal_new(master);
    if (!fresh)
        return NULL;
    seal_free(m->seal);
    m->seal = fresh;
    m->master = print;
    return fresh;
}

void mcp_fini(struct request_env *env)
{
    struct list *it = list_take_first(&env->gate_spare[GATE_TOOL]);
    if (!it)
        return;
    struct mcp_env *m = LIST_ITEM(it, struct mcp_env, link);
    MUST(list_empty(&m->legs)); /* the client's end failed each of them */
    seal_free(m->seal);
    mcp_directory_part();
    mem_free(m);
}
