/* A noun that was added arrives at a data plane. */
#include "tests/unit/policy/policy_kit.h"

#include "common/policy/snapshot_private.h"

static bool note(void *arg, const struct policy_object *o, struct slice subject UNUSED)
{
    const struct policy_notice **ret = arg;
    *ret = (const void *)o;
    return true;
}

static void a_notice_arrives_with_its_text(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct snapshot_build *b;
    Gatehouse__Notice n = GATEHOUSE__NOTICE__INIT;
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    n.org_id = "org";
    n.name = "a";
    n.text = "hello";
    o.has_kind = o.has_revision = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_NOTICE;
    o.id = "notice_1";
    o.revision = 1;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_NOTICE;
    o.notice = &n;
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    struct snapshot *before = snapshot_build_end(&b, SLICE("lineage"), 1);
    assert_int_equal(snapshot_build_begin(before, r, &b), ERR_OK);
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
    struct snapshot *after = snapshot_build_end(&b, SLICE("lineage"), 2);
    const struct policy_notice *found = NULL;
    snapshot_diff(before, after, note, &found);
    assert_non_null(found);
    assert_true(slice_eq(found->text, SLICE("hello")));
    assert_int_equal(snapshot_refused(after), 0);
    snapshot_drop(before);
    snapshot_drop(after);
    registry_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_notice_arrives_with_its_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
