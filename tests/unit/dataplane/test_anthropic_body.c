/* anthropic_body — what the gate reads of a body of Anthropic's API, and the whole of it in the
 * normal form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "dataplane/ai/ai_mark.h"
#include "dataplane/ai/dialect/anthropic_body.h"

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static struct arena *arena;

static int open_arena(void **state)
{
    (void)state;
    arena = arena_new(4096, 1 << 20);
    return arena ? 0 : -1;
}

static int close_arena(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static enum err read_body(const char *body, struct ai_request *ret, struct slice *detail)
{
    const struct ai_incoming in = {.body = slice_str(body), .arena = arena};
    *ret = (struct ai_request){0};
    *detail = SLICE_NONE;
    return anthropic_read_messages(&in, ret, detail);
}

static void a_body_is_read_or_refused_by_its_member(void **state)
{
    static const struct {
        const char *body, *param;
        uint64_t ceiling;
        bool stream;
    } rows[] = {
        {"{\"model\":\"m\",\"max_tokens\":8," HI "}", NULL, 8, false},
        {"{\"model\":\"m\",\"max_tokens\":8,\"stream\":true," HI "}", NULL, 8, true},
        {"{\"model\":\"m\",\"max_tokens\":8,\"stream\":null," HI "}", NULL, 8, false},
        {"{\"model\":\"m\",\"max_tokens\":0," HI "}", NULL, 1, false},
        {"{\"model\":\"m\"," HI "}", "max_tokens", 0, false},
        {"{\"model\":\"m\",\"max_tokens\":-1," HI "}", "max_tokens", 0, false},
        {"{\"model\":\"m\",\"max_tokens\":1.5," HI "}", "max_tokens", 0, false},
        {"{\"model\":\"m\",\"max_tokens\":99999999999," HI "}", "max_tokens", 0, false},
        {"{\"max_tokens\":8," HI "}", "model", 0, false},
        {"{\"model\":1,\"max_tokens\":8," HI "}", "model", 0, false},
        {"{\"model\":\"m\",\"max_tokens\":8}", "messages", 0, false},
        {"{\"model\":\"m\",\"max_tokens\":8,\"messages\":\"hi\"}", "messages", 0, false},
        {"{\"model\":\"m\",\"max_tokens\":8,\"tools\":{}," HI "}", "tools", 0, false},
        {"{\"model\":\"m\",\"max_tokens\":8,\"stream\":1," HI "}", "stream", 0, false},
        {"{\"model\":\"m\",\"max_tokens\":8,\"metadata\":{\"user_id\":1}," HI "}",
         "metadata.user_id", 0, false},
        {"{\"model\":\"m\",\"model\":\"n\",\"max_tokens\":8," HI "}", "", 0, false},
        {"[]", "", 0, false},
        {"{", "", 0, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ai_request r;
        struct slice detail;
        enum err e = read_body(rows[i].body, &r, &detail);
        const char *param = r.param ? r.param : "";
        bool same = rows[i].param ? e == ERR_INVALID && !strcmp(param, rows[i].param) && detail.len
                                  : e == ERR_OK && r.output_ceiling == rows[i].ceiling &&
                                        r.stream == rows[i].stream && r.choices == 1;
        if (!same)
            fail_msg("%s: %s %s %.*s", rows[i].body, err_name(e), param, SLICE_ARG(detail));
    }
}

static void a_session_is_found_where_known_clients_write_it(void **state)
{
    static const struct {
        const char *user, *session;
    } rows[] = {
        {"user_0af_account_1c-2d_session_7e-8f", "7e-8f"},
        {"user_0af_account__session_7e-8f", "7e-8f"},
        {"{\"device_id\":\"d\",\"account_uuid\":\"a\",\"session_id\":\"7e-8f\"}", "7e-8f"},
        {"{\"device_id\":\"d\"}", NULL},
        {"{\"session_id\":1}", NULL},
        {"{\"session_id\":", NULL},
        {"user-123", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice got = anthropic_session_of(slice_str(rows[i].user), arena);
        if (rows[i].session ? !slice_eq(got, slice_str(rows[i].session)) : got.len > 0)
            fail_msg("%s: %.*s", rows[i].user, SLICE_ARG(got));
    }
}

static void only_the_models_name_is_spliced(void **state)
{
    const char *body = "{\"max_tokens\":8, \"model\" : \"m\" ," HI ",\"unknown\":[1.50e1]}";
    struct ai_request r;
    struct slice detail, pieces[AI_REQUEST_PIECES];
    struct buf all;
    (void)state;
    assert_int_equal(read_body(body, &r, &detail), ERR_OK);
    const struct ai_changes same = {.model = SLICE("m")}, other = {.model = SLICE("a\"b")};
    assert_int_equal(anthropic_splice(&r, slice_str(body), &same, arena, pieces), ERR_OK);
    assert_ptr_equal(pieces[0].ptr, body);
    assert_int_equal(pieces[0].len, strlen(body));
    assert_int_equal(anthropic_splice(&r, slice_str(body), &other, arena, pieces), ERR_OK);
    buf_init(&all, 4096);
    for (size_t i = 0; i < AI_REQUEST_PIECES; i++)
        assert_int_equal(buf_append(&all, pieces[i]), ERR_OK);
    assert_true(slice_eq(buf_slice(&all), SLICE("{\"max_tokens\":8, \"model\" : \"a\\\"b\" ," HI
                                                ",\"unknown\":[1.50e1]}")));
    buf_fini(&all);
}

/* What a client repeats of another provider's reasoning. */
static void unsigned_thinking_does_not_go_back(void **state)
{
    static const struct {
        const char *body, *sent;
    } rows[] = {
        {"{\"model\":\"m\",\"max_tokens\":8,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
         "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","
         "\"signature\": \"\"},{\"type\":\"text\",\"text\":\"a\"}]}]}",
         "{\"model\":\"t\",\"max_tokens\":8,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
         "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}]}"},
        {"{\"model\":\"m\",\"max_tokens\":8,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
         "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","
         "\"signature\":\"\"}]},{\"role\":\"user\",\"content\":\"go on\"}]}",
         "{\"model\":\"t\",\"max_tokens\":8,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
         "{\"role\":\"user\",\"content\":\"go on\"}]}"},
        {"{\"model\":\"m\",\"max_tokens\":8,\"messages\":[{\"role\":\"user\",\"content\":"
         "\"\\\"signature\\\":\\\"\\\"\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
         "\"thinking\","
         "\"thinking\":\"hm\",\"signature\":\"s\"}]}]}",
         "{\"model\":\"t\",\"max_tokens\":8,\"messages\":[{\"role\":\"user\",\"content\":"
         "\"\\\"signature\\\":\\\"\\\"\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
         "\"thinking\","
         "\"thinking\":\"hm\",\"signature\":\"s\"}]}]}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ai_request r;
        struct slice detail, pieces[AI_REQUEST_PIECES];
        struct buf all;
        const struct ai_changes c = {.model = SLICE("t")};
        assert_int_equal(read_body(rows[i].body, &r, &detail), ERR_OK);
        assert_int_equal(anthropic_splice(&r, slice_str(rows[i].body), &c, arena, pieces), ERR_OK);
        buf_init(&all, 4096);
        for (size_t j = 0; j < AI_REQUEST_PIECES; j++)
            assert_int_equal(buf_append(&all, pieces[j]), ERR_OK);
        if (!slice_eq(buf_slice(&all), slice_str(rows[i].sent)))
            fail_msg("%zu: %.*s", i, SLICE_ARG(buf_slice(&all)));
        buf_fini(&all);
    }
}

static struct ai_marker marker_of(const char *owner)
{
    struct ai_marker m = {.ready = true, .owner = slice_str(owner)};
    digest_hmac_ready(SLICE("0123456789abcdef0123456789abcdef"), &m.key);
    return m;
}

static struct slice marked(const struct ai_marker *m, const struct ai_account *by,
                           const char *value)
{
    char mark[AI_MARK_LEN];
    assert_true(ai_mark_write(m, by, slice_str(value), mark));
    return arena_printf(arena, "%s%.*s", value, AI_MARK_LEN, mark);
}

#define SEALED                                                                                     \
    "{\"model\":\"m\",\"max_tokens\":8,\"messages\":[{\"role\":\"assistant\",\"content\":["        \
    "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"%.*s\"},"                          \
    "{\"type\":\"redacted_thinking\",\"data\":\"%.*s\"},{\"type\":\"text\",\"text\":\"a\"}]}]}"

/* To the account that made it as it was made; to others, or from another owner, not at all. */
static void what_an_account_made_goes_back_to_it_alone(void **state)
{
    struct ai_account ours, others;
    struct ai_marker alice = marker_of("alice"), bob = marker_of("bob");
    (void)state;
    ai_account_of(SLICE("claude"), SLICE("main"), &ours);
    ai_account_of(SLICE("gemini"), SLICE("main"), &others);
    const struct {
        const struct ai_marker *reader;
        const struct ai_account *maker;
        bool restored;
    } rows[] = {{&alice, &ours, true}, {&alice, &others, false}, {&bob, &ours, false}};
    struct slice signature = marked(&alice, &ours, "c2ln"), data = marked(&alice, &ours, "ZGF0YQ");
    struct slice body = arena_printf(arena, SEALED, SLICE_ARG(signature), SLICE_ARG(data));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct ai_changes c = {
            .model = SLICE("m"), .marker = rows[i].reader, .maker = rows[i].maker};
        const struct ai_incoming in = {.body = body, .arena = arena, .marker = rows[i].reader};
        struct slice detail, pieces[AI_REQUEST_PIECES];
        struct ai_request r = {0};
        struct ai_chat chat = {.arena = arena};
        assert_int_equal(anthropic_read_messages(&in, &r, &detail), ERR_OK);
        assert_int_equal(anthropic_splice(&r, body, &c, arena, pieces), ERR_OK);
        assert_true(slice_search(pieces[0], SLICE("_gh")) < 0);
        assert_int_equal(slice_search(pieces[0], SLICE("\"signature\":\"c2ln\"")) > 0,
                         rows[i].restored);
        assert_int_equal(slice_search(pieces[0], SLICE("\"data\":\"ZGF0YQ\"")) > 0,
                         rows[i].restored);
        assert_true(slice_search(pieces[0], SLICE("\"text\":\"a\"")) > 0);

        assert_int_equal(anthropic_parse(&in, &chat), ERR_OK);
        ai_chat_show_made(&chat, slice_str(rows[i].maker->text));
        const struct ai_part *thinking = chat.first->parts.first;
        assert_int_equal(slice_eq(thinking->signature, SLICE("c2ln")), rows[i].restored);
        assert_int_equal(slice_eq(thinking->next->redacted, SLICE("ZGF0YQ")), rows[i].restored);
        assert_true(rows[i].restored || !thinking->signature.len);
        ai_chat_fini(&chat);
    }
}

