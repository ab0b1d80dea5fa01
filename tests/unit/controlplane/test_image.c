/*
 * image — what each view is given: by pool, by feature, by what it refers to and what restricts it;
 * and a view that deltas kept up to date is the one a fresh load makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "controlplane/policy/image.h"
#include "proto/channel.pb-c.h"

#define FEATURE_NEW ((feature_set)1 << 40) /* of a later build */

/* ---- a small policy, written as lines ---- */

struct line {
    int kind;
    const char *id;
    const char *pools; /* "east,west"; NULL: all */
    const char *refs;  /* "2/team_1=needs,..." */
    feature_set needs;
    bool off, deleted;
};

static struct image *image;
static uint64_t version;

static const struct view_key east = {.org = "org_1", .pool = "east"};
static const struct view_key west = {.org = "org_1", .pool = "west"};
static const struct view_key newer = {.org = "org_1", .pool = "east", .features = FEATURE_NEW};
static const struct view_key stranger = {.org = "org_2", .pool = "east"};

static enum image_effect effect_of(struct slice word)
{
    if (slice_eq(word, SLICE("one_of")))
        return IMAGE_ONE_OF;
    if (slice_eq(word, SLICE("narrows")))
        return IMAGE_NARROWS;
    return slice_eq(word, SLICE("restricts")) ? IMAGE_RESTRICTS : IMAGE_NEEDS;
}

static size_t read_refs(const char *text, struct image_ref *refs)
{
    struct slice rest = slice_str(text ? text : ""), one;
    size_t n = 0;
    while (text && slice_split(&rest, ',', &one)) {
        ptrdiff_t at = slice_find(one, '/'), eq = slice_find(one, '=');
        uint64_t kind = 0;
        assert_int_equal(slice_u64(slice_first(one, (size_t)at), &kind), ERR_OK);
        refs[n] = (struct image_ref){.kind = (int)kind,
                                     .effect = effect_of(slice_from(one, (size_t)eq + 1))};
        snprintf(refs[n].id, ID_MAX, "%.*s", (int)(eq - at - 1), one.ptr + at + 1);
        n++;
    }
    return n;
}

static void add(struct image_delta *d, const struct line *l, uint64_t revision)
{
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    struct image_ref refs[8];
    char pools[4][ID_MAX];
    struct image_traits t = {
        .org = "org_1", .off = l->off, .needs = l->needs, .refs = refs, .pools = pools};
    struct slice rest = slice_str(l->pools ? l->pools : ""), one;
    t.ref_count = read_refs(l->refs, refs);
    t.has_pools = l->pools != NULL;
    while (rest.len > 0 && slice_split(&rest, ',', &one))
        snprintf(pools[t.pool_count++], ID_MAX, "%.*s", SLICE_ARG(one));
    m.has_kind = m.has_revision = true;
    m.kind = (Gatehouse__ObjectKind)l->kind;
    m.id = (char *)(uintptr_t)l->id;
    m.revision = revision;
    m.has_deleted = m.deleted = l->deleted;
    assert_int_equal(image_delta_add(d, &m, l->deleted ? NULL : &t), ERR_OK);
}

static void add_settings(struct image_delta *d)
{
    Gatehouse__PolicyObject m = GATEHOUSE__POLICY_OBJECT__INIT;
    m.has_kind = m.has_revision = true;
    m.kind = GATEHOUSE__OBJECT_KIND__KIND_SETTINGS;
    m.id = (char *)(uintptr_t) "settings";
    m.revision = 1;
    assert_int_equal(image_delta_add(d, &m, NULL), ERR_OK);
}

static void apply_to(struct image *im, const struct line *lines, size_t count, bool whole)
{
    struct image_delta d = {
        .lineage = "line_1", .from = version, .to = version + 1, .whole = whole};
    if (whole)
        add_settings(&d);
    for (size_t i = 0; i < count; i++)
        add(&d, &lines[i], version + 1);
    assert_int_equal(image_apply(im, &d), ERR_OK);
    image_delta_fini(&d);
}

static void load(const struct line *lines, size_t count)
{
    apply_to(image, lines, count, true);
    version++;
}

static void change(const struct line *lines, size_t count)
{
    apply_to(image, lines, count, false);
    version++;
}
#define CHANGE(...)                                                                                \
    change((const struct line[]){__VA_ARGS__},                                                     \
           sizeof((const struct line[]){__VA_ARGS__}) / sizeof(struct line))

/* ---- what a view is given ---- */

