/* snapshot — versions that share, differ only where they should, and leak nothing. */
#include "tests/unit/policy/policy_kit.h"

#include <math.h>

#include "common/base/mem.h"
#include "common/policy/snapshot_private.h"
#include "common/scope/meter.h"
#include "common/wire/policy_digest.h"

static struct snapshot *version_of(const struct snapshot *from, struct registry *r,
                                   void (*change)(struct snapshot_build *b), uint64_t version)
{
    struct snapshot_build *b;
    assert_int_equal(snapshot_build_begin(from, r, &b), ERR_OK);
    change(b);
    return snapshot_build_end(&b, SLICE("lineage"), version);
}

static const struct policy_key *find_key(const struct snapshot *s, const char *id)
{
    struct digest d;
    digest_sha256(slice_str(id), &d);
    return snapshot_key_by_digest(s, &d);
}

static void two_keys(struct snapshot_build *b)
{
    kit_key(b, "k_1", 1, "key:k_1");
    kit_key(b, "k_2", 1, NULL);
}

static void second_revision(struct snapshot_build *b)
{
    kit_key(b, "k_1", 2, "key:k_1");
}

static void first_gone(struct snapshot_build *b)
{
    kit_delete(b, GATEHOUSE__OBJECT_KIND__KIND_KEY, "k_1");
}

static bool note_change(void *arg, const struct policy_object *o, struct slice subject UNUSED)
{
    char *text = arg;
    snprintf(text + strlen(text), 64, "%.*s/%u ", SLICE_ARG(o->id), (unsigned)o->revision);
    return true;
}

static void thousand_keys(struct snapshot_build *b)
{
    char id[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof(id), "k_%d", i);
        kit_key(b, id, 1, NULL);
    }
}

static void two_change(struct snapshot_build *b)
{
    kit_key(b, "k_7", 2, NULL);
    kit_delete(b, GATEHOUSE__OBJECT_KIND__KIND_KEY, "k_8");
    kit_key(b, "k_new", 1, NULL);
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void the_difference_of_two_versions_is_what_changed_between_them(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, thousand_keys, 1);
    struct snapshot *two = version_of(one, r, two_change, 2);
    for (int backwards = 0; backwards < 2; backwards++) {
        char text[1024] = "", words[4][16] = {""};
        snapshot_diff(backwards ? two : one, backwards ? one : two, note_change, text);
        assert_int_equal(
            sscanf(text, "%15s %15s %15s %15s", words[0], words[1], words[2], words[3]), 4);
        qsort(words, 4, sizeof(words[0]), compare_words);
        assert_string_equal(words[0], "k_7/1");
        assert_string_equal(words[1], "k_7/2");
        assert_string_equal(words[2], "k_8/1");
        assert_string_equal(words[3], "k_new/1");
    }
    char none[64] = "";
    snapshot_diff(one, one, note_change, none);
    assert_string_equal(none, "");
    snapshot_drop(one);
    snapshot_drop(two);
    registry_free(r);
}

static void keys_are_found_by_digest_and_by_id(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *s = version_of(NULL, r, two_keys, 1);
    assert_non_null(find_key(s, "k_1"));
    assert_ptr_equal(find_key(s, "k_1"), snapshot_key(s, SLICE("k_1")));
    assert_null(find_key(s, "k_3"));
    assert_non_null(find_key(s, "k_1")->scope.account);
    assert_null(find_key(s, "k_2")->scope.account);
    assert_non_null(find_key(s, "k_2")->scope.meter);
    snapshot_drop(s);
    registry_free(r);
}

static void a_new_revision_keeps_meter_and_account_and_the_old_version_is_untouched(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, two_keys, 1);
    struct snapshot *two = version_of(one, r, second_revision, 2);
    assert_int_equal(find_key(one, "k_1")->o.revision, 1);
    assert_int_equal(find_key(two, "k_1")->o.revision, 2);
    assert_ptr_equal(find_key(one, "k_1")->scope.meter, find_key(two, "k_1")->scope.meter);
    assert_ptr_equal(find_key(one, "k_1")->scope.account, find_key(two, "k_1")->scope.account);
    assert_ptr_equal(find_key(one, "k_2"), find_key(two, "k_2"));
    snapshot_drop(one);
    assert_int_equal(find_key(two, "k_1")->o.revision, 2);
    snapshot_drop(two);
    registry_free(r);
}