/* ---- the normal form ---- */

static enum err parse(const char *body, const char *head_text, struct ai_chat *c)
{
    static struct http_head head;
    struct http1_problem problem;
    size_t len;
    memset(&head, 0, sizeof(head));
    if (head_text)
        assert_int_equal(http1_head(HTTP1_REQUEST, slice_str(head_text), &head, &len, &problem),
                         ERR_OK);
    const struct ai_incoming in = {.body = slice_str(body), .head = &head, .arena = arena};
    *c = (struct ai_chat){.arena = arena};
    return anthropic_parse(&in, c);
}

static const struct ai_turn *turn(const struct ai_chat *c, size_t i)
{
    const struct ai_turn *t = c->first;
    while (t && i--)
        t = t->next;
    assert_non_null(t);
    return t;
}

static const struct ai_part *part(const struct ai_turn *t, size_t i)
{
    const struct ai_part *p = t->parts.first;
    while (p && i--)
        p = p->next;
    assert_non_null(p);
    return p;
}

static bool is(struct slice s, const char *text)
{
    return slice_eq(s, slice_str(text));
}

static void a_conversation_is_read_part_by_part(void **state)
{
    struct ai_chat c;
    (void)state;
    assert_int_equal(
        parse("{\"model\":\"m\",\"max_tokens\":64,\"stream\":true,"
              "\"system\":[{\"type\":\"text\",\"text\":\"be kind\",\"cache_control\":"
              "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}],"
              "\"messages\":["
              "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"what is it?\"},"
              "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
              "\"data\":\"AAAA\"}},"
              "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://a/b.png\"}},"
              "{\"type\":\"document\",\"title\":\"t\",\"citations\":{\"enabled\":true},\"source\":"
              "{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"words\"}}]},"
              "{\"role\":\"assistant\",\"content\":["
              "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"},"
              "{\"type\":\"redacted_thinking\",\"data\":\"xyz\"},"
              "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"x\": 1}}]},"
              "{\"role\":\"user\",\"content\":["
              "{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"is_error\":true,\"content\":["
              "{\"type\":\"text\",\"text\":\"bad\"}],\"cache_control\":{\"type\":\"ephemeral\"}},"
              "{\"type\":\"tool_result\",\"tool_use_id\":\"t2\"},"
              "{\"type\":\"text\",\"text\":\"go on\"}]},"
              "{\"role\":\"system\",\"content\":\"now in French\"}]}",
              NULL, &c),
        ERR_OK);
    assert_int_equal(c.turn_count, 5);
    assert_true(c.stream);
    assert_int_equal(c.output_limit, 64);
    assert_int_equal(turn(&c, 0)->role, AI_SYSTEM);
    assert_true(is(part(turn(&c, 0), 0)->text, "be kind"));
    assert_int_equal(part(turn(&c, 0), 0)->cache, AI_CACHE_LONG);

    const struct ai_turn *user = turn(&c, 1);
    assert_int_equal(user->parts.count, 4);
    assert_int_equal(part(user, 1)->kind, AI_PART_IMAGE);
    assert_true(is(part(user, 1)->data, "AAAA") && is(part(user, 1)->media_type, "image/png"));
    assert_true(is(part(user, 2)->url, "https://a/b.png") && !part(user, 2)->data.ptr);
    assert_int_equal(part(user, 3)->kind, AI_PART_FILE);
    assert_true(is(part(user, 3)->text, "words") && is(part(user, 3)->title, "t"));
    assert_true(part(user, 3)->cites);

    const struct ai_turn *model = turn(&c, 2);
    assert_int_equal(model->role, AI_ASSISTANT);
    assert_true(is(part(model, 0)->text, "hm") && is(part(model, 0)->signature, "s"));
    assert_true(is(part(model, 1)->redacted, "xyz"));
    assert_int_equal(part(model, 2)->kind, AI_PART_TOOL_CALL);
    assert_true(is(part(model, 2)->text, "{\"x\":1}") && is(part(model, 2)->id, "t1"));

    const struct ai_turn *results = turn(&c, 3);
    assert_int_equal(part(results, 0)->kind, AI_PART_TOOL_RESULT);
    assert_true(part(results, 0)->is_error && part(results, 0)->inner->count == 1);
    assert_int_equal(part(results, 0)->cache, AI_CACHE_SHORT);
    assert_int_equal(part(results, 1)->inner->count, 0);
    assert_int_equal(turn(&c, 4)->role, AI_SYSTEM);
    assert_null(c.others);
    ai_chat_fini(&c);
}

