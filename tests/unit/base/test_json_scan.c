/* json_scan: the whole grammar, the wanted places, and the names that must not be doubled. */
#include "common/base/json_scan.h"
#include "common/base/json_token.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/base/limits.h"
#include "tests/unit/base/json_corpus.h"
#include "tests/unit/base/unit.h"

static const char *const wants[] = {"model",          "stream",     "stream_options.include_usage",
                                    "stream_options", "max_tokens", "messages"};
enum { MODEL, STREAM, INCLUDE_USAGE, STREAM_OPTIONS, MAX_TOKENS, MESSAGES };

static struct json_hit hits[ARRAY_LEN(wants)];
static struct json_scan_problem problem;
static enum json_type root;

static enum err scan(struct slice body)
{
    /* an exact copy on the heap: a read behind the end is a report of the sanitizer */
    static char *copy;
    free(copy);
    copy = malloc(body.len ? body.len : 1);
    assert_non_null(copy);
    if (body.len)
        memcpy(copy, body.ptr, body.len);
    problem.text[0] = '\0';
    return json_scan(slice_of(copy, body.len), wants, ARRAY_LEN(wants), hits, &root, &problem);
}

static enum err scan_text(const char *body)
{
    return scan(slice_str(body));
}

static enum err scan_without_wants(struct slice body)
{
    return json_scan(body, NULL, 0, NULL, &root, &problem);
}

UNIT(every_good_document_is_accepted)
{
    for (size_t i = 0; i < ARRAY_LEN(good_documents); i++) {
        if (scan(good_documents[i]) || scan_without_wants(good_documents[i]))
            fail_msg("refused: %.*s: %s", SLICE_ARG(good_documents[i]), problem.text);
    }
}

UNIT(every_bad_document_is_refused_with_a_sentence)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_documents); i++) {
        if (scan(bad_documents[i]) != ERR_INVALID)
            fail_msg("accepted: %.*s", SLICE_ARG(bad_documents[i]));
        assert_true(strlen(problem.text) > 5);
        assert_true(problem.at <= bad_documents[i].len);
        if (scan_without_wants(bad_documents[i]) != ERR_INVALID)
            fail_msg("accepted without wants: %.*s", SLICE_ARG(bad_documents[i]));
    }
}

UNIT(every_bad_document_is_refused_below_a_wanted_member_too)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_documents); i++) {
        char body[512];
        int len = snprintf(body, sizeof(body), "{\"model\":");
        memcpy(body + len, bad_documents[i].ptr, bad_documents[i].len);
        size_t all = (size_t)len + bad_documents[i].len;
        body[all++] = '}';
        /* what closes the object early, or goes on in it, is another text altogether */
        if (slice_eq(bad_documents[i], SLICE("1,")) || slice_eq(bad_documents[i], SLICE("}")))
            continue;
        if (scan(slice_of(body, all)) != ERR_INVALID)
            fail_msg("accepted: %.*s", (int)all, body);
    }
}

UNIT(half_a_surrogate_pair_is_relayed_but_read_by_no_gate)
{
    char body[256], out[256];
    struct slice text;
    for (size_t i = 0; i < ARRAY_LEN(half_pairs); i++) {
        if (scan(half_pairs[i]) || scan_without_wants(half_pairs[i]))
            fail_msg("refused: %.*s: %s", SLICE_ARG(half_pairs[i]), problem.text);
        snprintf(body, sizeof(body), "{\"messages\":[{%.*s:%.*s}],\"model\":%.*s}",
                 SLICE_ARG(half_pairs[i]), SLICE_ARG(half_pairs[i]), SLICE_ARG(half_pairs[i]));
        assert_int_equal(scan_text(body), ERR_OK);
        assert_int_equal(json_scan_text(&hits[0], out, sizeof(out), &text), ERR_PROTOCOL);
        snprintf(body, sizeof(body), "{%.*s:1,\"model\":\"m\"}", SLICE_ARG(half_pairs[i]));
        assert_int_equal(scan_text(body), ERR_INVALID);
        assert_non_null(strstr(problem.text, "half of a surrogate pair"));
    }
}