static void a_whole_new_policy_inherits_meters(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, two_keys, 1);
    struct snapshot_build *b;
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    snapshot_build_inherit(b, one);
    two_keys(b);
    struct snapshot *again = snapshot_build_end(&b, SLICE("lineage"), 5);
    assert_ptr_equal(find_key(one, "k_1")->scope.meter, find_key(again, "k_1")->scope.meter);
    snapshot_drop(one);
    snapshot_drop(again);
    registry_free(r);
}

static void the_digest_is_the_same_whichever_way_a_policy_came_about(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, two_keys, 1);
    struct snapshot *two = version_of(one, r, second_revision, 2);
    struct snapshot *three = version_of(two, r, first_gone, 3);
    struct snapshot *back = version_of(three, r, two_keys, 4);
    assert_memory_equal(&one->digest, &back->digest, sizeof(struct digest));
    assert_memory_not_equal(&one->digest, &two->digest, sizeof(struct digest));
    assert_null(find_key(three, "k_1"));
    snapshot_drop(one);
    snapshot_drop(two);
    snapshot_drop(three);
    snapshot_drop(back);
    registry_free(r);
}

static void named(struct snapshot_build *b)
{
    kit_model(b, "m_1", "zebra", 1);
    kit_model(b, "m_2", "alpha", 1);
}

static void renamed(struct snapshot_build *b)
{
    kit_model(b, "m_1", "yak", 2);
}

static bool note_name(void *arg, const struct policy_model *m)
{
    strncat(arg, m->o.name.ptr, m->o.name.len);
    strcat(arg, " ");
    return true;
}

static void a_rename_moves_the_name_and_lists_are_in_order(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, named, 1);
    struct snapshot *two = version_of(one, r, renamed, 2);
    assert_non_null(snapshot_model_named(one, SLICE("org"), SLICE("zebra")));
    assert_null(snapshot_model_named(two, SLICE("org"), SLICE("zebra")));
    assert_non_null(snapshot_model_named(two, SLICE("org"), SLICE("yak")));
    assert_null(snapshot_model_named(two, SLICE("other"), SLICE("yak")));
    char names[64] = "";
    snapshot_each_model(two, SLICE("org"), note_name, names);
    assert_string_equal(names, "alpha yak ");
    snapshot_drop(one);
    snapshot_drop(two);
    registry_free(r);
}

static bool count_grant(void *arg, const struct policy_grant *g UNUSED)
{
    ++*(int *)arg;
    return true;
}

static int grants_of(const struct snapshot *s, const char *subject)
{
    int n = 0;
    snapshot_each_grant(s, slice_str(subject), count_grant, &n);
    return n;
}

static void three_grants(struct snapshot_build *b)
{
    kit_grant(b, "g_1", "a_1", 1);
    kit_grant(b, "g_2", "a_1", 1);
    kit_grant(b, "g_3", "a_2", 1);
}

static void moved_grant(struct snapshot_build *b)
{
    kit_grant(b, "g_2", "a_2", 2);
    kit_delete(b, GATEHOUSE__OBJECT_KIND__KIND_GRANT, "g_1");
}

static void grants_follow_their_subject(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, three_grants, 1);
    struct snapshot *two = version_of(one, r, moved_grant, 2);
    assert_int_equal(grants_of(one, "a_1"), 2);
    assert_int_equal(grants_of(one, "a_2"), 1);
    assert_int_equal(grants_of(two, "a_1"), 0);
    assert_int_equal(grants_of(two, "a_2"), 2);
    snapshot_drop(one);
    snapshot_drop(two);
    registry_free(r);
}

