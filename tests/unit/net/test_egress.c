/* The rule of outgoing connections: each special network by its edges, and every form that carries
 * an IPv4 address. */
#include "tests/unit/base/unit.h"

#include <stdio.h>

#include "common/net/egress.h"

/* NEVER: not even with an owner's word, being metadata; NOWHERE: being no destination */
enum fate { OPEN, SHUT, NEVER, NOWHERE };

static const struct {
    const char *address;
    enum fate fate;
} table[] = {
    /* IPv4: below, first, last, above */
    {"0.0.0.0", NOWHERE},
    {"0.255.255.255", NOWHERE},
    {"1.0.0.0", OPEN},
    {"9.255.255.255", OPEN},
    {"10.0.0.0", SHUT},
    {"10.255.255.255", SHUT},
    {"11.0.0.0", OPEN},
    {"100.63.255.255", OPEN},
    {"100.64.0.0", SHUT},
    {"100.127.255.255", SHUT},
    {"100.128.0.0", OPEN},
    {"126.255.255.255", OPEN},
    {"127.0.0.0", SHUT},
    {"127.0.0.1", SHUT},
    {"127.255.255.255", SHUT},
    {"128.0.0.0", OPEN},
    {"169.253.255.255", OPEN},
    {"169.254.0.0", SHUT},
    {"169.254.255.255", SHUT},
    {"169.255.0.0", OPEN},
    {"172.15.255.255", OPEN},
    {"172.16.0.0", SHUT},
    {"172.31.255.255", SHUT},
    {"172.32.0.0", OPEN},
    {"191.255.255.255", OPEN},
    {"192.0.0.0", SHUT},
    {"192.0.0.255", SHUT},
    {"192.0.1.0", OPEN},
    {"192.0.1.255", OPEN},
    {"192.0.2.0", SHUT},
    {"192.0.2.255", SHUT},
    {"192.0.3.0", OPEN},
    {"192.88.98.255", OPEN},
    {"192.88.99.0", SHUT},
    {"192.88.99.255", SHUT},
    {"192.88.100.0", OPEN},
    {"192.167.255.255", OPEN},
    {"192.168.0.0", SHUT},
    {"192.168.255.255", SHUT},
    {"192.169.0.0", OPEN},
    {"198.17.255.255", OPEN},
    {"198.18.0.0", SHUT},
    {"198.19.255.255", SHUT},
    {"198.20.0.0", OPEN},
    {"198.51.99.255", OPEN},
    {"198.51.100.0", SHUT},
    {"198.51.100.255", SHUT},
    {"198.51.101.0", OPEN},
    {"203.0.112.255", OPEN},
    {"203.0.113.0", SHUT},
    {"203.0.113.255", SHUT},
    {"203.0.114.0", OPEN},
    {"223.255.255.255", OPEN},
    {"224.0.0.0", SHUT},
    {"239.255.255.255", SHUT},
    {"240.0.0.0", SHUT},
    {"255.255.255.255", SHUT},
    {"8.8.8.8", OPEN},
    {"1.1.1.1", OPEN},
    {"104.18.7.192", OPEN},
    /* metadata */
    {"169.254.169.254", NEVER},
    {"169.254.170.2", NEVER},
    {"169.254.170.23", NEVER},
    {"100.100.100.200", NEVER},
    {"168.63.129.16", NEVER},
    {"192.0.0.192", NEVER},
    {"169.254.0.23", NEVER},
    {"169.254.42.42", NEVER},
    {"169.254.169.253", SHUT},
    {"169.254.169.255", SHUT},
    {"168.63.129.15", OPEN},
    {"fd00:ec2::254", NEVER},
    {"fd00:ec2::23", NEVER},
    {"fd20:ce::254", NEVER},
    {"fd00:42::42", NEVER},
    {"fd00:c1::a9fe:a9fe", NEVER},
    {"fe80::a9fe:a9fe", NEVER},
    {"fd00:ec2::255", SHUT},
    /* IPv6 */
    {"::", NOWHERE},
    {"::1", SHUT},
    {"::2", NOWHERE},
    {"1fff:ffff::1", SHUT},
    {"2000::1", OPEN},
    {"2606:4700::1111", OPEN},
    {"2a00:1450::1", OPEN},
    {"3ffe::1", OPEN},
    {"3fff::1", SHUT},
    {"3fff:fff:ffff::1", SHUT},
    {"3fff:1000::1", OPEN},
    {"4000::1", SHUT},
    {"5f00::1", SHUT},
    {"100::1", SHUT},
    {"2001::1", SHUT},
    {"2001:0:53aa:64c:0:1:2:3", SHUT},
    {"2001:1ff:ffff::1", SHUT},
    {"2001:200::1", OPEN},
    {"2001:db7:ffff::1", OPEN},
    {"2001:db8::1", SHUT},
    {"2001:db8:ffff::1", SHUT},
    {"2001:db9::1", OPEN},
    {"2001:4860:4860::8888", OPEN},
    {"fc00::1", SHUT},
    {"fd12:3456::1", SHUT},
    {"fdff:ffff::1", SHUT},
    {"fe80::1", SHUT},
    {"febf::1", SHUT},
    {"fec0::1", SHUT},
    {"ff02::1", SHUT},
    {"ff0e::1", SHUT},
    /* IPv4 inside IPv6: mapped */
    {"::ffff:8.8.8.8", OPEN},
    {"::ffff:10.0.0.1", SHUT},
    {"::ffff:127.0.0.1", SHUT},
    {"::ffff:169.254.1.1", SHUT},
    {"::ffff:0.0.0.0", NOWHERE},
    {"::ffff:169.254.169.254", NEVER},
    {"::ffff:168.63.129.16", NEVER},
    /* compatible: deprecated, whatever is inside */
    {"::8.8.8.8", SHUT},
    {"::127.0.0.1", SHUT},
    {"::10.0.0.1", SHUT},
    {"::169.254.169.254", NEVER},
    /* NAT64, and its local-use sibling */
    {"64:ff9b::8.8.8.8", OPEN},
    {"64:ff9b::10.0.0.1", SHUT},
    {"64:ff9b::127.0.0.1", SHUT},
    {"64:ff9b::192.168.1.1", SHUT},
    {"64:ff9b::100.64.0.1", SHUT},
    {"64:ff9b::224.0.0.1", SHUT},
    {"64:ff9b::169.254.169.254", NEVER},
    {"64:ff9b::100.100.100.200", NEVER},
    {"64:ff9b::1:808:808", SHUT},
    {"64:ff9b:1::8.8.8.8", SHUT},
    {"64:ff9b:1::10.0.0.1", SHUT},
    {"64:ff9a::8.8.8.8", SHUT},
    /* 6to4 */
    {"2002:808:808::1", OPEN},
    {"2002:a00:1::1", SHUT},
    {"2002:7f00:1::1", SHUT},
    {"2002:c0a8:101::1", SHUT},
    {"2002:a9fe:a9fe::1", NEVER},
    {"2003::1", OPEN},
};