static void what_shall_be_written_is_read_too(void **state)
{
    struct ai_chat c;
    (void)state;
    assert_int_equal(
        parse("{\"model\":\"m\",\"max_tokens\":64," HI ",\"temperature\":0.5,\"top_p\":1,"
              "\"top_k\":40,\"stop_sequences\":[\"END\",\"\\n\"],\"metadata\":{\"user_id\":\"u\"},"
              "\"service_tier\":\"standard_only\",\"cache_control\":{\"type\":\"ephemeral\"},"
              "\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"},"
              "\"output_config\":{\"effort\":\"max\",\"format\":{\"type\":\"json_schema\","
              "\"schema\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":"
              "{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"]}}},"
              "\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"strict\":true,\"input_schema\":"
              "{\"type\":\"object\"},\"cache_control\":{\"type\":\"ephemeral\"}},"
              "{\"type\":\"custom\",\"name\":\"g\",\"input_schema\":{}}],"
              "\"tool_choice\":{\"type\":\"tool\",\"name\":\"g\","
              "\"disable_parallel_tool_use\":true}}",
              NULL, &c),
        ERR_OK);
    assert_true(c.temperature.set && c.temperature.value == 0.5 && c.top_k.value == 40);
    assert_true(is(c.stops->text, "END") && is(c.last_stop->text, "\n"));
    assert_true(is(c.user, "u"));
    assert_int_equal(c.tier, AI_TIER_STANDARD);
    assert_int_equal(c.effort, AI_EFFORT_MAX);
    assert_false(c.reasoning_shown);
    assert_int_equal(c.format, AI_FORMAT_SCHEMA);
    assert_true(c.format_strict && c.format_schema);
    assert_true(is(c.functions->name, "f") && c.functions->strict && c.functions->schema);
    assert_int_equal(c.functions->cache, AI_CACHE_SHORT);
    assert_true(is(c.last_function->name, "g"));
    assert_int_equal(c.choosing, AI_CHOOSE_ONE);
    assert_true(is(c.chosen, "g") && c.one_call_at_a_time);
    assert_int_equal(part(turn(&c, 0), 0)->cache, AI_CACHE_SHORT);
    ai_chat_fini(&c);
}

