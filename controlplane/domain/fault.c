/*
 * fault — an outage that is rehearsed: for a while, data planes treat a share of the calls to a
 * provider as if it had failed. The provider itself is not called for those.
 */
#include "common/base/clock.h"
#include "controlplane/domain/field_value.h"
#include "controlplane/domain/nouns.h"
#include "controlplane/domain/role.h"
#include "proto/policy.pb-c.h"

#define DAYS_MOST 7

#define SUBJECT(noun)                                                                              \
    {                                                                                              \
        .name = noun, .type = FIELD_REF, .ref = noun, .wire = "scope_subject_id",                  \
        .wire_kind = "scope_subject_kind"                                                          \
    }

static const struct field scope_fields[] = {
    {.name = "all",
     .type = FIELD_BOOL,
     .flags = FIELD_LOCAL,
     .help = "true: calls of everybody in the org"},
    SUBJECT("team"),
    SUBJECT("agent"),
    SUBJECT("key"),
    FIELD_END,
};

static const struct field fault_fields[] = {
    {.name = "status",
     .type = FIELD_INT,
     .min = 400,
     .max = 599,
     .help = "the provider responds with this status"},
    {.name = "hang", .type = FIELD_BOOL, .help = "true: it takes the request and says nothing"},
    {.name = "latency_ms",
     .type = FIELD_INT,
     .min = 1,
     .max = 600000,
     .help = "it is called so much later"},
    FIELD_END,
};

static const struct field fields[] = {
    NOUN_DESCRIPTION,
    {.name = "scope",
     .type = FIELD_OBJECT,
     .flags = FIELD_REQUIRED,
     .fields = scope_fields,
     .help = "whose calls: of a team, an agent or a key, or all"},
    {.name = "provider",
     .type = FIELD_REF,
     .ref = "provider",
     .help = "which provider seems to fail; absent: every one that these calls reach"},
    {.name = "share",
     .type = FIELD_NUMBER,
     .min = 0,
     .max = 1,
     .default_json = "1",
     .help = "of these attempts, drawn for each; in steps of a thousandth"},
    {.name = "fault",
     .type = FIELD_OBJECT,
     .flags = FIELD_REQUIRED,
     .fields = fault_fields,
     .help = "what happens to them; one of the three"},
    {.name = "until",
     .type = FIELD_TIME,
     .flags = FIELD_REQUIRED,
     .help = "when it ends by itself; at most 7 days ahead"},
    FIELD_END,
};

static void check_scope(struct reading *r, const json_t *doc)
{
    static const char *const subjects[] = {"team", "agent", "key"};
    const json_t *scope = json_object_get(doc, "scope");
    bool all = json_is_true(json_object_get(scope, "all"));
    size_t named = all;
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++)
        named += json_object_get(scope, subjects[i]) != NULL;
    if (named != 1)
        reading_problem(r, "/scope", "name a team, an agent or a key, one of them, or all");
    else if (all && json_object_get(doc, "provider") == NULL)
        reading_problem(r, "/provider", "is required where the calls of all are meant");
}

static void check_fault(struct reading *r, const json_t *doc)
{
    const json_t *fault = json_object_get(doc, "fault");
    bool hangs = json_is_true(json_object_get(fault, "hang"));
    size_t said = hangs + (json_object_get(fault, "status") != NULL) +
                  (json_object_get(fault, "latency_ms") != NULL);
    if (said != 1)
        reading_problem(r, "/fault", "say status, hang or latency_ms, one of them");
    if (json_number_value(json_object_get(doc, "share")) < 0.001)
        reading_problem(r, "/share", "must be at least 0.001");
}

/* One that has ended may be changed in other ways, and stays ended. */
static void check_until(struct reading *r, const json_t *old, const json_t *doc)
{
    int64_t until = 0;
    struct slice text = json_text(doc, "until");
    if (old != NULL && slice_eq(json_text(old, "until"), text))
        return;
    if (clock_parse(text, &until) != ERR_OK)
        return;
    if (until <= r->now_us)
        reading_problem(r, "/until", "has passed");
    else if (until > r->now_us + DAYS_MOST * INT64_C(86400000000))
        reading_problem(r, "/until", "must be at most %d days ahead", DAYS_MOST);
}

static void check(struct reading *r, const json_t *old, json_t *doc)
{
    if (json_array_size(r->problems) > 0)
        return;
    check_scope(r, doc);
    check_fault(r, doc);
    check_until(r, old, doc);
}

const struct noun noun_fault = {
    .name = "fault",
    .plural = "faults",
    .table = "faults",
    .id_prefix = "fault",
    .kind = GATEHOUSE__OBJECT_KIND__KIND_FAULT,
    .write_roles = ROLES_WRITE,
    .fields = fields,
    .check = check,
    .help = "an outage of a provider that is rehearsed",
};
