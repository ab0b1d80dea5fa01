/* measure — equal JSON measures equal, and what is no text is counted by its kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "dataplane/ai/ai_chat.h"
#include "dataplane/ai/dialect/openai_body.h"

#define SPELLINGS 300

static const char *const bodies[] = {
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\\u00e9\\n\\\"/ "
    "\xf0\x9f\x98\x80\"}]}",
    "{\"model\":\"m\",\"n\":1,\"temperature\":0.5,\"messages\":[{\"role\":\"user\",\"content\":["
    "{\"type\":\"text\",\"text\":\"see\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
    "\"data:image/png;base64,AAAA/AA+\",\"detail\":\"low\"}},{\"type\":\"image_url\","
    "\"image_url\":{\"url\":\"https://x.test/a.png\"}}]}]}",
    "{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"number\",\"maximum\":"
    "100,\"multipleOf\":0.25}}}}}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
    "\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"wav\"}},{\"type\":\"file\","
    "\"file\":{\"file_id\":\"f\"}}]}]}",
    "{\"model\":\"m\",\"input\":[[1,2,300],[4]]}",
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"odd\"}]}]}",
    "{\"model\":\"m\",\"service_tier\":\"priority\",\"messages\":[]}",
};

static unsigned seed;

static unsigned dice(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

static void spell_space(struct buf *out)
{
    static const char *const spaces[] = {"", "", " ", "\n\t", "  \r\n "};
    assert_int_equal(buf_append(out, slice_str(spaces[dice(ARRAY_LEN(spaces))])), ERR_OK);
}

static void spell_unit(struct buf *out, unsigned unit)
{
    assert_int_equal(buf_printf(out, dice(2) ? "\\u%04x" : "\\u%04X", unit), ERR_OK);
}

static unsigned decode(const char **p)
{
    const unsigned char *s = (const unsigned char *)*p;
    unsigned n = s[0] < 0x80 ? 1 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    unsigned code = n == 1 ? s[0] : s[0] & (0xFFu >> (n + 1));
    for (unsigned i = 1; i < n; i++)
        code = code << 6 | (s[i] & 0x3F);
    *p += n;
    return code;
}

/* each character as it is, or by one of its escapes */
static void spell_string(struct buf *out, const char *text, size_t len)
{
    assert_int_equal(buf_append(out, SLICE("\"")), ERR_OK);
    for (const char *p = text, *end = text + len; p < end;) {
        const char *from = p;
        unsigned code = decode(&p);
        bool must = code < 0x20 || code == '"' || code == '\\';
        if (code == '/' && dice(2)) {
            assert_int_equal(buf_append(out, SLICE("\\/")), ERR_OK);
        } else if (must || dice(4) == 0) {
            if (code >= 0x10000) {
                spell_unit(out, 0xD800 + ((code - 0x10000) >> 10));
                spell_unit(out, 0xDC00 + ((code - 0x10000) & 0x3FF));
            } else {
                spell_unit(out, code);
            }
        } else {
            assert_int_equal(buf_append(out, slice_of(from, (size_t)(p - from))), ERR_OK);
        }
    }
    assert_int_equal(buf_append(out, SLICE("\"")), ERR_OK);
}

static void spell_number(struct buf *out, const json_t *v)
{
    static const char *const integers[] = {"%lld", "%lld.0", "%lld.000", "%llde0", "%lldE+0"};
    static const char *const reals[] = {"%.17g", "%.20f", "%.17e"};
    if (json_is_integer(v))
        assert_int_equal(
            buf_printf(out, integers[dice(ARRAY_LEN(integers))], (long long)json_integer_value(v)),
            ERR_OK);
    else
        assert_int_equal(buf_printf(out, reals[dice(ARRAY_LEN(reals))], json_real_value(v)),
                         ERR_OK);
}

static void spell(struct buf *out, const json_t *v);