static void thinking_becomes_a_budget_or_an_effort(void **state)
{
    static const struct {
        const char *members;
        uint64_t budget;
        enum ai_effort effort;
        bool shown;
    } rows[] = {
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048}", 2048, AI_EFFORT_UNSAID,
         true},
        {"\"thinking\":{\"type\":\"adaptive\"}", 0, AI_EFFORT_MEDIUM, true},
        {"\"thinking\":{\"type\":\"disabled\"}", 0, AI_EFFORT_NONE, false},
        {"\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"low\"}", 0,
         AI_EFFORT_LOW, true},
        {"\"output_config\":{\"effort\":\"xhigh\"}", 0, AI_EFFORT_XHIGH, false},
        {"\"stop_sequences\":[]", 0, AI_EFFORT_UNSAID, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body[512];
        struct ai_chat c;
        snprintf(body, sizeof(body), "{\"model\":\"m\",\"max_tokens\":64," HI ",%s}",
                 rows[i].members);
        assert_int_equal(parse(body, NULL, &c), ERR_OK);
        if (c.reasoning_budget != rows[i].budget || c.effort != rows[i].effort ||
            c.reasoning_shown != rows[i].shown)
            fail_msg("%s: %llu %d %d", rows[i].members, (unsigned long long)c.reasoning_budget,
                     c.effort, c.reasoning_shown);
        ai_chat_fini(&c);
    }
}

