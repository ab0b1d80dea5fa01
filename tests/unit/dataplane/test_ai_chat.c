/* ai_chat — what is written in a protocol and read back is the same conversation, and is as large.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/ai/dialect/anthropic_body.h"
#include "dataplane/ai/dialect/openai_body.h"
#include "dataplane/ai/dialect/openai_parse.h"
#include "dataplane/ai/provider/anthropic_request.h"
#include "dataplane/ai/provider/openai_request.h"
#include "tests/kit/chat_maker.h"

#define CHATS 1000
#define SEED_BYTES 96

struct protocol {
    const char *name;
    const struct ai_dialect *dialect;
    const char *model;
    unsigned says;
    enum err (*write)(struct ai_outgoing *o);
    enum err (*parse)(const struct ai_incoming *in, struct ai_chat *ret);
};

static enum err write_openai(struct ai_outgoing *o)
{
    static const struct policy_provider p = {.quirks = {"litellm", 7}};
    return openai_write_body(o, openai_service_of(&p));
}

static enum err write_anthropic(struct ai_outgoing *o)
{
    return anthropic_write_body(o, &(struct anthropic_wrapping){0});
}

static const struct protocol openai = {
    "openai",     &dialect_openai_chat, "m", SAYS_NUMBERS | SAYS_TOP_K | SAYS_DETAIL | SAYS_CACHE,
    write_openai, openai_parse_chat};
static const struct protocol anthropic = {
    "anthropic",       &dialect_anthropic_messages,
    "claude-opus-4-6", SAYS_REASONING | SAYS_TOP_K | SAYS_ERRORS,
    write_anthropic,   anthropic_parse};

struct trial {
    struct arena *arena;
    struct ai_chat made;
    struct chat_maker maker;
    struct buf body, wanted, got;
};

static void begin(struct trial *t, unsigned seed, unsigned says)
{
    uint8_t *bytes;
    *t = (struct trial){.arena = arena_new(65536, 1 << 24)};
    bytes = arena_alloc(t->arena, SEED_BYTES);
    srand(seed);
    for (size_t i = 0; i < SEED_BYTES; i++)
        bytes[i] = (uint8_t)rand();
    t->made.arena = t->arena;
    t->maker =
        (struct chat_maker){.at = bytes, .end = bytes + SEED_BYTES, .says = says, .chat = &t->made};
    maker_make(&t->maker);
    buf_init(&t->body, 1 << 24);
    buf_init(&t->wanted, 1 << 24);
    buf_init(&t->got, 1 << 24);
}

static void end(struct trial *t)
{
    buf_fini(&t->body);
    buf_fini(&t->wanted);
    buf_fini(&t->got);
    json_decref(t->maker.trees);
    arena_free(t->arena);
}

static void write_as(struct trial *t, const struct protocol *p, struct ai_chat *ret)
{
    const struct ai_endpoint endpoint = {.kind = AI_CHAT, .dialect = p->dialect};
    struct ai_outgoing o = {.endpoint = &endpoint,
                            .chat = &t->made,
                            .changes = {.model = slice_str(p->model)},
                            .arena = t->arena,
                            .translated = &t->body};
    if (p->write(&o))
        fail_msg("%s refuses: %.*s", p->name, SLICE_ARG(o.why));
    const struct ai_incoming in = {.body = buf_slice(&t->body), .arena = t->arena};
    *ret = (struct ai_chat){.arena = t->arena, .choices = 1};
    if (p->parse(&in, ret))
        fail_msg("%s reads not: %.*s\n%.*s", p->name, SLICE_ARG(ret->why), SLICE_ARG(in.body));
}

/* longer than cmocka prints */
static void different(struct trial *t, const char *name, unsigned seed)
{
    fprintf(stderr, "%.*s\nwritten%.*s\nread%.*s\n", SLICE_ARG(buf_slice(&t->body)),
            SLICE_ARG(buf_slice(&t->wanted)), SLICE_ARG(buf_slice(&t->got)));
    fail_msg("%s, seed %u", name, seed);
}

static void try_protocol(const struct protocol *p)
{
    for (unsigned seed = 0; seed < CHATS; seed++) {
        struct trial t;
        struct ai_chat read;
        begin(&t, seed, p->says);
        write_as(&t, p, &read);
        show_chat(&t.wanted, &t.made);
        show_chat(&t.got, &read);
        if (!slice_eq(buf_slice(&t.wanted), buf_slice(&t.got)))
            different(&t, p->name, seed);
        ai_chat_fini(&read);
        end(&t);
    }
}

static void what_openai_is_told_is_read_back_the_same(void **state)
{
    (void)state;
    try_protocol(&openai);
}

static void what_anthropic_is_told_is_read_back_the_same(void **state)
{
    (void)state;
    try_protocol(&anthropic);
}

static void expect_size(const struct ai_prompt *a, const struct ai_prompt *b, unsigned seed)
{
    if (a->text != b->text || a->images != b->images || a->images_low != b->images_low ||
        a->files != b->files || a->audio_bytes != b->audio_bytes || !a->unbounded != !b->unbounded)
        fail_msg("seed %u: %llu text, %u images; %llu text, %u images", seed,
                 (unsigned long long)a->text, a->images, (unsigned long long)b->text, b->images);
}