UNIT(a_nul_is_relayed_but_read_by_no_gate)
{
    char out[64];
    struct slice text;
    assert_int_equal(
        scan_text("{\"messages\":[{\"a\\u0000\":\"\\u0000\"}],\"model\":\"m\\u0000x\"}"), ERR_OK);
    assert_int_equal(json_scan_text(&hits[0], out, sizeof(out), &text), ERR_PROTOCOL);
    assert_int_equal(scan_text("{\"model\\u0000\":1,\"model\":\"m\"}"), ERR_INVALID);
    assert_non_null(strstr(problem.text, "a NUL"));
}

UNIT(names_that_differ_only_in_case_stand_in_no_object_that_a_gate_reads)
{
    static const char *const rows[] = {"{\"foo\":1,\"FOO\":2}", "{\"foo\":1,\"f\\u006fO\":2}",
                                       "{\"task\":1,\"ta\\u017fk\":2}",
                                       "{\"\xC5\xBFk\":1,\"s\xE2\x84\xAA\":2}",
                                       "{\"a-rather-long-name\":1,\"a-Rather-long-name\":2}"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (scan_text(rows[i]) != ERR_INVALID || !strstr(problem.text, "but for the case"))
            fail_msg("%s: %s", rows[i], problem.text);
        assert_int_equal(scan_without_wants(slice_str(rows[i])), ERR_OK);
    }
    /* equal in the bits that case leaves, and other names all the same */
    assert_int_equal(scan_text("{\"a_b\":1,\"a\\u007fb\":2,\"@\":1,\"`\":2}"), ERR_OK);
}

UNIT(a_response_may_nest_deeper_than_a_request)
{
    static char body[8 * LIMIT_JSON_DEPTH_RESPONSE];
    for (int depth = 60; depth <= LIMIT_JSON_DEPTH_RESPONSE + 1; depth++) {
        size_t len = 0;
        for (int i = 0; i < depth; i++)
            body[len++] = i % 3 == 1 ? '{' : '[',
            len += i % 3 == 1 ? (size_t)sprintf(body + len, "\"\":") : 0;
        body[len++] = '1';
        for (int i = depth; i-- > 0;)
            body[len++] = i % 3 == 1 ? '}' : ']';
        struct slice text = slice_of(body, len);
        enum err e = json_scan_response(text, NULL, 0, NULL, &root, &problem);
        if (e != (depth <= LIMIT_JSON_DEPTH_RESPONSE ? ERR_OK : ERR_INVALID))
            fail_msg("depth %d: %s", depth, e ? problem.text : "accepted");
        assert_int_equal(scan_without_wants(text),
                         depth <= LIMIT_JSON_DEPTH ? ERR_OK : ERR_INVALID);
    }
}

UNIT(a_problem_says_at_which_byte)
{
    assert_int_equal(scan_text("{\"a\": nope}"), ERR_INVALID);
    assert_int_equal(problem.at, 6);
    assert_string_equal(problem.text, "not a JSON value at byte 6");
    assert_int_equal(scan_text("[1,2] x"), ERR_INVALID);
    assert_string_equal(problem.text, "something stands behind the value at byte 6");
}

UNIT(wanted_members_are_found_where_they_stand)
{
    const char *body = "{\"messages\": [ {\"role\":\"user\"} ] , \"model\" : \"gpt-4o\",\n"
                       "\"stream\":true,\"stream_options\":{\"x\":{\"include_usage\":1},"
                       "\"include_usage\" :false},\"max_tokens\":128}";
    assert_int_equal(scan_text(body), ERR_OK);
    assert_int_equal(root, JSON_SCAN_OBJECT);
    assert_int_equal(hits[MODEL].type, JSON_SCAN_STRING);
    expect_text(hits[MODEL].raw, "\"gpt-4o\"");
    expect_text(hits[MODEL].member, "\"model\" : \"gpt-4o\"");
    assert_int_equal(hits[STREAM].type, JSON_SCAN_TRUE);
    assert_int_equal(hits[INCLUDE_USAGE].type, JSON_SCAN_FALSE);
    expect_text(hits[INCLUDE_USAGE].member, "\"include_usage\" :false");
    assert_int_equal(hits[STREAM_OPTIONS].type, JSON_SCAN_OBJECT);
    expect_text(hits[STREAM_OPTIONS].raw, "{\"x\":{\"include_usage\":1},\"include_usage\" :false}");
    assert_int_equal(hits[MAX_TOKENS].type, JSON_SCAN_NUMBER);
    assert_int_equal(hits[MESSAGES].type, JSON_SCAN_ARRAY);
    expect_text(hits[MESSAGES].raw, "[ {\"role\":\"user\"} ]");
}