static void blocked_twice(struct snapshot_build *b)
{
    kit_block(b, "b_1", "agent", "a_1");
    kit_block(b, "b_2", "agent", "a_1");
}

static void unblocked_once(struct snapshot_build *b)
{
    kit_delete(b, GATEHOUSE__OBJECT_KIND__KIND_BLOCK, "b_1");
}

static void a_subject_stays_blocked_until_its_last_block_goes(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, blocked_twice, 1);
    struct snapshot *two = version_of(one, r, unblocked_once, 2);
    assert_true(snapshot_is_blocked(one, SLICE("agent"), SLICE("a_1")));
    assert_true(snapshot_is_blocked(two, SLICE("agent"), SLICE("a_1")));
    assert_false(snapshot_is_blocked(two, SLICE("key"), SLICE("a_1")));
    snapshot_drop(one);
    snapshot_drop(two);
    registry_free(r);
}

#define MANY 5000

static void many(struct snapshot_build *b)
{
    char id[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof(id), "k_%d", i);
        kit_key(b, id, 1, NULL);
    }
}

static void half_gone(struct snapshot_build *b)
{
    char id[32];
    for (int i = 0; i < MANY; i += 2) {
        snprintf(id, sizeof(id), "k_%d", i);
        kit_delete(b, GATEHOUSE__OBJECT_KIND__KIND_KEY, id);
    }
}

static void many_keys_come_and_go(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, many, 1);
    struct snapshot *two = version_of(one, r, half_gone, 2);
    char id[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof(id), "k_%d", i);
        assert_non_null(find_key(one, id));
        assert_int_equal(find_key(two, id) != NULL, i % 2);
    }
    snapshot_drop(one);
    snapshot_drop(two);
    registry_free(r);
}

/* Each allocation of a delta fails once; the old version must not notice. */
static void a_delta_without_memory_leaves_the_old_version_as_it_was(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, two_keys, 1);
    struct digest before = one->digest;
    for (size_t n = 1;; n++) {
        struct snapshot_build *b = NULL;
        uint8_t digest[DIGEST_LEN];
        Gatehouse__Key key = GATEHOUSE__KEY__INIT;
        Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
        kit_digest("k_1", digest);
        key.org_id = "org";
        key.digest = (ProtobufCBinaryData){DIGEST_LEN, digest};
        o.kind = GATEHOUSE__OBJECT_KIND__KIND_KEY;
        o.id = "k_1";
        o.revision = 7;
        o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_KEY;
        o.key = &key;
        mem_fail_after(n);
        enum err e = snapshot_build_begin(one, r, &b);
        if (e == ERR_OK)
            e = snapshot_build_apply(b, &o);
        bool failed = mem_failed();
        mem_fail_after(0);
        snapshot_build_cancel(&b);
        assert_int_equal(find_key(one, "k_1")->o.revision, 1);
        assert_memory_equal(&one->digest, &before, sizeof(before));
        if (!failed) {
            assert_int_equal(e, ERR_OK);
            break;
        }
        assert_int_equal(e, ERR_NOMEM);
    }
    snapshot_drop(one);
    registry_free(r);
}

/* ---- objects that this plane does not understand ---- */

struct refusal_seen {
    int kind;
    char id[32];
    enum policy_refusal why;
    size_t count;
};

static bool see_refusal(void *arg, const struct policy_object *o, enum policy_refusal why)
{
    struct refusal_seen *seen = arg;
    seen->kind = o->kind;
    snprintf(seen->id, sizeof(seen->id), "%.*s", SLICE_ARG(o->id));
    seen->why = why;
    seen->count++;
    return true;
}

static void expect_refused(const struct snapshot *s, int kind, const char *id,
                           enum policy_refusal why)
{
    struct refusal_seen seen = {0};
    snapshot_each_refused(s, see_refusal, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(snapshot_refused(s), 1);
    assert_int_equal(seen.kind, kind);
    assert_string_equal(seen.id, id);
    assert_int_equal(seen.why, why);
}

static void of_a_later_kind(struct snapshot_build *b)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    two_keys(b);
    o.has_kind = o.has_revision = true;
    o.kind = (Gatehouse__ObjectKind)99;
    o.id = "x_1";
    o.revision = 4;
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
}