static union sockaddr_any address_of(const char *text)
{
    union sockaddr_any a;
    assert_true(address_literal(slice_str(text), 443, &a));
    return a;
}

static enum err ask(const struct egress_rule *rule, const char *text)
{
    union sockaddr_any a = address_of(text);
    return egress_check(rule, &a);
}

UNIT(only_public_addresses_pass_without_a_rule)
{
    const struct egress_rule nothing = {0};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        enum err want = table[i].fate == OPEN ? ERR_OK : ERR_DENIED;
        if (ask(NULL, table[i].address) != want || ask(&nothing, table[i].address) != want)
            fail_msg("%s", table[i].address);
    }
}

UNIT(an_owner_may_allow_everything_but_metadata_and_this_network)
{
    struct cidr all[2];
    const struct egress_rule rule = {all, 2};
    assert_int_equal(cidr_parse(SLICE("0.0.0.0/0"), &all[0]), ERR_OK);
    assert_int_equal(cidr_parse(SLICE("::/0"), &all[1]), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        bool never = table[i].fate == NEVER, nowhere = table[i].fate == NOWHERE;
        union sockaddr_any a = address_of(table[i].address);
        if (egress_check(&rule, &a) != (never || nowhere ? ERR_DENIED : ERR_OK) ||
            egress_is_metadata(&a) != never)
            fail_msg("%s", table[i].address);
    }
}