static Gatehouse__SnapshotReply *snapshot(struct image *im, const struct view_key *view)
{
    struct buf out;
    buf_init(&out, LIMIT_BUS_MESSAGE);
    assert_int_equal(image_chunk(im, view, 0, 0, (int64_t)clock_mono_us(), &out), ERR_OK);
    struct slice bytes = buf_slice(&out);
    Gatehouse__SnapshotReply *m =
        gatehouse__snapshot_reply__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
    assert_non_null(m);
    assert_int_equal(m->chunks, 1);
    buf_fini(&out);
    return m;
}

static bool is_given(const struct view_key *view, const char *id)
{
    Gatehouse__SnapshotReply *m = snapshot(image, view);
    bool found = false;
    for (size_t i = 0; i < m->n_objects; i++)
        found = found || strcmp(m->objects[i]->id, id) == 0;
    gatehouse__snapshot_reply__free_unpacked(m, NULL);
    return found;
}

/* The ids of the last delta, "-" before those that are gone. */
static void expect_delta(const struct view_key *view, const char *want)
{
    struct image_head head;
    struct image_objects o;
    uint64_t from = 0;
    struct buf text, wire;
    buf_init(&text, 4096);
    buf_init(&wire, LIMIT_BUS_MESSAGE);
    assert_int_equal(image_take_delta(image, view, &head, &from, &o), ERR_OK);
    assert_int_equal(image_objects_write(&o, &wire), ERR_OK);
    struct slice bytes = buf_slice(&wire);
    Gatehouse__Push *p = gatehouse__push__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
    assert_non_null(p);
    for (size_t i = 0; i < p->n_changes; i++)
        assert_int_equal(buf_printf(&text, "%s%s%s", i > 0 ? " " : "",
                                    p->changes[i]->deleted ? "-" : "", p->changes[i]->id),
                         ERR_OK);
    assert_int_equal(buf_append(&text, slice_of("", 1)), ERR_OK);
    assert_string_equal(buf_slice(&text).ptr, want);
    gatehouse__push__free_unpacked(p, NULL);
    image_objects_fini(&o);
    buf_fini(&text);
    buf_fini(&wire);
}

static void see(const struct view_key *view)
{
    struct image_head head;
    assert_int_equal(image_view_head(image, view, &head), ERR_OK);
}

static int fresh(void **state)
{
    (void)state;
    image = image_new();
    version = 0;
    return 0;
}

static int done(void **state)
{
    (void)state;
    image_free(image);
    return 0;
}

/* ---- */

#define TEAM(i)                                                                                    \
    {                                                                                              \
        .kind = 2, .id = i                                                                         \
    }
#define LOAD(...)                                                                                  \
    load((const struct line[]){__VA_ARGS__},                                                       \
         sizeof((const struct line[]){__VA_ARGS__}) / sizeof(struct line))

static void a_plane_is_given_what_its_pool_serves_and_no_more(void **state)
{
    (void)state;
    LOAD(TEAM("team_1"), {.kind = 6, .id = "prov_all"},
         {.kind = 6, .id = "prov_e", .pools = "east"}, {.kind = 6, .id = "prov_w", .pools = "west"},
         {.kind = 6, .id = "prov_none", .pools = ""}, {.kind = 6, .id = "prov_off", .off = true});
    assert_true(is_given(&east, "prov_all"));
    assert_true(is_given(&east, "prov_e"));
    assert_false(is_given(&east, "prov_w"));
    assert_true(is_given(&west, "prov_w"));
    assert_false(is_given(&west, "prov_e"));
    assert_false(is_given(&east, "prov_none"));
    assert_false(is_given(&west, "prov_off"));
}

static void another_organisations_pool_is_given_the_settings_alone(void **state)
{
    (void)state;
    LOAD(TEAM("team_1"), {.kind = 6, .id = "prov_all"});
    assert_true(is_given(&stranger, "settings"));
    assert_false(is_given(&stranger, "team_1"));
    assert_false(is_given(&stranger, "prov_all"));
}

static void what_depends_on_a_withheld_object_is_withheld_with_it(void **state)
{
    (void)state;
    LOAD({.kind = 8, .id = "mcp_w", .pools = "west"},
         {.kind = 10, .id = "grant_1", .refs = "8/mcp_w=needs"},
         {.kind = 6, .id = "prov_w", .pools = "west"}, {.kind = 6, .id = "prov_2"},
         {.kind = 7, .id = "model_both", .refs = "6/prov_w=one_of,6/prov_2=one_of"},
         {.kind = 7, .id = "model_west", .refs = "6/prov_w=one_of"},
         {.kind = 4, .id = "task_w", .pools = "west"},
         {.kind = 3, .id = "agent_1", .refs = "4/task_w=narrows"},
         {.kind = 5, .id = "k_1", .refs = "3/agent_1=needs"});
    assert_false(is_given(&east, "grant_1"));
    assert_true(is_given(&west, "grant_1"));
    assert_true(is_given(&east, "model_both"));
    assert_false(is_given(&east, "model_west"));
    assert_true(is_given(&east, "agent_1"));
    assert_true(is_given(&east, "k_1"));
}