static void later_kind_gone(struct snapshot_build *b)
{
    kit_delete(b, 99, "x_1");
}

static void an_unknown_kind_is_refused_alone_and_counts_in_the_digest(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *without = version_of(NULL, r, two_keys, 1);
    struct snapshot *with = version_of(NULL, r, of_a_later_kind, 2);
    struct snapshot *again = version_of(with, r, later_kind_gone, 3);
    struct digest row, sum = without->digest;
    expect_refused(with, 99, "x_1", POLICY_UNKNOWN_KIND);
    assert_non_null(find_key(with, "k_1"));
    policy_digest_row(99, SLICE("x_1"), 4, &row);
    digest_add(&sum, &row);
    assert_memory_equal(&with->digest, &sum, sizeof(sum));
    assert_int_equal(snapshot_refused(again), 0);
    assert_memory_equal(&again->digest, &without->digest, sizeof(sum));
    snapshot_drop(without);
    snapshot_drop(with);
    snapshot_drop(again);
    registry_free(r);
}

static void put_key(struct snapshot_build *b, uint64_t revision, char *feature, bool has_digest)
{
    uint8_t digest[DIGEST_LEN];
    Gatehouse__Key key = GATEHOUSE__KEY__INIT;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    kit_digest("k_1", digest);
    key.has_digest = has_digest;
    key.digest = (ProtobufCBinaryData){has_digest ? DIGEST_LEN : 0, digest};
    o.has_kind = o.has_revision = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_KEY;
    o.id = "k_1";
    o.revision = revision;
    o.n_features = feature ? 1 : 0;
    o.features = &feature;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_KEY;
    o.key = &key;
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
}

static void needs_what_we_lack(struct snapshot_build *b)
{
    put_key(b, 2, "a.feature.of.tomorrow", true);
}

static void understood_again(struct snapshot_build *b)
{
    put_key(b, 3, NULL, true);
}

static void a_key_that_needs_an_unknown_feature_is_denied_until_it_needs_it_no_more(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, two_keys, 1);
    struct snapshot *two = version_of(one, r, needs_what_we_lack, 2);
    struct snapshot *three = version_of(two, r, understood_again, 3);
    expect_refused(two, GATEHOUSE__OBJECT_KIND__KIND_KEY, "k_1", POLICY_UNKNOWN_FEATURE);
    assert_null(find_key(two, "k_1"));
    assert_null(snapshot_key(two, SLICE("k_1")));
    assert_non_null(find_key(two, "k_2"));
    assert_non_null(find_key(three, "k_1"));
    assert_int_equal(snapshot_refused(three), 0);
    snapshot_drop(one);
    snapshot_drop(two);
    snapshot_drop(three);
    registry_free(r);
}

static void put_alias(struct snapshot_build *b, uint64_t revision, const char *name,
                      const char *subject)
{
    Gatehouse__Alias alias = GATEHOUSE__ALIAS__INIT;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    alias.org_id = "org";
    alias.name = (char *)(uintptr_t)name;
    alias.model = "large";
    alias.subject_id = (char *)(uintptr_t)subject;
    o.has_kind = o.has_revision = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_ALIAS;
    o.id = "alias_1";
    o.revision = revision;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_ALIAS;
    o.alias = &alias;
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
}

static void alias_of_a_team(struct snapshot_build *b)
{
    put_alias(b, 1, "fast", "t_1");
}

static void alias_of_the_org(struct snapshot_build *b)
{
    put_alias(b, 2, "quick", NULL);
}

static bool count_alias(void *arg, const struct policy_alias *a)
{
    assert_true(slice_eq(a->model, SLICE("large")));
    ++*(unsigned *)arg;
    return true;
}