UNIT(an_allowed_network_opens_itself_and_its_mapped_form_only)
{
    struct cidr ten;
    const struct egress_rule rule = {&ten, 1};
    assert_int_equal(cidr_parse(SLICE("10.1.0.0/16"), &ten), ERR_OK);
    assert_int_equal(ask(&rule, "10.1.2.3"), ERR_OK);
    assert_int_equal(ask(&rule, "::ffff:10.1.2.3"), ERR_OK);
    assert_int_equal(ask(&rule, "10.2.0.0"), ERR_DENIED);
    assert_int_equal(ask(&rule, "127.0.0.1"), ERR_DENIED);
    /* through a translator it is another way to another place */
    assert_int_equal(ask(&rule, "64:ff9b::10.1.2.3"), ERR_DENIED);
    assert_int_equal(ask(&rule, "2002:a01:203::1"), ERR_DENIED);
    assert_int_equal(ask(&rule, "::10.1.2.3"), ERR_DENIED);
}

/* The gateway's own credential alone is fetched there, and only from the one that was named. */
UNIT(a_metadata_address_that_is_named_alone_opens_for_ones_own_credential)
{
    struct cidr named[2];
    const struct egress_rule rule = {named, 2};
    union sockaddr_any imds = address_of("169.254.169.254"), other = address_of("169.254.170.2");
    union sockaddr_any nowhere = address_of("0.0.0.0"), open = address_of("1.1.1.1");
    assert_int_equal(cidr_parse(SLICE("169.254.169.254/32"), &named[0]), ERR_OK);
    assert_int_equal(cidr_parse(SLICE("10.0.0.0/8"), &named[1]), ERR_OK);
    assert_int_equal(egress_check(&rule, &imds), ERR_DENIED);
    assert_int_equal(egress_check_own(&rule, &imds), ERR_OK);
    assert_int_equal(egress_check_own(&rule, &other), ERR_DENIED);
    assert_int_equal(egress_check_own(&rule, &nowhere), ERR_DENIED);
    assert_int_equal(egress_check_own(&rule, &open), ERR_OK);
    assert_int_equal(egress_check_own(NULL, &imds), ERR_DENIED);
    assert_int_equal(cidr_parse(SLICE("169.254.0.0/16"), &named[0]), ERR_OK);
    assert_int_equal(egress_check_own(&rule, &imds), ERR_DENIED);
}

/* Each mapped form must share the fate of what it maps, over all of IPv4 in steps. */
UNIT(a_mapped_address_is_judged_like_the_one_it_maps)
{
    for (uint32_t i = 0; i < 1u << 16; i++) {
        uint32_t v4 = htonl(i << 16 | (i * 40503u & 0xffff));
        union sockaddr_any plain = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = v4}};
        union sockaddr_any mapped = {.in6 = {.sin6_family = AF_INET6}};
        mapped.in6.sin6_addr.s6_addr[10] = mapped.in6.sin6_addr.s6_addr[11] = 0xff;
        memcpy(mapped.in6.sin6_addr.s6_addr + 12, &v4, 4);
        assert_int_equal(egress_check(NULL, &plain), egress_check(NULL, &mapped));
    }
}

UNIT(what_is_no_ip_address_goes_nowhere)
{
    union sockaddr_any a = {.sa = {.sa_family = AF_UNIX}};
    assert_int_equal(egress_check(NULL, &a), ERR_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_public_addresses_pass_without_a_rule),
        cmocka_unit_test(an_owner_may_allow_everything_but_metadata_and_this_network),
        cmocka_unit_test(an_allowed_network_opens_itself_and_its_mapped_form_only),
        cmocka_unit_test(a_metadata_address_that_is_named_alone_opens_for_ones_own_credential),
        cmocka_unit_test(a_mapped_address_is_judged_like_the_one_it_maps),
        cmocka_unit_test(what_is_no_ip_address_goes_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