UNIT(absent_members_are_absent_even_after_an_earlier_scan)
{
    assert_int_equal(scan_text("{\"model\":null}"), ERR_OK);
    assert_int_equal(hits[MODEL].type, JSON_SCAN_NULL);
    assert_int_equal(scan_text("{\"other\":{\"model\":\"x\"}}"), ERR_OK);
    assert_int_equal(hits[MODEL].type, JSON_SCAN_ABSENT);
    assert_int_equal(scan_text("[{\"model\":\"x\"}]"), ERR_OK);
    assert_int_equal(root, JSON_SCAN_ARRAY);
    assert_int_equal(hits[MODEL].type, JSON_SCAN_ABSENT);
    assert_int_equal(scan_text("{\"stream_options\":[{\"include_usage\":true}]}"), ERR_OK);
    assert_int_equal(hits[STREAM_OPTIONS].type, JSON_SCAN_ARRAY);
    assert_int_equal(hits[INCLUDE_USAGE].type, JSON_SCAN_ABSENT);
}

UNIT(an_escaped_name_is_the_name_it_spells)
{
    assert_int_equal(scan_text("{\"mo\\u0064el\":\"x\"}"), ERR_OK);
    assert_int_equal(hits[MODEL].type, JSON_SCAN_STRING);
    expect_text(hits[MODEL].member, "\"mo\\u0064el\":\"x\"");
}

struct doubled {
    const char *body;
    const char *names; /* must be said in the problem */
};

static const struct doubled doubled[] = {
    {"{\"model\":1,\"model\":1}", "duplicate member \"model\""},
    {"{\"model\":1,\"mo\\u0064el\":1}", "duplicate member \"mo\\u0064el\""},
    {"{\"mo\\u0064el\":1,\"model\":1}", "duplicate member \"model\""},
    {"{\"\\u006dodel\":1,\"mode\\u006c\":1}", "duplicate member"},
    {"{\"model\":1,\"Model\":1}", "\"Model\""},
    {"{\"Model\":1}", "\"Model\""},
    {"{\"MODEL\":1,\"model\":1}", "\"MODEL\""},
    {"{\"\\u004dodel\":1}", "\"\\u004dodel\""},
    {"{\"\xC5\xBFtream\":true}", "\"stream\""},
    {"{\"\\u017ftream\":true}", "\"stream\""},
    {"{\"max_to\xE2\x84\xAA"
     "ens\":1}",
     "\"max_tokens\""},
    {"{\"a\":1,\"b\":2,\"a\":3}", "duplicate member \"a\""},
    {"{\"x\\ny\":1,\"x\\u000ay\":2}", "duplicate member"},
    {"{\"stream_options\":{\"a\":1,\"a\":2}}", "duplicate member \"a\""},
    {"{\"stream_options\":{\"Include_Usage\":true}}", "\"Include_Usage\""},
    {"{\"stream_options\":{},\"Stream_Options\":{}}", "\"Stream_Options\""},
    {"{\"stream_options\":1,\"stream_options\":{}}", "duplicate member \"stream_options\""},
    {"{\"\":1,\"\":2}", "duplicate member \"\""},
    {"{\"\xC3\xA9\":1,\"\\u00e9\":2}", "duplicate member"},
    {"{\"a name of more than sixteen bytes\":1,\"a name of more than sixteen bytes\":1}",
     "duplicate member \"a name of more than sixteen bytes\""},
};

UNIT(two_readings_of_one_body_are_refused_by_name)
{
    for (size_t i = 0; i < ARRAY_LEN(doubled); i++) {
        if (scan_text(doubled[i].body) != ERR_INVALID)
            fail_msg("accepted: %s", doubled[i].body);
        if (!strstr(problem.text, doubled[i].names))
            fail_msg("%s: \"%s\" does not say %s", doubled[i].body, problem.text, doubled[i].names);
    }
}

UNIT(names_that_only_begin_alike_are_different)
{
    assert_int_equal(scan_text("{\"model\":1,\"models\":2,\"mode\":3,\"model \":4,\"\":5,"
                               "\"m\xC3\xB6"
                               "del\":6,\"modeL2\":7}"),
                     ERR_OK);
    expect_text(hits[MODEL].raw, "1");
}