static void a_feature_that_a_plane_lacks_withholds_the_chain_behind_it(void **state)
{
    (void)state;
    struct image_withheld w;
    LOAD({.kind = 3, .id = "agent_1", .needs = FEATURE_NEW},
         {.kind = 5, .id = "k_1", .refs = "3/agent_1=needs"}, {.kind = 5, .id = "k_2"});
    assert_false(is_given(&east, "agent_1"));
    assert_false(is_given(&east, "k_1"));
    assert_true(is_given(&east, "k_2"));
    assert_true(is_given(&newer, "agent_1"));
    assert_true(is_given(&newer, "k_1"));

    assert_int_equal(image_withheld(image, &east, &w), ERR_OK);
    assert_int_equal(w.objects, 2);
    assert_int_equal(w.features, FEATURE_NEW);
    assert_int_equal(image_withheld(image, &newer, &w), ERR_OK);
    assert_int_equal(w.objects, 0);
}

static void a_restriction_that_a_plane_cannot_know_denies_what_it_restricts(void **state)
{
    (void)state;
    see(&east);
    see(&newer);
    LOAD({.kind = 5, .id = "k_1"}, {.kind = 5, .id = "k_2"});
    assert_true(is_given(&east, "k_1"));
    CHANGE({.kind = 12, .id = "guard_1", .needs = FEATURE_NEW, .refs = "5/k_1=restricts"});
    expect_delta(&east, "-k_1");
    expect_delta(&newer, "guard_1");
    assert_false(is_given(&east, "k_1"));
    assert_true(is_given(&east, "k_2"));
    assert_true(is_given(&newer, "k_1"));
    /* it changes to the other key, and then is deleted */
    CHANGE({.kind = 12, .id = "guard_1", .needs = FEATURE_NEW, .refs = "5/k_2=restricts"});
    expect_delta(&east, "-k_2 k_1");
    CHANGE({.kind = 12, .id = "guard_1", .deleted = true});
    expect_delta(&east, "k_2");
    expect_delta(&newer, "-guard_1");
}

static void a_delta_carries_what_comes_and_goes_in_that_view(void **state)
{
    (void)state;
    see(&east);
    see(&west);
    LOAD({.kind = 8, .id = "mcp_1"}, {.kind = 10, .id = "grant_1", .refs = "8/mcp_1=needs"});
    CHANGE({.kind = 8, .id = "mcp_1", .pools = "west"});
    expect_delta(&east, "-mcp_1 -grant_1");
    expect_delta(&west, "mcp_1");
    CHANGE({.kind = 8, .id = "mcp_1", .pools = "west,east"});
    expect_delta(&east, "mcp_1 grant_1");
    CHANGE({.kind = 8, .id = "mcp_1", .off = true});
    expect_delta(&east, "-mcp_1 -grant_1");
    expect_delta(&west, "-mcp_1 -grant_1");
    CHANGE({.kind = 8, .id = "mcp_1", .deleted = true});
    expect_delta(&east, "settings"); /* without any object a delta would mean: fetch */
}

static void principals_come_before_what_refers_to_them(void **state)
{
    (void)state;
    see(&east);
    LOAD(TEAM("team_1"));
    CHANGE({.kind = 10, .id = "grant_1", .refs = "3/agent_1=needs"},
           {.kind = 5, .id = "k_1", .refs = "3/agent_1=needs"},
           {.kind = 3, .id = "agent_1", .refs = "2/team_1=needs"});
    expect_delta(&east, "agent_1 k_1 grant_1");
}

/* ---- any order of changes ---- */

static const char *const some_pools[] = {NULL, NULL, "east", "west", "east,west", ""};

static struct line random_line(unsigned *seed, char id[static ID_MAX], char refs[static 128])
{
    static const int kinds[] = {2, 3, 5, 6, 7, 10, 12};
    struct line l = {.kind = kinds[(unsigned)rand_r(seed) % ARRAY_LEN(kinds)], .id = id};
    unsigned a = (unsigned)rand_r(seed) % 6, b = (unsigned)rand_r(seed) % 6;
    snprintf(id, ID_MAX, "x%d_%u", l.kind, (unsigned)rand_r(seed) % 6);
    refs[0] = '\0';
    if (l.kind == 3)
        snprintf(refs, 128, "2/x2_%u=needs", a);
    else if (l.kind == 5)
        snprintf(refs, 128, "3/x3_%u=needs,2/x2_%u=narrows", a, b);
    else if (l.kind == 7)
        snprintf(refs, 128, "6/x6_%u=one_of,6/x6_%u=one_of", a, b);
    else if (l.kind == 10)
        snprintf(refs, 128, "3/x3_%u=needs,7/x7_%u=needs", a, b);
    else if (l.kind == 12)
        snprintf(refs, 128, "5/x5_%u=restricts", a);
    l.refs = refs[0] ? refs : NULL;
    l.pools = some_pools[(unsigned)rand_r(seed) % ARRAY_LEN(some_pools)];
    l.needs = rand_r(seed) % 4 == 0 ? FEATURE_NEW : 0;
    l.off = rand_r(seed) % 8 == 0;
    l.deleted = rand_r(seed) % 4 == 0;
    return l;
}

