/* Addresses, networks and URLs: what is read, and what is refused because two readers differ. */
#include "tests/unit/base/unit.h"

#include "common/net/address.h"

static const struct {
    const char *text;
    bool tls;
    const char *host;
    uint16_t port;
    const char *path;
    const char *query;
} good_urls[] = {
    {"http://a", false, "a", 80, "", ""},
    {"HTTPS://Api.OpenAI.com/v1/", true, "Api.OpenAI.com", 443, "/v1", ""},
    {"https://h:8443/", true, "h", 8443, "", ""},
    {"http://127.0.0.1:18500/a/b?x=1&y=/?z", false, "127.0.0.1", 18500, "/a/b", "x=1&y=/?z"},
    {"http://[::1]:80/x", false, "::1", 80, "/x", ""},
    {"https://[2606:4700::1111]", true, "2606:4700::1111", 443, "", ""},
    {"http://h?q=1", false, "h", 80, "", "q=1"},
    {"http://h/%41%2f", false, "h", 80, "/%41%2f", ""},
    {"http://my_service.internal:1/", false, "my_service.internal", 1, "", ""},
    {"http://1a.b2/", false, "1a.b2", 80, "", ""},
    {"http://h:65535", false, "h", 65535, "", ""},
};

UNIT(a_good_url_is_read_into_its_parts)
{
    for (size_t i = 0; i < ARRAY_LEN(good_urls); i++) {
        struct url u;
        assert_int_equal(url_parse(slice_str(good_urls[i].text), &u), ERR_OK);
        assert_int_equal(u.tls, good_urls[i].tls);
        assert_int_equal(u.port, good_urls[i].port);
        expect_text(u.host, good_urls[i].host);
        expect_text(u.path, good_urls[i].path);
        expect_text(u.query, good_urls[i].query);
    }
}

static const char *const bad_urls[] = {
    "",
    "http",
    "http:/h",
    "http://",
    "https://",
    "ftp://h",
    "//h",
    "http//h",
    "http:///x",
    "http://user@h/",
    "http://user:pw@h/",
    "http://h@evil",
    "http://good.com\\@evil.com/",
    "http://h#x",
    "http://h/a#x",
    "http://h/?q#x",
    "http://h:",
    "http://h:0",
    "http://h:65536",
    "http://h:123456",
    "http://h:+80",
    "http://h: 80",
    "http://h:80a",
    "http://h:80:80",
    "http:// h",
    "http://h /",
    "http://h\t",
    "http://-h",
    "http://h-",
    "http://a..b",
    "http://.a",
    "http://a.",
    "http://a%2eb",
    "http://h\xc3\xa9/",
    "http://127.1",
    "http://2130706433/",
    "http://0x7f.0.0.1",
    "http://0x7f000001",
    "http://1.2.3.4.5",
    "http://256.1.1.1",
    "http://01.2.3.4",
    "http://a.0x10",
    "http://::1/",
    "http://[::1",
    "http://[::1]x",
    "http://[::1%25lo]/",
    "http://[127.0.0.1]/",
    "http://[]/",
    "http://[h]/",
    "http://h/a b",
    "http://h/\x7f",
    "http://h/%4",
    "http://h/%zz",
    "http://h/%",
    "http://h//",
    "http://h/a//b",
    "http://h/./a",
    "http://h/a/..",
    "http://h/a/../b",
    "http://h/a\\b",
    "http://h/\"",
    "http://h/?a b",
};

UNIT(a_url_that_two_readers_may_understand_differently_is_refused)
{
    struct url u;
    for (size_t i = 0; i < ARRAY_LEN(bad_urls); i++)
        if (url_parse(slice_str(bad_urls[i]), &u) != ERR_INVALID)
            fail_msg("accepted: %s", bad_urls[i]);
    assert_int_equal(url_parse(slice_of("http://h\0.x/", 12), &u), ERR_INVALID);
}

UNIT(hosts_and_labels_have_their_lengths)
{
    char text[512] = "http://";
    struct url u;
    memset(text + 7, 'a', 63);
    assert_int_equal(url_parse(slice_of(text, 7 + 63), &u), ERR_OK);
    text[7 + 63] = 'a';
    assert_int_equal(url_parse(slice_of(text, 7 + 64), &u), ERR_INVALID);
    for (size_t i = 0; i < 254; i++)
        text[7 + i] = i % 2 ? '.' : 'a';
    assert_int_equal(url_parse(slice_of(text, 7 + 253), &u), ERR_OK);
    text[7 + 253] = 'a';
    assert_int_equal(url_parse(slice_of(text, 7 + 254), &u), ERR_INVALID);
}