/* A schema with optional members is held loosely by providers that have none of these. */
static void a_schema_is_strict_where_others_may_take_it_so(void **state)
{
    static const struct {
        const char *schema;
        bool strict;
    } rows[] = {
        {"{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"],"
         "\"additionalProperties\":false}",
         true},
        {"{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[],"
         "\"additionalProperties\":false}",
         false},
        {"{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"a\"]}", false},
        {"{\"type\":\"array\",\"items\":{\"type\":\"object\"}}", false},
        {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"properties\":{}}]}", false},
        {"{\"type\":\"string\"}", true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body[512];
        struct ai_chat c;
        snprintf(body, sizeof(body),
                 "{\"model\":\"m\",\"max_tokens\":64," HI ",\"output_config\":{\"format\":"
                 "{\"type\":\"json_schema\",\"schema\":%s}}}",
                 rows[i].schema);
        assert_int_equal(parse(body, NULL, &c), ERR_OK);
        if (c.format_strict != rows[i].strict)
            fail_msg("%s: %d", rows[i].schema, c.format_strict);
        ai_chat_fini(&c);
    }
}

static void what_is_malformed_is_refused_by_its_place(void **state)
{
    static const struct {
        const char *members, *param, *why;
    } rows[] = {
        {"\"messages\":[]", "messages", "one message"},
        {"\"messages\":[{\"role\":\"user\",\"content\":1}]", "messages", "messages.0.content"},
        {"\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":["
         "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\"}]}]",
         "messages", "messages.1.content.1"},
        {"\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":"
         "\"base64\"}}]}]",
         "messages", "source"},
        {"\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\","
         "\"name\":\"f\",\"input\":\"x\"}]}]",
         "messages", "input"},
        {HI ",\"system\":1", "system", "string"},
        {HI ",\"tools\":[{\"input_schema\":{}}]", "tools", "name"},
        {HI ",\"tool_choice\":{\"type\":\"tool\"}", "tool_choice", "name"},
        {HI ",\"temperature\":\"1\"", "temperature", "number"},
        {HI ",\"stop_sequences\":[1]", "stop_sequences", "strings"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body[1024];
        struct ai_chat c;
        snprintf(body, sizeof(body), "{\"model\":\"m\",\"max_tokens\":64,%s}", rows[i].members);
        enum err e = parse(body, NULL, &c);
        if (e != ERR_INVALID || strcmp(c.param, rows[i].param) ||
            slice_search(c.why, slice_str(rows[i].why)) < 0)
            fail_msg("%s: %s %s %.*s", rows[i].members, err_name(e), c.param ? c.param : "",
                     SLICE_ARG(c.why));
        ai_chat_fini(&c);
    }
}

/* "+" before the name of what binds */
static void list_others(const struct ai_chat *c, char *out, size_t size)
{
    out[0] = 0;
    for (const struct ai_other *o = c->others; o; o = o->next) {
        size_t n = strlen(out);
        snprintf(out + n, size - n, "%s%s%s", n ? " " : "", o->binds ? "+" : "", o->name);
    }
}

static void what_is_only_anthropics_binds_or_is_named(void **state)
{
    static const struct {
        const char *members, *head, *others;
    } rows[] = {
        {HI, NULL, ""},
        {HI ",\"container\":\"c\"", NULL, "+container"},
        {HI ",\"mcp_servers\":[]", NULL, "+mcp_servers"},
        {HI ",\"context_management\":{\"edits\":[]}", NULL, "context_management"},
        {HI ",\"speed\":\"fast\",\"whatever\":1", NULL, "speed whatever"},
        {HI ",\"speed\":null", NULL, ""},
        {"\"messages\":[{\"role\":\"tool\",\"content\":\"a\"}]", NULL, "+messages"},
        {HI ",\"tool_choice\":{\"type\":\"some\"}", NULL, "+tool_choice"},
        {HI ",\"thinking\":{\"type\":\"enabled\"}", NULL, "+thinking"},
        {HI ",\"output_config\":{\"format\":{\"type\":\"json\"}}", NULL, "+output_config"},
        {HI ",\"a\\r\\nX: y\":1", NULL, "an unknown member"},
        {HI ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]", NULL,
         "+tools"},
        {HI ",\"tools\":[{\"name\":\"f\",\"input_schema\":{},\"eager_input_streaming\":true},"
            "{\"name\":\"g\",\"input_schema\":{},\"eager_input_streaming\":true}]",
         NULL, "eager_input_streaming"},
        {"\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"container_upload\","
         "\"file_id\":\"f\"}]}]",
         NULL, "+messages"},
        {HI,
         "POST /v1/messages HTTP/1.1\r\nHost: h\r\nanthropic-beta: a-2025-01-01, b-2\r\n"
         "Anthropic-Beta: c,a-2025-01-01\r\n\r\n",
         "a-2025-01-01 b-2 c"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char body[1024], others[512];
        struct ai_chat c;
        snprintf(body, sizeof(body), "{\"model\":\"m\",\"max_tokens\":64,%s}", rows[i].members);
        assert_int_equal(parse(body, rows[i].head, &c), ERR_OK);
        list_others(&c, others, sizeof(others));
        if (strcmp(others, rows[i].others))
            fail_msg("%s: %s", rows[i].members, others);
        ai_chat_fini(&c);
    }
}

/* Claude Code's request as it was recorded, shortened: dialects.md 2.10, 25. */
static void claude_codes_request_needs_nothing_that_binds(void **state)
{
    char others[256];
    struct ai_chat c;
    (void)state;
    assert_int_equal(
        parse(
            "{\"model\":\"claude-opus-4-8\",\"max_tokens\":32000,\"stream\":true,\"messages\":["
            "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"<system-reminder>\"},"
            "{\"type\":\"text\",\"text\":\"hi\",\"cache_control\":{\"type\":\"ephemeral\","
            "\"ttl\":\"1h\"}}]},{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":"
            "\"mode changed\"}]}],\"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing"
            "\"},{\"type\":\"text\",\"text\":\"You are Claude Code\",\"cache_control\":"
            "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}],\"tools\":[{\"name\":\"Bash\","
            "\"description\":\"runs\",\"input_schema\":{\"type\":\"object\",\"properties\":{}},"
            "\"eager_input_streaming\":true}],\"metadata\":{\"user_id\":\"{\\\"session_id\\\":"
            "\\\"5\\\"}\"},\"thinking\":{\"type\":\"adaptive\"},\"context_management\":{\"edits\":"
            "[{\"type\":\"clear_thinking_20251015\",\"keep\":\"all\"}]},\"output_config\":"
            "{\"effort\":\"high\"}}",
            "POST /v1/messages HTTP/1.1\r\nHost: h\r\nanthropic-beta: claude-code-20250219,"
            "context-management-2025-06-27\r\n\r\n",
            &c),
        ERR_OK);
    list_others(&c, others, sizeof(others));
    assert_string_equal(others, "eager_input_streaming context_management claude-code-20250219 "
                                "context-management-2025-06-27");
    assert_int_equal(c.turn_count, 3);
    ai_chat_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_body_is_read_or_refused_by_its_member, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(a_session_is_found_where_known_clients_write_it, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(only_the_models_name_is_spliced, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(unsigned_thinking_does_not_go_back, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(what_an_account_made_goes_back_to_it_alone, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(a_conversation_is_read_part_by_part, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(what_shall_be_written_is_read_too, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(thinking_becomes_a_budget_or_an_effort, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(a_schema_is_strict_where_others_may_take_it_so, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(what_is_malformed_is_refused_by_its_place, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(what_is_only_anthropics_binds_or_is_named, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(claude_codes_request_needs_nothing_that_binds, open_arena,
                                        close_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