struct written {
    struct line line;
    char id[ID_MAX], refs[128];
    uint64_t revision;
};

static struct written *find(struct written *all, size_t *count, const struct line *l)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(all[i].id, l->id) == 0)
            return &all[i];
    return &all[(*count)++];
}

static void expect_as_fresh(const struct written *all, size_t count, const struct view_key *view)
{
    struct image *other = image_new();
    struct image_delta d = {.lineage = "line_1", .to = version, .whole = true};
    struct image_head have, want;
    add_settings(&d);
    for (size_t i = 0; i < count; i++)
        if (!all[i].line.deleted)
            add(&d, &all[i].line, all[i].revision);
    assert_int_equal(image_apply(other, &d), ERR_OK);
    image_delta_fini(&d);
    assert_int_equal(image_view_head(image, view, &have), ERR_OK);
    assert_int_equal(image_view_head(other, view, &want), ERR_OK);
    assert_int_equal(have.version, want.version);
    assert_memory_equal(&have.digest, &want.digest, sizeof(want.digest));
    image_free(other);
}

static void after_random_deltas_a_view_equals_a_fresh_load(void **state)
{
    (void)state;
    static struct written all[64];
    size_t count = 0;
    unsigned seed = (unsigned)clock_mono_us();
    print_message("seed %u\n", seed);
    see(&east);
    load(NULL, 0);
    for (int round = 0; round < 400; round++) {
        struct line lines[4];
        size_t n = 1 + (unsigned)rand_r(&seed) % ARRAY_LEN(lines), taken = 0;
        for (size_t i = 0; i < n; i++) {
            char id[ID_MAX], refs[128];
            struct line l = random_line(&seed, id, refs);
            bool twice = false;
            for (size_t k = 0; k < taken; k++)
                twice = twice || strcmp(lines[k].id, l.id) == 0;
            if (twice)
                continue;
            struct written *w = find(all, &count, &l);
            memcpy(w->id, id, sizeof(w->id));
            memcpy(w->refs, refs, sizeof(w->refs));
            w->line = l;
            w->line.id = w->id;
            w->line.refs = l.refs ? w->refs : NULL;
            w->revision = version + 1;
            lines[taken++] = w->line;
        }
        change(lines, taken);
        expect_as_fresh(all, count, &east);
        expect_as_fresh(all, count, &newer);
        if (round > 200) /* made in the middle */
            expect_as_fresh(all, count, &west);
    }
}

static void more_views_than_there_may_be_are_refused(void **state)
{
    (void)state;
    struct view_key key = {.org = "org_1"};
    struct image_head head;
    LOAD(TEAM("team_1"));
    for (unsigned i = 0; i < LIMIT_POLICY_VIEWS; i++) {
        snprintf(key.pool, sizeof(key.pool), "pool_%u", i);
        assert_int_equal(image_view_head(image, &key, &head), ERR_OK);
    }
    snprintf(key.pool, sizeof(key.pool), "one more");
    assert_int_equal(image_view_head(image, &key, &head), ERR_EXHAUSTED);
    CHANGE(TEAM("team_2"));
    snprintf(key.pool, sizeof(key.pool), "pool_255");
    assert_true(is_given(&key, "team_2"));
}

#define IMAGE(name) cmocka_unit_test_setup_teardown(name, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IMAGE(a_plane_is_given_what_its_pool_serves_and_no_more),
        IMAGE(another_organisations_pool_is_given_the_settings_alone),
        IMAGE(what_depends_on_a_withheld_object_is_withheld_with_it),
        IMAGE(a_feature_that_a_plane_lacks_withholds_the_chain_behind_it),
        IMAGE(a_restriction_that_a_plane_cannot_know_denies_what_it_restricts),
        IMAGE(a_delta_carries_what_comes_and_goes_in_that_view),
        IMAGE(principals_come_before_what_refers_to_them),
        IMAGE(after_random_deltas_a_view_equals_a_fresh_load),
        IMAGE(more_views_than_there_may_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