UNIT(a_dot_inside_a_name_does_not_divide_a_path)
{
    assert_int_equal(scan_text("{\"stream_options.include_usage\":true,\"model.x\":1}"), ERR_OK);
    assert_int_equal(hits[INCLUDE_USAGE].type, JSON_SCAN_ABSENT);
    assert_int_equal(hits[STREAM_OPTIONS].type, JSON_SCAN_ABSENT);
    assert_int_equal(hits[MODEL].type, JSON_SCAN_ABSENT);
}

UNIT(only_letters_have_a_case)
{
    /* DEL is to the underscore what a small letter is to a capital */
    assert_int_equal(scan_text("{\"max\x7ftokens\":1}"), ERR_OK);
    assert_int_equal(hits[MAX_TOKENS].type, JSON_SCAN_ABSENT);
}

UNIT(names_are_compared_whole_whatever_their_length)
{
    for (size_t len = 1; len < 40; len++) {
        char want[40] = {0}, body[64];
        memset(want, 'a', len);
        const char *only[] = {want};
        for (size_t at = 0; at < len; at++) {
            static const struct {
                char c;
                enum err e;
                enum json_type found;
            } probes[] = {{'a', ERR_OK, JSON_SCAN_NULL},
                          {'b', ERR_OK, JSON_SCAN_ABSENT},
                          {'A', ERR_INVALID, JSON_SCAN_NULL},
                          {'.', ERR_OK, JSON_SCAN_ABSENT},
                          {'!', ERR_OK, JSON_SCAN_ABSENT}};
            for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
                char name[40] = {0};
                memcpy(name, want, len);
                name[at] = probes[i].c;
                int n = snprintf(body, sizeof(body), "{\"%s\":null}", name);
                struct json_hit hit;
                enum err e = json_scan(slice_of(body, (size_t)n), only, 1, &hit, &root, &problem);
                assert_int_equal(e, probes[i].e);
                if (!e)
                    assert_int_equal(hit.type, probes[i].found);
            }
        }
    }
}

/* an escape is seen wherever in a name it stands */
UNIT(an_escape_at_any_place_spells_the_same_name)
{
    for (size_t len = 1; len < 30; len++)
        for (size_t at = 0; at < len; at++) {
            char want[40] = {0}, body[80];
            memset(want, 'a', len);
            const char *only[] = {want};
            int n = snprintf(body, sizeof(body), "{\"%.*s\\u0061%.*s\":null}", (int)at, want,
                             (int)(len - at - 1), want);
            struct json_hit hit;
            assert_int_equal(json_scan(slice_of(body, (size_t)n), only, 1, &hit, &root, &problem),
                             ERR_OK);
            assert_int_equal(hit.type, JSON_SCAN_NULL);
        }
}

UNIT(objects_that_no_gate_reads_may_hold_a_name_twice)
{
    assert_int_equal(scan_text("{\"messages\":[{\"a\":1,\"a\":2}],\"metadata\":{\"Model\":1,"
                               "\"model\":2,\"model\":3}}"),
                     ERR_OK);
    assert_int_equal(scan_without_wants(SLICE("{\"a\":1,\"a\":2}")), ERR_OK);
}

UNIT(a_long_name_is_cut_in_the_sentence_between_characters)
{
    char body[400] = "{\"";
    for (int i = 0; i < 50; i++)
        strcat(body, "\xE2\x82\xAC");
    char name[200];
    strcpy(name, body + 2);
    strcat(body, "\":1,\"");
    strcat(body, name);
    strcat(body, "\":2}");
    assert_int_equal(scan_text(body), ERR_INVALID);
    assert_true(strlen(problem.text) < 100);
    json_t *read_back = json_string(problem.text); /* NULL for invalid UTF-8 */
    assert_non_null(read_back);
    json_decref(read_back);
}

/* {"m0":0,"m1":0,…} */
static struct slice wide_object(char *out, size_t cap, int members)
{
    size_t len = 0;
    for (int i = 0; i < members; i++)
        len += (size_t)snprintf(out + len, cap - len, "%s\"m%d\":0", i ? "," : "{", i);
    out[len++] = '}';
    return slice_of(out, len);
}

