/* ai_token — which accounts are exchanged, and by whose rules. */
#include "dataplane/ai/ai_token.h"

#include "common/base/secret.h"

static void hold_policy(void *policy)
{
    snapshot_hold(policy);
}

static void drop_policy(void *policy)
{
    snapshot_drop(policy);
}

bool ai_account_signs(const struct policy_credential *account)
{
    return account && (account->access_key_id.len || (account->source && account->source->signs));
}

static bool is_exchanged(const struct ai_provider *protocol,
                         const struct policy_credential *account)
{
    if (!account || account->source)
        return account != NULL;
    return protocol->token_scope.len && account->secret &&
           slice_starts(slice_trim(secret_reveal(account->secret)), SLICE("{"));
}

enum err ai_token_take(struct request *rq, const struct ai_provider *protocol,
                       const struct policy_provider *provider,
                       const struct policy_credential *account, struct access_token_wait *w,
                       struct access_token **ret)
{
    struct upstreams *u = &rq->env->upstreams;
    *ret = NULL;
    if (!is_exchanged(protocol, account))
        return ERR_OK;
    if (!u->tokens)
        u->tokens = access_tokens_new(u->client);
    if (!u->tokens)
        return ERR_NOMEM;
    const struct access_token_spec spec = {
        .key = account->token_key,
        .provider_id = provider->o.id,
        .upstream = provider->o.name,
        .credential = account->name,
        .source = account->source,
        .account = account->secret,
        .scope = protocol->token_scope,
        .region = account->region,
        .rule = {provider->allowed, provider->allowed_count},
        .tls = provider->tls,
        .proxy = provider->proxy,
        .owner = (void *)(uintptr_t)rq->policy,
        .hold = hold_policy,
        .drop = drop_policy,
    };
    return access_token_get(u->tokens, &spec, w, ret);
}

struct slice ai_token_why(struct request *rq, const struct policy_credential *account, enum err e)
{
    struct access_tokens *tokens = rq->env->upstreams.tokens;
    struct slice why = tokens ? access_token_why(tokens, &account->token_key) : SLICE("");
    if (!why.len)
        why = slice_str(err_text(e));
    return arena_printf(rq->arena, "its account could not be exchanged for a %s: %.*s",
                        account->source ? "credential" : "token", SLICE_ARG(why));
}
