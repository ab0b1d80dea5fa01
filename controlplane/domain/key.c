/*
 * key — a virtual key: its owner, what it may use, and its budget.
 *
 * The key itself is made by api/api_keys and shown once; here lies its digest only.
 */
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/id.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

static const char *digest_rule(struct slice text)
{
    static const char wrong[] = "must be 64 lower-case hex digits";
    if (text.len != 2 * DIGEST_LEN)
        return wrong;
    for (size_t i = 0; i < text.len; i++)
        if (memchr("0123456789abcdef", text.ptr[i], 16) == NULL)
            return wrong;
    return NULL;
}

static const char *const digest_words[] = {"hmac", "sha256", NULL};

static const struct field fields[] = {
    {.name = "agent", .type = FIELD_REF, .ref = "agent", .help = "absent: its own principal"},
    {.name = "team",
     .type = FIELD_REF,
     .ref = "team",
     .through = "agent",
     .help = "of a key without agent; absent: \"default\""},
    NOUN_MODELS("exact names, \"prefix/*\" or \"*\"; absent: the agent's or team's; [] none"),
    {.name = "tasks",
     .type = FIELD_REF,
     .flags = FIELD_LIST | FIELD_NARROWS,
     .ref = "task",
     .help = "which it may assume; absent: the agent's"},
    {.name = "budget", .type = FIELD_OBJECT, .fields = noun_budget_fields, .help = "absent: none"},
    {.name = "limits", .type = FIELD_OBJECT, .fields = noun_limits_fields, .help = "absent: none"},
    {.name = "expires_at",
     .type = FIELD_TIME,
     .flags = FIELD_WIRE_ALWAYS,
     .help = "absent: never; to be in the future at creation, the past ends a key"},
    {.name = "digest",
     .type = FIELD_TEXT,
     .flags = FIELD_ON_CREATE | FIELD_HIDDEN,
     .min = 1,
     .rule = digest_rule,
     .pattern = "^[0-9a-f]{64}$",
     .help = "of a key another gateway made, instead of a new one"},
    {.name = "digest_kind",
     .type = FIELD_WORD,
     .flags = FIELD_ON_CREATE,
     .words = digest_words,
     .help = "how `digest` was made; only \"sha256\" can be imported"},
    {.name = "public_part",
     .type = FIELD_TEXT,
     .flags = FIELD_READ_ONLY,
     .help = "what logs and metrics show"},
    NOUN_POOLS,
    {.name = "revoked",
     .type = FIELD_BOOL,
     .flags = FIELD_READ_ONLY | FIELD_WIRE_ALWAYS,
     .help = "for ever"},
    {.name = "blocked",
     .type = FIELD_BOOL,
     .flags = FIELD_READ_ONLY | FIELD_WIRE_ALWAYS,
     .help = "until unblocked"},
    FIELD_END,
};

static const json_t *agents_team(struct reading *r, const json_t *agent, json_t **spec)
{
    char id[ID_MAX];
    enum err e =
        r->lookup->find(r->lookup->arg, "agent",
                        slice_of(json_string_value(agent), json_string_length(agent)), id, spec);
    if (e != ERR_OK && e != ERR_NOT_FOUND && r->failed == ERR_OK)
        r->failed = e;
    return e == ERR_OK ? json_object_get(*spec, "team") : NULL;
}

/* The team of an agent pays for its keys, so a key of an agent may name no other team. */
static void check_owner(struct reading *r, json_t *doc)
{
    const json_t *agent = json_object_get(doc, "agent");
    const json_t *team = json_object_get(doc, "team");
    if (agent == NULL && team == NULL) {
        char id[ID_MAX] = "";
        if (r->lookup->find(r->lookup->arg, "team", SLICE("default"), id, NULL) == ERR_OK)
            json_object_set_new(doc, "team", json_string(id));
    }
    if (agent == NULL || team == NULL)
        return;
    JSON_AUTO json_t *spec = NULL;
    const json_t *payer = agents_team(r, agent, &spec);
    if (payer != NULL && !json_equal(payer, team))
        reading_problem(r, "/team", "is not the agent's team: leave one of them out");
}

/* A new key must not be expired already; that is taken for a mistake. An existing key may be given
 * a time in the past, and expires at once. */
static void check_expiry(struct reading *r, const json_t *old, const json_t *doc)
{
    int64_t at = 0;
    if (old == NULL && clock_parse(json_text(doc, "expires_at"), &at) == ERR_OK && at <= r->now_us)
        reading_problem(r, "/expires_at", "has passed already");
}

static void check(struct reading *r, const json_t *old, json_t *doc)
{
    check_owner(r, doc);
    check_expiry(r, old, doc);
    if (old != NULL || json_array_size(r->problems) > 0)
        return;
    const char *kind = json_string_value(json_object_get(doc, "digest_kind"));
    bool has_digest = json_object_get(doc, "digest") != NULL;
    if (has_digest && (kind == NULL || strcmp(kind, "sha256") != 0))
        reading_problem(r, "/digest_kind", "must be \"sha256\" where a digest is imported");
    if (!has_digest && kind != NULL)
        reading_problem(r, "/digest_kind", "only goes with a digest");
    json_object_set_new(doc, "revoked", json_false());
    json_object_set_new(doc, "blocked", json_false());
}

const struct noun noun_key = {
    .name = "key",
    .plural = "keys",
    .table = "keys",
    .id_prefix = "k",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_KEY,
    .flags = NOUN_NAME_REPEATS | NOUN_NAME_LIVE,
    .write_roles = ROLES_WRITE,
    .fields = fields,
    .check = check,
    .help = "a virtual key",
};