UNIT(a_gated_object_has_a_ceiling_of_members)
{
    static char body[8192];
    assert_int_equal(scan(wide_object(body, sizeof(body), LIMIT_JSON_MEMBERS)), ERR_OK);
    assert_int_equal(scan(wide_object(body, sizeof(body), LIMIT_JSON_MEMBERS + 1)), ERR_INVALID);
    assert_non_null(strstr(problem.text, "too many members"));
    assert_int_equal(scan_without_wants(wide_object(body, sizeof(body), LIMIT_JSON_MEMBERS + 1)),
                     ERR_OK);
}

UNIT(a_gated_object_has_a_ceiling_of_name_length)
{
    static char body[LIMIT_JSON_NAME + 64];
    for (size_t len = LIMIT_JSON_NAME; len <= LIMIT_JSON_NAME + 1; len++) {
        memset(body, 'n', sizeof(body));
        memcpy(body, "{\"", 2);
        memcpy(body + 2 + len, "\":1}", 4);
        assert_int_equal(scan(slice_of(body, len + 6)),
                         len > LIMIT_JSON_NAME ? ERR_INVALID : ERR_OK);
    }
}

UNIT(depth_is_counted_through_wanted_objects)
{
    /* 63 arrays inside the object's one bracket are 64, 64 are 65 */
    for (int arrays = LIMIT_JSON_DEPTH - 1; arrays <= LIMIT_JSON_DEPTH; arrays++) {
        char body[400] = "{\"messages\":";
        for (int i = 0; i < arrays; i++)
            strcat(body, "[");
        for (int i = 0; i < arrays; i++)
            strcat(body, "]");
        strcat(body, "}");
        assert_int_equal(scan_text(body), arrays == LIMIT_JSON_DEPTH ? ERR_INVALID : ERR_OK);
        char nested[500] = "{\"stream_options\":{\"x\":";
        strcat(nested, strchr(body, '['));
        strcat(nested, "}");
        /* one level more */
        assert_int_equal(scan_text(nested), ERR_INVALID);
    }
}

UNIT(text_is_unescaped)
{
    char out[128];
    struct slice text;
    assert_int_equal(scan_text("{\"model\":\"\\u0041\\n\\ud83d\\ude00\\\"\\/\xC3\xA9\"}"), ERR_OK);
    assert_int_equal(json_scan_text(&hits[MODEL], out, sizeof(out), &text), ERR_OK);
    expect_text(text, "A\n\xF0\x9F\x98\x80\"/\xC3\xA9");
    assert_int_equal(json_scan_text(&hits[MODEL], out, 3, &text), ERR_TOO_BIG);
    assert_int_equal(scan_text("{\"model\":17}"), ERR_OK);
    assert_int_equal(json_scan_text(&hits[MODEL], out, sizeof(out), &text), ERR_INVALID);
    assert_int_equal(json_scan_text(&hits[STREAM], out, sizeof(out), &text), ERR_INVALID);
}

UNIT(only_plain_integers_in_range_are_integers)
{
    static const struct {
        const char *text;
        enum err e;
        uint64_t value;
    } rows[] = {
        {"0", ERR_OK, 0},
        {"128", ERR_OK, 128},
        {"18446744073709551615", ERR_OK, UINT64_MAX},
        {"18446744073709551616", ERR_INVALID, 0},
        {"-1", ERR_INVALID, 0},
        {"-0", ERR_INVALID, 0},
        {"1.0", ERR_INVALID, 0},
        {"1e3", ERR_INVALID, 0},
        {"\"1\"", ERR_INVALID, 0},
        {"null", ERR_INVALID, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body[64];
        uint64_t value = 0;
        snprintf(body, sizeof(body), "{\"max_tokens\":%s}", rows[i].text);
        assert_int_equal(scan_text(body), ERR_OK);
        assert_int_equal(json_scan_u64(&hits[MAX_TOKENS], &value), rows[i].e);
        assert_int_equal(value, rows[i].value);
    }
}

UNIT(an_array_is_walked_item_by_item)
{
    assert_int_equal(scan_text("{\"messages\": [ 1 , \"a,b]\" ,[2,[3]], {\"x\":[4]},null ] }"),
                     ERR_OK);
    static const char *const items[] = {"1", "\"a,b]\"", "[2,[3]]", "{\"x\":[4]}", "null"};
    static const enum json_type types[] = {JSON_SCAN_NUMBER, JSON_SCAN_STRING, JSON_SCAN_ARRAY,
                                           JSON_SCAN_OBJECT, JSON_SCAN_NULL};
    struct slice rest = hits[MESSAGES].raw;
    struct json_hit item;
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        assert_true(json_scan_item(&rest, &item));
        expect_text(item.raw, items[i]);
        assert_int_equal(item.type, types[i]);
    }
    assert_false(json_scan_item(&rest, &item));
    assert_int_equal(scan_text("{\"messages\":[ ]}"), ERR_OK);
    rest = hits[MESSAGES].raw;
    assert_false(json_scan_item(&rest, &item));
}

