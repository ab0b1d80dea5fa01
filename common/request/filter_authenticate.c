/*
 * filter_authenticate — finds the principal from every credential header, and from the query where
 * the gate's dialect has a place there; all of them must name the same one. filter_task finds the
 * task, which only a principal may assume.
 *
 * A value that is neither a key of ours nor known is dropped: clients send placeholders beside
 * the real key. A value that has the shape of our keys and is unknown is not dropped, because
 * it claims a principal: beside another it is ambiguous. No credential of the client ever goes
 * upstream (gates build their heads from an allow-list).
 */
#include "common/base/clock.h"
#include "common/request/filter_signature.h"
#include "common/request/key_memo.h"
#include "common/request/request_private.h"
#include "common/wire/keyprint.h"

/* product.md, Credentials */
static const struct slice credential_headers[] = {
    {"authorization", 13},  {"x-api-key", 9},          {"api-key", 7},
    {"x-goog-api-key", 14}, {"x-litellm-api-key", 17}, {"x-bf-vk", 7},
};

/* What a credential names. */
struct named {
    const struct policy_key *key; /* NULL: none */
    struct principal known;       /* whose it is, where that was found lately; .key NULL: not */
    struct sip_tag tag;           /* of the credential, where there is a memo */
    bool lent; /* by its gate for a while, or for what was signed: it is not remembered */
};

struct findings {
    struct named first; /* of the first credential that names a key */
    struct slice header;
    bool any;       /* some credential was sent */
    bool stranger;  /* one in our shape that no key has */
    bool ambiguous; /* two that name different principals */
};

static bool is_credential(struct slice name)
{
    const unsigned lengths = 1u << 7 | 1u << 9 | 1u << 13 | 1u << 14 | 1u << 17; /* of those */
    if (name.len > 17 || !(lengths >> name.len & 1))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(credential_headers); i++)
        if (slice_ieq(name, credential_headers[i]))
            return true;
    return false;
}

static struct slice without_bearer(struct slice value)
{
    const struct slice scheme = SLICE("Bearer ");
    if (value.len > scheme.len && slice_ieq(slice_first(value, scheme.len), scheme))
        return slice_trim(slice_from(value, scheme.len));
    return value;
}

/* Imported keys may have any shape, ours included, and are stored by their plain digest. A key
 * of ours is found by its length and digest alone: the checksum adds nothing to the digest, and
 * costs as much. */
static const struct policy_key *look_up(const struct snapshot *policy, struct slice value)
{
    struct digest d;
    const struct policy_key *key = NULL;
    const struct digest_hmac_key *ours = snapshot_key_ready(policy);
    if (value.len == KEYPRINT_KEY_LEN && ours) {
        keyprint_hmac_by(ours, value, &d);
        key = snapshot_key_by_digest(policy, &d);
        if (key && !key->digest_is_sha256)
            return key;
    }
    keyprint_sha256(value, &d);
    key = snapshot_key_by_digest(policy, &d);
    return key && key->digest_is_sha256 ? key : NULL;
}

/* What is kept holds for the worker's newest policy; a request that is under an older one is rare.
 */
static struct key_memo *memo_of(const struct request *rq)
{
    struct request_env *env = rq->env;
    if (rq->policy != env->policy)
        return NULL;
    if (!env->keys)
        env->keys = key_memo_new();
    return env->keys;
}

static struct named find_key(const struct request *rq, struct slice credential)
{
    struct key_memo *memo = memo_of(rq);
    struct named n = {0};
    if (memo) {
        n.tag = key_memo_tag(memo, credential);
        const struct principal *who = key_memo_find(memo, rq->policy, n.tag);
        if (who)
            n.known = *who;
    }
    n.key = n.known.key ? n.known.key : look_up(rq->policy, credential);
    return n;
}

static void consider(struct request *rq, struct slice name, struct slice sent, struct findings *f)
{
    struct slice value = without_bearer(sent);
    if (!value.len)
        return;
    f->any = true;
    bool is_signed = slice_ieq(name, SLICE("authorization")) && aws_is_signed(value);
    struct named n = is_signed ? (struct named){.key = signature_key(rq, value), .lent = true}
                               : find_key(rq, value);
    const struct policy_key *first = f->first.key;
    if (!n.key && rq->gate->own_key) {
        n.key = rq->gate->own_key(rq, value);
        n.lent = n.key != NULL;
    }
    if (!n.key) {
        bool ours = is_signed || keyprint_is_ours(value);
        f->ambiguous = f->ambiguous || (ours && first);
        f->stranger = f->stranger || ours;
        return;
    }
    f->ambiguous = f->ambiguous || f->stranger || (first && first != n.key);
    if (!first) {
        f->first = n;
        f->header = name;
    }
}

static bool is_valid(const struct policy_key *key)
{
    if (key->revoked || key->blocked)
        return false;
    return key->expires_at_us == 0 || key->expires_at_us > clock_wall_us();
}

/* false: the policy names an agent or a team that this plane was not given. Withheld means
 * denied (security.md, The channel). */