static void an_alias_is_found_by_its_owner_and_its_name(void **state)
{
    unsigned of_team = 0, of_org = 0;
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, alias_of_a_team, 1);
    struct snapshot *two = version_of(one, r, alias_of_the_org, 2);
    assert_non_null(snapshot_alias(one, SLICE("t_1"), SLICE("fast")));
    assert_null(snapshot_alias(one, SLICE("org"), SLICE("fast")));
    assert_null(snapshot_alias(one, SLICE("t_1"), SLICE("")));
    assert_null(snapshot_alias(two, SLICE("t_1"), SLICE("fast")));
    assert_non_null(snapshot_alias(two, SLICE("org"), SLICE("quick")));
    snapshot_each_alias(two, SLICE("t_1"), count_alias, &of_team);
    snapshot_each_alias(two, SLICE("org"), count_alias, &of_org);
    assert_int_equal(of_team, 0);
    assert_int_equal(of_org, 1);
    snapshot_drop(one);
    snapshot_drop(two);
    registry_free(r);
}

static void put_model(struct snapshot_build *b, double temperature, bool has_limit, uint32_t limit)
{
    Gatehouse__ModelParameters p = GATEHOUSE__MODEL_PARAMETERS__INIT;
    Gatehouse__Model model = GATEHOUSE__MODEL__INIT;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    p.has_temperature = true;
    p.temperature = temperature;
    p.has_max_tokens = has_limit;
    p.max_tokens = limit;
    model.org_id = "org";
    model.name = "m";
    model.overrides = &p;
    o.has_kind = o.has_revision = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_MODEL;
    o.id = "model_1";
    o.revision = 1;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_MODEL;
    o.model = &model;
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
}

static void warm(struct snapshot_build *b)
{
    put_model(b, 0.1, true, 7);
}

static void nowhere(struct snapshot_build *b)
{
    put_model(b, (double)NAN, false, 0);
}

static void without_output(struct snapshot_build *b)
{
    put_model(b, 1, true, 0);
}

static void what_a_model_forces_is_kept_as_json_and_nonsense_refuses_the_model(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *s = version_of(NULL, r, warm, 1);
    const struct policy_model *m = snapshot_model_named(s, SLICE("org"), SLICE("m"));
    assert_non_null(m);
    assert_true(m->shapes);
    assert_true(slice_eq(m->overrides->of[POLICY_TEMPERATURE].json, SLICE("0.1")));
    assert_true(slice_eq(m->overrides->of[POLICY_MAX_TOKENS].json, SLICE("7")));
    assert_null(m->overrides->of[POLICY_SEED].json.ptr);
    snapshot_drop(s);
    s = version_of(NULL, r, nowhere, 1);
    expect_refused(s, GATEHOUSE__OBJECT_KIND__KIND_MODEL, "model_1", POLICY_UNREADABLE);
    snapshot_drop(s);
    s = version_of(NULL, r, without_output, 1);
    expect_refused(s, GATEHOUSE__OBJECT_KIND__KIND_MODEL, "model_1", POLICY_UNREADABLE);
    snapshot_drop(s);
    registry_free(r);
}

static void without_digest(struct snapshot_build *b)
{
    two_keys(b);
    put_key(b, 2, NULL, false);
}

static void without_body(struct snapshot_build *b)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_KEY;
    o.id = "k_1";
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
}

static void an_object_that_cannot_be_read_is_refused_alone(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot *one = version_of(NULL, r, without_digest, 1);
    struct snapshot *two = version_of(NULL, r, without_body, 1);
    expect_refused(one, GATEHOUSE__OBJECT_KIND__KIND_KEY, "k_1", POLICY_UNREADABLE);
    assert_null(find_key(one, "k_1"));
    assert_non_null(find_key(one, "k_2"));
    expect_refused(two, GATEHOUSE__OBJECT_KIND__KIND_KEY, "k_1", POLICY_UNREADABLE);
    snapshot_drop(one);
    snapshot_drop(two);
    registry_free(r);
}

