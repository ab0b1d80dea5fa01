/* listing_name — one plane lists a server, every control plane finds the same one, and few servers
 * move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/discovery/listing_name.h"

#define SERVERS 300
#define PLANES 4

static struct listing_plane plane(unsigned n, const char *pool)
{
    struct listing_plane p;
    snprintf(p.id, sizeof(p.id), "dp_%u", n);
    snprintf(p.name, sizeof(p.name), "plane-%u", n);
    snprintf(p.pool, sizeof(p.pool), "%s", pool);
    snprintf(p.pool_id, sizeof(p.pool_id), "id-of-%s", pool);
    return p;
}

static const char *named(unsigned server, const struct listing_plane *planes, size_t n)
{
    char id[32];
    snprintf(id, sizeof(id), "mcp_%u", server);
    const struct listing_plane *p = listing_name(slice_str(id), SLICE_NONE, planes, n);
    assert_non_null(p);
    return p->id;
}

static void no_plane_is_named_where_there_is_none(void **state)
{
    (void)state;
    assert_null(listing_name(SLICE("mcp_1"), SLICE_NONE, NULL, 0));
}

static void the_order_of_the_planes_does_not_matter(void **state)
{
    (void)state;
    struct listing_plane one[PLANES], other[PLANES];
    for (unsigned i = 0; i < PLANES; i++)
        one[i] = other[PLANES - 1 - i] = plane(i, "default");
    for (unsigned s = 0; s < SERVERS; s++)
        assert_string_equal(named(s, one, PLANES), named(s, other, PLANES));
}

static void servers_are_spread_and_only_those_of_a_lost_plane_move(void **state)
{
    (void)state;
    struct listing_plane planes[PLANES];
    unsigned of[PLANES] = {0};
    for (unsigned i = 0; i < PLANES; i++)
        planes[i] = plane(i, "default");
    for (unsigned s = 0; s < SERVERS; s++) {
        const char *before = named(s, planes, PLANES), *after = named(s, planes, PLANES - 1);
        of[before[3] - '0']++;
        if (strcmp(before, planes[PLANES - 1].id) != 0)
            assert_string_equal(after, before);
    }
    for (unsigned i = 0; i < PLANES; i++)
        assert_in_range(of[i], SERVERS / PLANES / 2, SERVERS / PLANES * 2);
}

static void one_pool_lists_a_server_and_default_comes_first(void **state)
{
    (void)state;
    struct listing_plane planes[] = {plane(0, "west"), plane(1, "east"), plane(2, "default")};
    for (unsigned s = 0; s < SERVERS; s++) {
        assert_string_equal(named(s, planes, 3), "dp_2");
        assert_string_equal(named(s, planes, 2), "dp_1");
        assert_string_equal(named(s, planes, 1), "dp_0");
    }
}

static void only_a_plane_that_is_given_the_server_lists_it(void **state)
{
    (void)state;
    struct listing_plane planes[] = {plane(0, "default"), plane(1, "east"), plane(2, "west")};
    const struct listing_plane *p =
        listing_name(SLICE("mcp_1"), SLICE("id-of-west"), planes, ARRAY_LEN(planes));
    assert_non_null(p);
    assert_string_equal(p->id, "dp_2");
    p = listing_name(SLICE("mcp_1"), SLICE("id-of-west,id-of-default"), planes, ARRAY_LEN(planes));
    assert_non_null(p);
    assert_string_equal(p->id, "dp_0");
    assert_null(listing_name(SLICE("mcp_1"), SLICE("id-of-north"), planes, ARRAY_LEN(planes)));
    assert_null(listing_name(SLICE("mcp_1"), SLICE(""), planes, ARRAY_LEN(planes)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_plane_is_named_where_there_is_none),
        cmocka_unit_test(the_order_of_the_planes_does_not_matter),
        cmocka_unit_test(servers_are_spread_and_only_those_of_a_lost_plane_move),
        cmocka_unit_test(one_pool_lists_a_server_and_default_comes_first),
        cmocka_unit_test(only_a_plane_that_is_given_the_server_lists_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