static void equal_prompts_are_as_large_whichever_dialect_says_them(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < CHATS; seed++) {
        struct trial t;
        struct ai_chat by_openai, by_anthropic;
        struct ai_prompt made, one, other, scanned;
        begin(&t, seed, 0);
        ai_chat_measure(&t.made, &made);
        write_as(&t, &anthropic, &by_anthropic);
        ai_chat_measure(&by_anthropic, &other);
        write_as(&t, &openai, &by_openai);
        ai_chat_measure(&by_openai, &one);
        openai_measure(buf_slice(&t.body), &scanned);
        expect_size(&made, &one, seed);
        expect_size(&made, &other, seed);
        expect_size(&made, &scanned, seed);
        ai_chat_fini(&by_openai);
        ai_chat_fini(&by_anthropic);
        end(&t);
    }
}

/* The scan of the bytes, which the path in one dialect takes, counts what the parse would. */

#define ROW(members) "{\"model\":\"m\"," members "}"
static const char *const bodies[] = {
    ROW("\"messages\":[{\"role\":\"user\",\"content\":\"a\\u00e9\",\"name\":\"n\",\"tool_calls\":[{"
        "\"id\":\"i\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\",\"parameters\":[1]}}]}]"),
    ROW("\"messages\":[{\"role\":\"assistant\",\"reasoning\":\"r\",\"reasoning_content\":\"c\","
        "\"thinking_blocks\":[{\"thinking\":\"t\",\"signature\":7},8,{\"data\":\"d\",\"type\":"
        "\"x\"}],"
        "\"tool_calls\":[{\"id\":1,\"type\":\"function\",\"extra\":{\"a\":null}},9],"
        "\"tool_call_id\":\"z\",\"annotations\":[],\"audio\":{\"id\":\"a\"},\"refusal\":\"\"}]"),
    ROW("\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"i\",\"content\":[{\"type\":\"text\","
        "\"text\":\"x\",\"more\":1e3},{\"type\":\"image_url\",\"image_url\":{\"url\":"
        "\"https://x.test\",\"detail\":\"low\"}},{\"type\":\"odd\",\"text\":\"y\"},{\"type\":"
        "\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"wav\"}},{\"type\":"
        "\"refusal\",\"refusal\":\"n\",\"text\":\"q\"},{\"type\":\"file\",\"file\":{\"file_id\":"
        "\"f\"}}]}],\"web_search_options\":{},\"store\":false,\"seed\":1,\"logit_bias\":{\"1\":-0."
        "0}"),
    ROW("\"messages\":[],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"description\":7,\"parameters\":{\"type\":\"object\"},\"arguments\":\"a\"},\"x\":[]},{"
        "\"type\":\"custom\",\"custom\":{\"name\":\"c\"}},3],\"response_format\":{\"type\":"
        "\"json_schema\",\"json_schema\":{\"name\":\"n\",\"description\":\"d\",\"schema\":{\"a\":1}"
        "}},"
        "\"service_tier\":\"flex\",\"modalities\":[\"text\"],\"metadata\":{\"a\":\"b\"},\"user\":"
        "\"u\""),
    ROW("\"messages\":[{\"role\":\"user\"},{\"role\":\"system\",\"content\":\"\",\"Content\":\"b\"}"
        "],"
        "\"response_format\":{\"json_schema\":{\"schema\":{}},\"type\":\"text\"},\"tools\":null,"
        "\"function_call\":\"auto\",\"prompt_cache_key\":null,\"input\":\"x\""),
};

static bool is_measured_alike(const char *text, size_t len, struct ai_prompt *one,
                              struct ai_prompt *other)
{
    struct arena *a = arena_new(4096, 1 << 22);
    struct ai_chat chat = {.arena = a};
    struct ai_request r = {0};
    struct slice detail;
    const struct ai_incoming in = {.body = slice_of(text, len), .arena = a};
    bool read = !openai_read_chat(&in, &r, &detail) && !openai_parse_chat(&in, &chat);
    if (read) {
        ai_chat_measure(&chat, one);
        openai_measure(in.body, other);
    }
    ai_chat_fini(&chat);
    arena_free(a);
    return !read || (one->text == other->text && one->images == other->images &&
                     one->images_low == other->images_low && one->files == other->files &&
                     one->audio_bytes == other->audio_bytes);
}

#define CHANGES 4000

/* a byte or a piece becomes another of the same body */
static void change(char *text, size_t len)
{
    for (int n = 1 + rand() % 3; n > 0; n--) {
        size_t from = (size_t)rand() % len, to = (size_t)rand() % len;
        size_t most = len - (from > to ? from : to), piece = 1 + (size_t)rand() % 12;
        memmove(text + to, text + from, piece < most ? piece : most);
    }
}

static void the_scan_counts_what_the_parse_does(void **state)
{
    char text[2048];
    struct ai_prompt one, other;
    (void)state;
    srand(7);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        size_t len = strlen(bodies[i]);
        assert_true(len < sizeof(text));
        for (unsigned n = 0; n < CHANGES; n++) {
            memcpy(text, bodies[i], len);
            if (n)
                change(text, len);
            if (!is_measured_alike(text, len, &one, &other))
                fail_msg("parsed %llu, scanned %llu: %.*s", (unsigned long long)one.text,
                         (unsigned long long)other.text, (int)len, text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_openai_is_told_is_read_back_the_same),
        cmocka_unit_test(what_anthropic_is_told_is_read_back_the_same),
        cmocka_unit_test(equal_prompts_are_as_large_whichever_dialect_says_them),
        cmocka_unit_test(the_scan_counts_what_the_parse_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