static void spell_object(struct buf *out, const json_t *v)
{
    const char *names[64];
    size_t n = 0;
    const char *name;
    json_t *inner;
    json_object_foreach((json_t *)(uintptr_t)v, name, inner) names[n++] = name;
    for (size_t i = n; i > 1; i--) { /* in any order */
        size_t j = dice((unsigned)i);
        const char *last = names[i - 1];
        names[i - 1] = names[j];
        names[j] = last;
    }
    assert_int_equal(buf_append(out, SLICE("{")), ERR_OK);
    for (size_t i = 0; i < n; i++) {
        spell_space(out);
        spell_string(out, names[i], strlen(names[i]));
        spell_space(out);
        assert_int_equal(buf_append(out, SLICE(":")), ERR_OK);
        spell(out, json_object_get(v, names[i]));
        if (i + 1 < n)
            assert_int_equal(buf_append(out, SLICE(",")), ERR_OK);
    }
    assert_int_equal(buf_append(out, SLICE("}")), ERR_OK);
}

static void spell(struct buf *out, const json_t *v)
{
    spell_space(out);
    if (json_is_object(v)) {
        spell_object(out, v);
    } else if (json_is_array(v)) {
        assert_int_equal(buf_append(out, SLICE("[")), ERR_OK);
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (i)
                assert_int_equal(buf_append(out, SLICE(",")), ERR_OK);
            spell(out, json_array_get(v, i));
        }
        assert_int_equal(buf_append(out, SLICE("]")), ERR_OK);
    } else if (json_is_string(v)) {
        spell_string(out, json_string_value(v), json_string_length(v));
    } else {
        spell_number(out, v);
    }
    spell_space(out);
}

static void equal_json_measures_equal(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        JSON_AUTO json_t *tree = NULL;
        struct json_problem problem;
        struct ai_prompt first, other;
        assert_int_equal(json_read(slice_str(bodies[i]), &tree, &problem), ERR_OK);
        openai_measure(slice_str(bodies[i]), &first);
        for (seed = 0; seed < SPELLINGS * 7919u; seed += 7919) {
            unsigned before = seed;
            struct buf out;
            buf_init(&out, 1 << 20);
            spell(&out, tree);
            openai_measure(buf_slice(&out), &other);
            if (other.text != first.text || other.images != first.images ||
                other.images_low != first.images_low || other.files != first.files ||
                other.audio_bytes != first.audio_bytes || other.unbounded != first.unbounded)
                fail_msg("body %zu measures %llu, and spelt so %llu: %.*s", i,
                         (unsigned long long)first.text, (unsigned long long)other.text,
                         SLICE_ARG(buf_slice(&out)));
            buf_fini(&out);
            seed = before;
        }
    }
}

static void texts_measure_their_bytes_and_what_stands_around_them(void **state)
{
    static const char body[] = "{\"model\":\"m\",\"n\":10,\"a\":null,\"messages\":[{\"role\":"
                               "\"user\",\"content\":\"hi\"}]}";
    struct ai_prompt p;
    (void)state;
    openai_measure(slice_str(body), &p);
    assert_int_equal(p.text, AI_MEASURE_CHAT + AI_MEASURE_TURN + AI_MEASURE_PART + 2);
    assert_null(p.unbounded);
}

static void what_is_no_text_is_counted_by_its_kind(void **state)
{
    struct ai_prompt p;
    (void)state;
    openai_measure(slice_str(bodies[1]), &p);
    assert_int_equal(p.images, 1);
    assert_int_equal(p.images_low, 1);
    openai_measure(slice_str(bodies[2]), &p);
    assert_int_equal(p.files, 1);
    assert_true(p.audio_bytes > 0);
    openai_measure(SLICE("{\"messages\":[{\"role\":\"user\",\"content\":\"image_url file_id\"}]}"),
                   &p);
    assert_int_equal(p.images + p.images_low + p.files, 0);
    openai_measure(slice_str(bodies[4]), &p);
    assert_non_null(p.unbounded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_json_measures_equal),
        cmocka_unit_test(texts_measure_their_bytes_and_what_stands_around_them),
        cmocka_unit_test(what_is_no_text_is_counted_by_its_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