UNIT(an_object_is_walked_member_by_member)
{
    assert_int_equal(scan_text("{\"messages\":{ \"a.b\" : \"7\" ,\"\\u0063\":[1,{}], \"d\":{} } }"),
                     ERR_OK);
    static const char *const names[] = {"a.b", "\\u0063", "d"};
    static const char *const values[] = {"\"7\"", "[1,{}]", "{}"};
    struct slice rest = hits[MESSAGES].raw, name;
    struct json_hit member;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(json_scan_member(&rest, &name, &member));
        expect_text(name, names[i]);
        expect_text(member.raw, values[i]);
    }
    assert_false(json_scan_member(&rest, &name, &member));
    assert_int_equal(scan_text("{\"messages\":{ }}"), ERR_OK);
    rest = hits[MESSAGES].raw;
    assert_false(json_scan_member(&rest, &name, &member));
}

static enum err scan_rest(const char *text)
{
    return json_scan_rest(slice_str(text), wants, ARRAY_LEN(wants), hits, &problem);
}

UNIT(the_end_of_a_body_is_read_without_what_stands_before)
{
    assert_int_equal(scan_rest("\"n\":3,\"model\" : \"gpt\" } \n"), ERR_OK);
    expect_text(hits[MODEL].raw, "\"gpt\"");
    expect_text(hits[MODEL].member, "\"model\" : \"gpt\"");
    assert_int_equal(hits[MESSAGES].type, JSON_SCAN_ABSENT);
}

UNIT(the_end_of_a_body_must_close_the_root_and_nothing_else)
{
    static const char *const bad[] = {
        "",
        "}",
        "\"model\":1",
        "\"model\":1}}",
        "\"model\":1}]",
        "\"model\":1],\"a\":2}",
        "\"model\":1,}",
        "\"model\":1} {}",
        "\"model\":1,\"model\":2}",
        "\"Model\":1}",
        "1}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (scan_rest(bad[i]) != ERR_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_true(problem.text[0] != '\0');
    }
}

UNIT(bytes_are_seen_at_every_place_of_a_block)
{
    /* the loops over sixteen and over 64 bytes must stop at each lane, and see the byte behind
     * their last block */
    static const struct {
        char c;
        enum err e;
    } probes[] = {{'\n', ERR_INVALID},   {'\x7f', ERR_OK},    {'\xff', ERR_INVALID},
                  {' ', ERR_OK},         {'\0', ERR_INVALID}, {'!', ERR_OK},
                  {'\x1f', ERR_INVALID}, {'"', ERR_INVALID},  {'\\', ERR_INVALID}};
    for (size_t len = 1; len < 220; len += len < 70 || len > 190 ? 1 : 11) {
        for (size_t at = 0; at < len; at++) {
            for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
                char body[230] = "\"";
                memset(body + 1, 'x', len);
                body[1 + at] = probes[i].c;
                body[1 + len] = '"';
                assert_int_equal(scan(slice_of(body, len + 2)), probes[i].e);
            }
        }
    }
}

static bool tree_reads(struct slice text)
{
    json_t *tree = NULL;
    struct json_problem why;
    enum err e = json_read(text, &tree, &why);
    json_decref(tree);
    return e == ERR_OK;
}

/* No member is wanted here, and generated names are all different, so the two may differ only
 * in numbers out of the tree's range, which the generator does not make. */
UNIT(the_scanner_and_the_tree_reader_agree_on_whole_documents)
{
    struct writer w = {.state = 1};
    for (int i = 0; i < 20000; i++) {
        w.len = 0;
        say_value(&w, 0);
        struct slice text = slice_of(w.text, w.len);
        if (w.len == sizeof(w.text))
            continue; /* cut off */
        if ((scan_without_wants(text) == ERR_OK) != tree_reads(text))
            fail_msg("they differ: %.*s", SLICE_ARG(text));
    }
}

