/* access_token — accounts that leave for others while what waited for them is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/upstream/access_token.h"
#include "tests/kit/net/client_scenario.h"

#define FAR "http://127.0.0.1:9/credentials" /* no rule allows it: its fetch ends in a later turn  \
                                              */
#define UNREADABLE "none"                    /* ends at once */

/* Waits for one account, and asks for another as soon as it is told. */
struct probe {
    struct world *w;
    struct access_tokens *tokens;
    struct access_token_wait wait;
    enum err first, told;
    atomic_bool done;
};

static void nothing(void *owner)
{
    (void)owner;
}

static enum err ask(struct probe *p, unsigned account, const char *url, struct access_token_wait *w)
{
    struct access_token *token;
    const struct token_source source = {.kind = token_kind_named(SLICE("aws_container")),
                                        .url = slice_str(url)};
    struct access_token_spec spec = {.provider_id = SLICE("p_1"),
                                     .upstream = SLICE("acme"),
                                     .credential = SLICE("main"),
                                     .source = &source,
                                     .hold = nothing,
                                     .drop = nothing};
    static struct token_source kept; /* of the fetch that goes on */
    if (w == &p->wait) {
        kept = source;
        spec.source = &kept;
    }
    memcpy(spec.key.bytes, &account, sizeof(account));
    return access_token_get(p->tokens, &spec, w, &token);
}

static void on_told(struct access_token_wait *w, enum err e)
{
    struct probe *p = CONTAINER_OF(w, struct probe, wait);
    struct access_token_wait other = {0};
    p->told = e;
    (void)ask(p, ACCESS_TOKENS_MAX, UNREADABLE, &other); /* takes the place of the first */
    atomic_store(&p->done, true);
}

static void begin(void *arg)
{
    struct probe *p = arg;
    struct access_token_wait other = {0};
    p->tokens = access_tokens_new(p->w->client);
    p->wait.fn = on_told;
    p->first = p->tokens ? ask(p, 0, FAR, &p->wait) : ERR_NOMEM;
    for (unsigned i = 1; i < ACCESS_TOKENS_MAX; i++)
        (void)ask(p, i, UNREADABLE, &other);
}

static void end(void *arg)
{
    struct probe *p = arg;
    access_tokens_free(p->tokens);
    atomic_store(&p->done, true);
}

static bool post(struct probe *p, void (*task)(void *arg))
{
    atomic_store(&p->done, false);
    if (loop_post(p->w->loop, task, p) != ERR_OK)
        return false;
    for (int i = 0; i < 5000 && !atomic_load(&p->done); i++)
        usleep(1000);
    return atomic_load(&p->done);
}

static void leaving_script(void *arg)
{
    struct world *w = arg;
    struct probe p = {.w = w};
    EXPECT(w, post(&p, begin));
    EXPECT(w, p.first == ERR_AGAIN && p.told == ERR_DENIED);
    EXPECT(w, post(&p, end));
}

static void an_account_may_leave_while_what_waited_for_it_is_told(void **state)
{
    (void)state;
    scenario_upstream(leaving_script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_may_leave_while_what_waited_for_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