UNIT(an_address_reads_back_as_it_was_written)
{
    static const char *const texts[] = {"127.0.0.1:8080",        "0.0.0.0:0",
                                        "255.255.255.255:65535", "[::1]:8080",
                                        "[2001:db8::ff]:1",      "[::ffff:1.2.3.4]:5"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        union sockaddr_any a;
        char out[ADDRESS_TEXT_MAX];
        assert_int_equal(address_parse(slice_str(texts[i]), &a), ERR_OK);
        expect_text(address_format(&a, out), texts[i]);
    }
}

UNIT(an_address_without_port_or_with_a_name_is_refused)
{
    static const char *const texts[] = {
        "",        "127.0.0.1", "127.0.0.1:", ":80",           "localhost:80",
        "::1:80",  "[::1]",     "[::1]80",    "[127.0.0.1]:1", "1.2.3.4:65536",
        "1.2.3:4", "[::1:80",   "1.2.3.4:1x", "1.2.3.4 :1"};
    union sockaddr_any a;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (address_parse(slice_str(texts[i]), &a) != ERR_INVALID)
            fail_msg("accepted: %s", texts[i]);
}

static const struct {
    const char *net;
    const char *in, *out; /* addresses */
} nets[] = {
    {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
    {"127.0.0.1/32", "127.0.0.1", "127.0.0.2"},
    {"127.0.0.1", "127.0.0.1", "127.0.0.0"},
    {"172.16.0.0/12", "172.31.255.255", "172.32.0.0"},
    {"192.168.4.0/23", "192.168.5.9", "192.168.6.0"},
    {"0.0.0.0/0", "8.8.8.8", "::1"},
    {"::/0", "2001:db8::1", "1.1.1.1"},
    {"fd00::/8", "fdff::1", "fe00::1"},
    {"2001:db8:8000::/33", "2001:db8:ffff::1", "2001:db8:7fff::1"},
    {"::1/128", "::1", "::2"},
    {"10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.0.0.1"},
    {"::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.1"},
};

UNIT(a_network_holds_its_addresses_and_no_others)
{
    for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
        struct cidr c;
        union sockaddr_any in, out;
        assert_int_equal(cidr_parse(slice_str(nets[i].net), &c), ERR_OK);
        assert_true(address_literal(slice_str(nets[i].in), 1, &in));
        assert_true(address_literal(slice_str(nets[i].out), 1, &out));
        if (!cidr_holds(&c, &in) || cidr_holds(&c, &out))
            fail_msg("%s", nets[i].net);
    }
}

UNIT(a_network_with_bits_behind_its_prefix_or_a_wrong_prefix_is_refused)
{
    static const char *const texts[] = {"",
                                        "10.0.0.1/8",
                                        "10.0.0.0/33",
                                        "::1/129",
                                        "10.0.0.0/",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/8x",
                                        "/8",
                                        "10.0.0.0/0",
                                        "fd00::1/8",
                                        "name/8",
                                        "10.0/8",
                                        "::ffff:10.0.0.0/95",
                                        "10.0.0.0/0008",
                                        "127.0.0.1/31"};
    struct cidr c;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (cidr_parse(slice_str(texts[i]), &c) != ERR_INVALID)
            fail_msg("accepted: %s", texts[i]);
}

static void a_region_takes_its_place_in_an_address(void **state)
{
    static const struct {
        struct slice text, region, want;
    } rows[] = {
        {SLICE("https://a.{region}.example"), SLICE("eu-1"), SLICE("https://a.eu-1.example")},
        {SLICE("https://{region}-a.example/{region}"), SLICE("x"), SLICE("https://x-a.example/x")},
        {SLICE("https://{region}-a.example"), SLICE("global"), SLICE("https://a.example")},
        {SLICE("https://a.example"), SLICE("eu"), SLICE("https://a.example")},
    };
    char room[64];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!slice_eq(url_in_region(rows[i].text, rows[i].region, room, sizeof(room)),
                      rows[i].want))
            fail_msg("row %zu", i);
    for (size_t size = 0; size < rows[0].want.len; size++)
        assert_null(url_in_region(rows[0].text, rows[0].region, room, size).ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_url_is_read_into_its_parts),
        cmocka_unit_test(a_url_that_two_readers_may_understand_differently_is_refused),
        cmocka_unit_test(hosts_and_labels_have_their_lengths),
        cmocka_unit_test(a_region_takes_its_place_in_an_address),
        cmocka_unit_test(an_address_reads_back_as_it_was_written),
        cmocka_unit_test(an_address_without_port_or_with_a_name_is_refused),
        cmocka_unit_test(a_network_holds_its_addresses_and_no_others),
        cmocka_unit_test(a_network_with_bits_behind_its_prefix_or_a_wrong_prefix_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