UNIT(the_scanner_and_the_tree_reader_agree_on_damaged_documents)
{
    struct writer w = {.state = 2};
    size_t accepted = 0, refused = 0;
    for (int i = 0; i < 60000; i++) {
        w.len = 0;
        say_value(&w, 6); /* small, so that a part of the damaged ones stays whole */
        damage(&w);
        struct slice text = slice_of(w.text, w.len);
        bool scanned = scan(text) == ERR_OK;
        /* Doubled names in objects that are not read are the tree's refusal alone; those of the
         * root are refused by both. */
        json_t *tree = NULL;
        struct json_problem why = {""};
        bool reads = json_read(text, &tree, &why) == ERR_OK;
        json_decref(tree);
        bool explained = scanned && !reads &&
                         (!json_token_is_clear(text) || strstr(why.text, "out of range") ||
                          strstr(why.text, "duplicate") || strstr(why.text, "twice"));
        if (scanned != reads && !explained)
            fail_msg("they differ: %.*s: %s / %s", SLICE_ARG(text), problem.text, why.text);
        scanned ? accepted++ : refused++;
    }
    assert_true(accepted > 1000 && refused > 1000);
}

UNIT(the_tables_are_judged_alike_by_the_tree_reader)
{
    for (size_t i = 0; i < ARRAY_LEN(good_documents); i++)
        assert_true(tree_reads(good_documents[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad_documents); i++) {
        if (tree_reads(bad_documents[i]))
            fail_msg("read: %.*s", SLICE_ARG(bad_documents[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_good_document_is_accepted),
        cmocka_unit_test(every_bad_document_is_refused_with_a_sentence),
        cmocka_unit_test(every_bad_document_is_refused_below_a_wanted_member_too),
        cmocka_unit_test(half_a_surrogate_pair_is_relayed_but_read_by_no_gate),
        cmocka_unit_test(a_nul_is_relayed_but_read_by_no_gate),
        cmocka_unit_test(names_that_differ_only_in_case_stand_in_no_object_that_a_gate_reads),
        cmocka_unit_test(a_response_may_nest_deeper_than_a_request),
        cmocka_unit_test(a_problem_says_at_which_byte),
        cmocka_unit_test(wanted_members_are_found_where_they_stand),
        cmocka_unit_test(absent_members_are_absent_even_after_an_earlier_scan),
        cmocka_unit_test(an_escaped_name_is_the_name_it_spells),
        cmocka_unit_test(two_readings_of_one_body_are_refused_by_name),
        cmocka_unit_test(names_that_only_begin_alike_are_different),
        cmocka_unit_test(a_dot_inside_a_name_does_not_divide_a_path),
        cmocka_unit_test(only_letters_have_a_case),
        cmocka_unit_test(names_are_compared_whole_whatever_their_length),
        cmocka_unit_test(an_escape_at_any_place_spells_the_same_name),
        cmocka_unit_test(objects_that_no_gate_reads_may_hold_a_name_twice),
        cmocka_unit_test(a_long_name_is_cut_in_the_sentence_between_characters),
        cmocka_unit_test(a_gated_object_has_a_ceiling_of_members),
        cmocka_unit_test(a_gated_object_has_a_ceiling_of_name_length),
        cmocka_unit_test(depth_is_counted_through_wanted_objects),
        cmocka_unit_test(text_is_unescaped),
        cmocka_unit_test(only_plain_integers_in_range_are_integers),
        cmocka_unit_test(an_array_is_walked_item_by_item),
        cmocka_unit_test(an_object_is_walked_member_by_member),
        cmocka_unit_test(the_end_of_a_body_is_read_without_what_stands_before),
        cmocka_unit_test(the_end_of_a_body_must_close_the_root_and_nothing_else),
        cmocka_unit_test(bytes_are_seen_at_every_place_of_a_block),
        cmocka_unit_test(the_scanner_and_the_tree_reader_agree_on_whole_documents),
        cmocka_unit_test(the_scanner_and_the_tree_reader_agree_on_damaged_documents),
        cmocka_unit_test(the_tables_are_judged_alike_by_the_tree_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