static bool fill_principal(const struct snapshot *policy, const struct policy_key *key,
                           struct principal *ret)
{
    struct principal principal = {.key = key};
    struct slice team_id = key->team_id;
    if (key->agent_id.len) {
        principal.agent = snapshot_agent(policy, key->agent_id);
        if (!principal.agent)
            return false;
        team_id = principal.agent->team_id;
    }
    if (team_id.len) {
        principal.team = snapshot_team(policy, team_id);
        if (!principal.team)
            return false;
    }
    *ret = principal;
    return true;
}

static bool is_blocked(const struct snapshot *policy, const struct principal *principal)
{
    return snapshot_is_blocked(policy, SLICE("key"), principal->key->o.id) ||
           (principal->agent &&
            snapshot_is_blocked(policy, SLICE("agent"), principal->agent->o.id)) ||
           (principal->team && snapshot_is_blocked(policy, SLICE("team"), principal->team->o.id));
}

static bool has_same_secret(const struct policy_key *a, const struct policy_key *b)
{
    return a->digest_is_sha256 == b->digest_is_sha256 &&
           memcmp(a->digest.bytes, b->digest.bytes, sizeof(a->digest.bytes)) == 0;
}

bool principal_stands(const struct snapshot *policy, const struct policy_key *was,
                      struct principal *ret)
{
    const struct policy_key *key = policy ? snapshot_key(policy, was->o.id) : NULL;
    return key && has_same_secret(key, was) && is_valid(key) && fill_principal(policy, key, ret) &&
           !is_blocked(policy, ret);
}

static enum filter_result refuse(struct request *rq, enum refusal_id id)
{
    request_refuse(rq, id, SLICE_NONE);
    return FILTER_REFUSE;
}

/* The principal of a valid key; false where there is none, or it is blocked. */
static bool find_principal(struct request *rq, const struct named *n)
{
    struct key_memo *memo = memo_of(rq);
    if (n->known.key) {
        rq->who = n->known;
        return true;
    }
    if (!fill_principal(rq->policy, n->key, &rq->who) || is_blocked(rq->policy, &rq->who))
        return false;
    if (memo && !n->lent)
        key_memo_keep(memo, rq->policy, n->tag, &rq->who);
    return true;
}

static enum filter_result on_request(struct request *rq)
{
    if (!rq->policy)
        return refuse(rq, REFUSAL_NO_POLICY);
    struct findings f = {0};
    for (size_t i = 0; i < rq->head->header_count; i++)
        if (is_credential(rq->head->headers[i].name))
            consider(rq, rq->head->headers[i].name, rq->head->headers[i].value, &f);
    if (rq->gate->query_credential)
        consider(rq, SLICE("?"), rq->gate->query_credential(rq), &f);
    if (f.ambiguous)
        return refuse(rq, REFUSAL_AMBIGUOUS_CREDENTIAL);
    if (!f.first.key)
        return refuse(rq, f.any ? REFUSAL_BAD_CREDENTIAL : REFUSAL_NO_CREDENTIAL);
    rq->who.key = f.first.key; /* the record names the key also where it is refused */
    if (!is_valid(f.first.key) || !find_principal(rq, &f.first))
        return refuse(rq, REFUSAL_BAD_CREDENTIAL);
    rq->credential_header = f.header;
    request_watch_expiry(rq);
    return FILTER_PASS;
}

const struct filter filter_authenticate = {.name = "authn", .on_request = on_request};

void principal_scopes(const struct principal *principal, struct scope_list *ret)
{
    const struct scope *const scopes[] = {
        principal->key ? &principal->key->scope : NULL,
        principal->agent ? &principal->agent->scope : NULL,
        principal->team ? &principal->team->scope : NULL,
    };
    ret->count = 0;
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++)
        MUST(scope_add(ret, scopes[i]));
}

/* ---- the task: the header only chooses among those that the credential lists ---- */

static bool lists(const struct name_list *l, struct slice id)
{
    for (size_t i = 0; i < l->count; i++)
        if (slice_eq(l->names[i], id))
            return true;
    return false;
}

bool principal_may_assume(const struct principal *principal, struct slice task_id)
{
    if (principal->key->tasks.set)
        return lists(&principal->key->tasks, task_id);
    return principal->agent && principal->agent->tasks.set &&
           lists(&principal->agent->tasks, task_id);
}

static enum filter_result on_task(struct request *rq)
{
    struct slice wanted = http_head_find(rq->head, SLICE("x-gatehouse-task"));
    if (!wanted.len)
        return FILTER_PASS;
    const struct policy_task *task = snapshot_task_named(rq->policy, rq->who.key->o.org_id, wanted);
    if (!task)
        task = snapshot_task(rq->policy, wanted);
    /* A task of another principal is refused like one that does not exist. */
    bool once = http_head_count(rq->head, SLICE("x-gatehouse-task")) == 1;
    if (!once || !task || !principal_may_assume(&rq->who, task->o.id)) {
        request_refuse(rq, REFUSAL_TASK, SLICE_NONE);
        return FILTER_REFUSE;
    }
    rq->task = task;
    return FILTER_PASS;
}

const struct filter filter_task = {.name = "task", .on_request = on_task};