static void a_change_without_kind_or_id_is_an_error(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot_build *b;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    assert_int_equal(snapshot_build_apply(b, &o), ERR_INVALID);
    o.id = "k_1";
    assert_int_equal(snapshot_build_apply(b, &o), ERR_INVALID);
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_KEY;
    o.id = "";
    assert_int_equal(snapshot_build_apply(b, &o), ERR_INVALID);
    snapshot_build_cancel(&b);
    registry_free(r);
}

static void a_name_leads_to_its_own_model_then_to_the_longest_pattern(void **state)
{
    static const struct {
        const char *name, *model, *rest;
    } rows[] = {
        {"gpt", "gpt", NULL},
        {"openai/gpt", "openai/*", "gpt"},
        {"openai/own", "openai/own", NULL},
        {"openai/ft/x", "openai/ft/*", "x"},
        {"openai/fu/x", "openai/*", "fu/x"},
        {"openai/", "*", "openai/"},
        {"openai", "*", "openai"},
        {"/x", "*", "/x"},
        {"other/gpt", "*", "other/gpt"},
        {"openai/*", NULL, NULL},
        {"*", NULL, NULL},
        {"a b", NULL, NULL},
        {"a\x7f", NULL, NULL},
        {"", NULL, NULL},
    };
    static const char *const names[] = {"gpt", "openai/*", "openai/own", "openai/ft/*", "*"};
    char long_name[258];
    struct slice rest;
    (void)state;
    struct registry *r = registry_new();
    struct snapshot_build *b;
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        kit_model(b, names[i], names[i], 1);
    struct snapshot *s = snapshot_build_end(&b, SLICE("l"), 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct policy_model *m =
            snapshot_model_for(s, SLICE("org"), slice_str(rows[i].name), &rest);
        if ((m == NULL) != (rows[i].model == NULL) ||
            (m && !slice_eq(m->o.name, slice_str(rows[i].model))) ||
            (rest.ptr == NULL) != (rows[i].rest == NULL) ||
            (rest.ptr && !slice_eq(rest, slice_str(rows[i].rest))))
            fail_msg("%s", rows[i].name);
    }
    memset(long_name, 'x', sizeof(long_name));
    assert_non_null(snapshot_model_for(s, SLICE("org"), slice_of(long_name, 256), &rest));
    assert_null(snapshot_model_for(s, SLICE("org"), slice_of(long_name, 257), &rest));
    assert_null(snapshot_model_for(s, SLICE("elsewhere"), SLICE("openai/gpt"), &rest));
    snapshot_drop(s);
    registry_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_leads_to_its_own_model_then_to_the_longest_pattern),
        cmocka_unit_test(the_difference_of_two_versions_is_what_changed_between_them),
        cmocka_unit_test(keys_are_found_by_digest_and_by_id),
        cmocka_unit_test(a_new_revision_keeps_meter_and_account_and_the_old_version_is_untouched),
        cmocka_unit_test(a_whole_new_policy_inherits_meters),
        cmocka_unit_test(the_digest_is_the_same_whichever_way_a_policy_came_about),
        cmocka_unit_test(a_rename_moves_the_name_and_lists_are_in_order),
        cmocka_unit_test(grants_follow_their_subject),
        cmocka_unit_test(a_subject_stays_blocked_until_its_last_block_goes),
        cmocka_unit_test(many_keys_come_and_go),
        cmocka_unit_test(a_delta_without_memory_leaves_the_old_version_as_it_was),
        cmocka_unit_test(an_unknown_kind_is_refused_alone_and_counts_in_the_digest),
        cmocka_unit_test(a_key_that_needs_an_unknown_feature_is_denied_until_it_needs_it_no_more),
        cmocka_unit_test(an_alias_is_found_by_its_owner_and_its_name),
        cmocka_unit_test(what_a_model_forces_is_kept_as_json_and_nonsense_refuses_the_model),
        cmocka_unit_test(an_object_that_cannot_be_read_is_refused_alone),
        cmocka_unit_test(a_change_without_kind_or_id_is_an_error),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
