/* openai_responses — bodies become turns, events become the event grammar, marks stay with owners.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "dataplane/ai/ai_assembly.h"
#include "dataplane/ai/dialect/openai_responses_body.h"
#include "dataplane/ai/dialect/openai_stored.h"

#define MEMORY (1 << 20)

/* A marker as a policy would make it, without one. */
static struct ai_marker marker_of(const char *owner)
{
    struct ai_marker m = {.ready = true, .owner = slice_str(owner)};
    digest_hmac_ready(SLICE("0123456789abcdef0123456789abcdef"), &m.key);
    return m;
}

static struct ai_account account_of(const char *name)
{
    struct ai_account a;
    ai_account_of(slice_str(name), SLICE("main"), &a);
    return a;
}

static struct slice marked(struct arena *a, const struct ai_marker *m, const char *account,
                           const char *value)
{
    char mark[AI_MARK_LEN];
    struct ai_account by = account_of(account);
    assert_true(ai_mark_write(m, &by, slice_str(value), mark));
    return arena_printf(a, "%s%.*s", value, AI_MARK_LEN, mark);
}

/* ---- bodies ---- */

static const char *kind_name(enum ai_part_kind k)
{
    static const char *const names[] = {
        [AI_PART_TEXT] = "text",          [AI_PART_IMAGE] = "image",
        [AI_PART_AUDIO] = "audio",        [AI_PART_VIDEO] = "video",
        [AI_PART_FILE] = "file",          [AI_PART_TOOL_CALL] = "call",
        [AI_PART_TOOL_RESULT] = "result", [AI_PART_REASONING] = "reasoning",
        [AI_PART_REFUSAL] = "refusal"};
    return names[k];
}

static void describe_parts(const struct ai_part_list *list, struct buf *out)
{
    for (const struct ai_part *p = list->first; p; p = p->next) {
        enum err e = buf_printf(out, "%s%s", p == list->first ? "" : " ", kind_name(p->kind));
        const struct slice texts[] = {p->id,   p->name, p->text,    p->media_type,
                                      p->data, p->url,  p->file_id, p->detail};
        for (size_t i = 0; i < ARRAY_LEN(texts); i++)
            if (!e && texts[i].len)
                e = buf_printf(out, ":%.*s", SLICE_ARG(texts[i]));
        if (!e && p->inner)
            e = buf_append(out, SLICE("("));
        assert_int_equal(e, ERR_OK);
        if (!p->inner)
            continue;
        describe_parts(p->inner, out);
        assert_int_equal(buf_append(out, SLICE(")")), ERR_OK);
    }
}

static void describe(const struct ai_chat *c, struct buf *out)
{
    static const char *const roles[] = {[AI_SYSTEM] = "S", [AI_USER] = "U", [AI_ASSISTANT] = "A"};
    for (const struct ai_turn *t = c->first; t; t = t->next) {
        assert_int_equal(buf_printf(out, "%s[", roles[t->role]), ERR_OK);
        describe_parts(&t->parts, out);
        assert_int_equal(buf_append(out, SLICE("]")), ERR_OK);
    }
    for (const struct ai_function *f = c->functions; f; f = f->next)
        assert_int_equal(buf_printf(out, " fn:%.*s", SLICE_ARG(f->name)), ERR_OK);
    for (const struct ai_other *o = c->others; o; o = o->next)
        assert_int_equal(buf_printf(out, " %s%s", o->binds ? "!" : "~", o->name), ERR_OK);
}

static void expect_parsed(const char *body, const char *expected)
{
    struct arena *a = arena_new(8192, MEMORY);
    const struct ai_incoming in = {.body = slice_str(body), .arena = a};
    struct ai_chat c = {.arena = a, .choices = 1};
    struct ai_request r = {0};
    struct slice detail = SLICE_NONE;
    struct buf out;
    buf_init(&out, MEMORY);
    enum err e = openai_responses_read(&in, &r, &detail);
    if (e == ERR_INVALID)
        e = buf_printf(&out, "unread %s: %.*s", r.param ? r.param : "-", SLICE_ARG(detail));
    else if ((e = openai_responses_parse(&in, &c)) == ERR_INVALID)
        e = buf_printf(&out, "wrong %s: %.*s", c.param ? c.param : "-", SLICE_ARG(c.why));
    else
        describe(&c, &out);
    assert_int_equal(e, ERR_OK);
    if (!slice_eq(buf_slice(&out), slice_str(expected)))
        fail_msg("\n%s\nis %.*s\nexpected %s", body, SLICE_ARG(buf_slice(&out)), expected);
    ai_chat_fini(&c);
    buf_fini(&out);
    arena_free(a);
}

static void bodies_become_turns(void **state)
{
    static const struct {
        const char *body, *expected;
    } rows[] = {
        {"{\"model\":\"m\",\"input\":\"hi\"}", "U[text:hi]"},
        {"{\"model\":\"m\",\"instructions\":\"be kind\",\"input\":[{\"role\":\"user\",\"content\":"
         "\"hi\"}]}",
         "S[text:be kind]U[text:hi]"},
        {"{\"model\":\"m\",\"input\":[{\"type\":\"message\",\"role\":\"developer\",\"content\":[{"
         "\"type\":\"input_text\",\"text\":\"a\"}]},{\"role\":\"user\",\"content\":[{\"type\":"
         "\"input_image\",\"image_url\":\"data:image/png;base64,AAAA\",\"detail\":\"low\"},{"
         "\"type\":\"input_image\",\"image_url\":\"https://x.test/a.png\"},{\"type\":"
         "\"input_file\",\"filename\":\"a.pdf\",\"file_data\":\"data:application/pdf;base64,BBBB\"}"
         ",{\"type\":\"input_file\",\"file_id\":\"file-1\"}]}]}",
         "S[text:a]U[image:image/png:AAAA:low image:https://x.test/a.png "
         "file:a.pdf:application/pdf:BBBB file:file-1]"},
        /* what the model said lies in several items, and its calls may be side by side */
        {"{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"q\"},{\"type\":"
         "\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"a\"},{"
         "\"type\":\"summary_text\",\"text\":\"b\"}]},{\"type\":\"message\",\"id\":\"msg_1\","
         "\"role\":\"assistant\",\"status\":\"completed\",\"content\":[{\"type\":\"output_text\","
         "\"text\":\"t\",\"annotations\":[]}]},{\"type\":\"function_call\",\"call_id\":\"c1\","
         "\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":\"function_call\",\"call_id\":\"c2\","
         "\"name\":\"g\",\"arguments\":\"{\\\"x\\\":1}\"},{\"type\":\"function_call_output\","
         "\"call_id\":\"c1\",\"output\":\"1\"},{\"type\":\"function_call_output\",\"call_id\":"
         "\"c2\",\"output\":[{\"type\":\"input_text\",\"text\":\"2\"}]},{\"role\":\"user\","
         "\"content\":\"r\"}]}",
         "U[text:q]A[reasoning:a\n\nb text:t call:c1:f:{} call:c2:g:{\"x\":1}]"
         "U[result:c1(text:1) result:c2(text:2)]U[text:r]"},
        {"{\"model\":\"m\",\"input\":[{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":"
         "\"assistant\",\"content\":[{\"type\":\"refusal\",\"refusal\":\"no\"}]}]}",
         "A[text:a]A[refusal:no]"},
        {"{\"model\":\"m\",\"input\":\"q\",\"tools\":[{\"type\":\"function\",\"name\":\"f\","
         "\"parameters\":{}},{\"type\":\"web_search\"}],\"metadata\":{\"a\":\"b\"},\"truncation\":"
         "\"auto\",\"store\":false,\"stream_options\":{\"include_obfuscation\":false}}",
         "U[text:q] fn:f !tools[1].type ~metadata ~truncation"},
        {"{\"model\":\"m\",\"input\":\"q\",\"previous_response_id\":\"resp_1\",\"store\":true,"
         "\"background\":true,\"conversation\":\"conv_1\",\"include\":["
         "\"reasoning.encrypted_content\",\"file_search_call.results\"]}",
         "U[text:q] !previous_response_id !store !background !conversation ~include"},
        {"{\"model\":\"m\",\"input\":\"q\",\"previous_response_id\":null,\"background\":false,"
         "\"conversation\":null,\"prompt\":null,\"top_logprobs\":0}",
         "U[text:q]"},
        {"{\"model\":\"m\",\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_1\"}]}",
         " !input[0].type"},
        {"{\"model\":\"m\",\"input\":[{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":"
         "\"\"}]}",
         "wrong input[0].call_id: must be a string"},
        {"{\"model\":\"m\",\"input\":[{\"role\":\"robot\",\"content\":\"x\"}]}",
         "wrong input[0].role: must be user, assistant, system or developer"},
        {"{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}]"
         "}",
         "wrong input[0].content[0].text: must be a string"},
        {"{\"model\":\"m\",\"input\":\"q\",\"reasoning\":{\"effort\":\"most\"}}",
         "wrong reasoning.effort: is no effort that is known here"},
        {"{\"model\":\"m\"}", "unread input: input must be a string or an array"},
        {"{\"input\":\"q\"}", "unread model: model must be the name of a model"},
        {"{\"model\":\"m\",\"input\":\"q\",\"max_output_tokens\":0}",
         "unread max_output_tokens: max_output_tokens must be a positive integer in range"},
        {"{\"model\":\"m\",\"input\":\"q\",\"store\":\"yes\"}",
         "unread store: store must be true or false"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_parsed(rows[i].body, rows[i].expected);
}

static void options_have_their_place(void **state)
{
    struct arena *a = arena_new(8192, MEMORY);
    struct ai_chat c = {.arena = a, .choices = 1};
    const struct ai_incoming in = {
        .body = SLICE("{\"model\":\"m\",\"input\":\"q\",\"max_output_tokens\":9,\"temperature\":"
                      "0.5,\"top_p\":1,\"parallel_tool_calls\":false,\"service_tier\":\"flex\","
                      "\"safety_identifier\":\"u\",\"stream\":true,\"reasoning\":{\"effort\":"
                      "\"xhigh\",\"summary\":\"auto\"},\"text\":{\"verbosity\":\"low\",\"format\":"
                      "{\"type\":\"json_schema\",\"name\":\"n\",\"strict\":true,\"schema\":{"
                      "\"type\":\"object\"}}},\"tool_choice\":{\"type\":\"allowed_tools\","
                      "\"mode\":\"required\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]}}"),
        .arena = a};
    (void)state;
    assert_int_equal(openai_responses_parse(&in, &c), ERR_OK);
    assert_int_equal(c.output_limit, 9);
    assert_true(c.temperature.set && c.temperature.value == 0.5);
    assert_true(c.top_p.set && c.top_p.value == 1);
    assert_true(c.one_call_at_a_time && c.stream);
    assert_int_equal(c.tier, AI_TIER_FLEX);
    assert_int_equal(c.effort, AI_EFFORT_XHIGH);
    assert_true(c.reasoning_shown && c.format_strict && c.format_schema);
    assert_int_equal(c.format, AI_FORMAT_SCHEMA);
    assert_true(slice_eq(c.format_name, SLICE("n")));
    assert_true(slice_eq(c.verbosity, SLICE("low")));
    assert_true(slice_eq(c.user, SLICE("u")));
    assert_int_equal(c.choosing, AI_CHOOSE_ANY);
    assert_true(ai_chat_allows(&c, SLICE("f")));
    assert_false(ai_chat_allows(&c, SLICE("g")));
    assert_null(c.others);
    ai_chat_fini(&c);
    arena_free(a);
}

static void expect_spliced(const char *body, const char *model, uint64_t limit,
                           const char *expected)
{
    struct arena *a = arena_new(8192, MEMORY);
    const struct ai_incoming in = {.body = slice_str(body), .arena = a};
    const struct ai_changes c = {.model = slice_str(model), .output_limit = limit};
    struct slice pieces[AI_REQUEST_PIECES], detail;
    struct ai_request r = {0};
    struct buf out;
    buf_init(&out, MEMORY);
    assert_int_equal(openai_responses_read(&in, &r, &detail), ERR_OK);
    assert_int_equal(openai_responses_splice(&r, in.body, &c, a, pieces), ERR_OK);
    for (size_t i = 0; i < AI_REQUEST_PIECES; i++)
        assert_int_equal(buf_append(&out, pieces[i]), ERR_OK);
    if (!slice_eq(buf_slice(&out), slice_str(expected)))
        fail_msg("\n%.*s\nexpected\n%s", SLICE_ARG(buf_slice(&out)), expected);
    buf_fini(&out);
    arena_free(a);
}

static void the_splice_changes_the_model_and_the_limit(void **state)
{
    (void)state;
    expect_spliced(" {\"model\" : \"m\", \"input\":\"q\"}", "m", 0,
                   " {\"model\" : \"m\", \"input\":\"q\"}");
    expect_spliced("{\"input\":\"q\",\"model\":\"m\"}", "a\"b", 7,
                   "{\"max_output_tokens\":7,\"input\":\"q\",\"model\":\"a\\\"b\"}");
    expect_spliced("{\"max_output_tokens\":null,\"model\":\"m\",\"input\":[]}", "n", 7,
                   "{\"max_output_tokens\":7,\"model\":\"n\",\"input\":[]}");
    expect_spliced("{\"max_output_tokens\":5,\"model\":\"m\",\"input\":[]}", "m", 7,
                   "{\"max_output_tokens\":5,\"model\":\"m\",\"input\":[]}");
}

/* ---- the stream ---- */

struct stream {
    struct ai_writer w;
    struct ai_assembly *whole;
    struct buf out;
};

static void open_stream(struct stream *s)
{
    *s = (struct stream){.w = {.id = SLICE("\"chatcmpl-1\""),
                               .model = SLICE("\"gpt\""),
                               .created = SLICE("5"),
                               .choices = 1}};
    s->whole = ai_assembly_new();
    assert_non_null(s->whole);
    s->w.whole = s->whole;
    buf_init(&s->out, MEMORY);
}

static void close_stream(struct stream *s)
{
    ai_assembly_free(s->whole);
    buf_fini(&s->out);
}

static void say(struct stream *s, struct ai_event e)
{
    if (e.kind != AI_ERROR)
        assert_int_equal(ai_assembly_add(s->whole, &e), ERR_OK);
    assert_int_equal(dialect_openai_responses.write_event(&s->w, &e, &s->out), ERR_OK);
}

/* The types of all events in their order; each has the next number, and its type as its name. */
static void list_events(const struct stream *s, struct buf *types, json_t **last)
{
    struct slice rest = buf_slice(&s->out), line, name = SLICE_NONE;
    struct json_problem problem;
    json_int_t next = 0;
    *last = NULL;
    while (slice_split(&rest, '\n', &line)) {
        if (slice_starts(line, SLICE("event: ")))
            name = slice_from(line, 7);
        if (!slice_starts(line, SLICE("data: ")))
            continue;
        json_decref(*last);
        if (json_read(slice_from(line, 6), last, &problem))
            fail_msg("%s: %.*s", problem.text, SLICE_ARG(line));
        assert_true(slice_eq(name, json_text(*last, "type")));
        assert_int_equal(json_integer_value(json_object_get(*last, "sequence_number")), next++);
        assert_int_equal(buf_printf(types, "%s%.*s", types->len ? " " : "", SLICE_ARG(name)),
                         ERR_OK);
    }
}

static void expect_types(const struct stream *s, const char *expected)
{
    struct buf types;
    json_t *last;
    buf_init(&types, MEMORY);
    list_events(s, &types, &last);
    if (!slice_eq(buf_slice(&types), slice_str(expected)))
        fail_msg("\n%.*s\nexpected\n%s", SLICE_ARG(buf_slice(&types)), expected);
    json_decref(last);
    buf_fini(&types);
}

static void expect_last(const struct stream *s, const char *member, const char *expected)
{
    struct buf types;
    json_t *last;
    buf_init(&types, MEMORY);
    list_events(s, &types, &last);
    const json_t *v = json_object_get(json_object_get(last, "response"), member);
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (!text || strcmp(text, expected) != 0)
        fail_msg("%s is %s\nexpected %s", member, text ? text : "absent", expected);
    free(text);
    json_decref(last);
    buf_fini(&types);
}

#define BEGIN "response.created response.in_progress"
#define TEXT_BEGINS "response.output_item.added response.content_part.added"
#define TEXT_ENDS "response.output_text.done response.content_part.done response.output_item.done"

static void text_has_the_whole_event_grammar(void **state)
{
    struct stream s;
    (void)state;
    open_stream(&s);
    say(&s, (struct ai_event){.kind = AI_START});
    say(&s, (struct ai_event){.kind = AI_TEXT, .text = SLICE("he")});
    say(&s, (struct ai_event){.kind = AI_TEXT, .text = SLICE("y")});
    say(&s, (struct ai_event){.kind = AI_FINISH, .finish = AI_FINISH_STOP});
    s.w.usage = (struct token_count){.input = 10, .cache_read = 4, .output = 3, .reasoning = 1};
    say(&s, (struct ai_event){.kind = AI_END});
    expect_types(&s, BEGIN " " TEXT_BEGINS
                           " response.output_text.delta response.output_text.delta " TEXT_ENDS
                           " response.completed");
    expect_last(&s, "status", "\"completed\"");
    expect_last(&s, "output",
                "[{\"id\":\"msg_chatcmpl-1_0\",\"type\":\"message\",\"status\":\"completed\","
                "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"hey\","
                "\"annotations\":[],\"logprobs\":[]}]}]");
    expect_last(&s, "usage",
                "{\"input_tokens\":10,\"input_tokens_details\":{\"cached_tokens\":4,"
                "\"cache_write_tokens\":0},\"output_tokens\":3,\"output_tokens_details\":{"
                "\"reasoning_tokens\":1},\"total_tokens\":13}");
    close_stream(&s);
}

static void calls_may_be_open_side_by_side(void **state)
{
    struct stream s;
    (void)state;
    open_stream(&s);
    say(&s, (struct ai_event){.kind = AI_START});
    say(&s, (struct ai_event){.kind = AI_TEXT, .text = SLICE("t")});
    say(&s,
        (struct ai_event){.kind = AI_TOOL_START, .block = 1, .id = SLICE("a"), .name = SLICE("f")});
    say(&s, (struct ai_event){.kind = AI_TOOL_ARGUMENTS, .block = 1, .text = SLICE("{\"x\":")});
    say(&s,
        (struct ai_event){.kind = AI_TOOL_START, .block = 2, .id = SLICE("b"), .name = SLICE("g")});
    say(&s, (struct ai_event){.kind = AI_TOOL_ARGUMENTS, .block = 2, .text = SLICE("{}")});
    say(&s, (struct ai_event){.kind = AI_TOOL_ARGUMENTS, .block = 1, .text = SLICE("1}")});
    say(&s, (struct ai_event){.kind = AI_FINISH, .finish = AI_FINISH_TOOLS});
    say(&s, (struct ai_event){.kind = AI_END});
#define ARGUMENTS "response.function_call_arguments."
    expect_types(&s, BEGIN " " TEXT_BEGINS " response.output_text.delta " TEXT_ENDS
                           " response.output_item.added " ARGUMENTS "delta"
                           " response.output_item.added " ARGUMENTS "delta " ARGUMENTS
                           "delta " ARGUMENTS "done response.output_item.done " ARGUMENTS
                           "done response.output_item.done response.completed");
    expect_last(&s, "output",
                "[{\"id\":\"msg_chatcmpl-1_0\",\"type\":\"message\",\"status\":\"completed\","
                "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"t\","
                "\"annotations\":[],\"logprobs\":[]}]},{\"id\":\"fc_chatcmpl-1_1\",\"type\":"
                "\"function_call\",\"status\":\"completed\",\"call_id\":\"a\",\"name\":\"f\","
                "\"arguments\":\"{\\\"x\\\":1}\"},{\"id\":\"fc_chatcmpl-1_2\",\"type\":"
                "\"function_call\",\"status\":\"completed\",\"call_id\":\"b\",\"name\":\"g\","
                "\"arguments\":\"{}\"}]");
    close_stream(&s);
}

static void reasoning_is_a_summary_and_comes_back_to_its_account(void **state)
{
    struct stream s;
    struct arena *a = arena_new(8192, MEMORY);
    struct ai_marker alice = marker_of("alice"), bob = marker_of("bob");
    struct openai_signature got;
    struct buf types;
    json_t *last;
    (void)state;
    open_stream(&s);
    s.w.to = (struct ai_context){.marker = &alice, .account = account_of("anthropic")};
    say(&s, (struct ai_event){.kind = AI_START});
    say(&s, (struct ai_event){.kind = AI_REASONING, .text = SLICE("hm")});
    say(&s, (struct ai_event){.kind = AI_REASONING, .signature = SLICE("c2ln")});
    say(&s, (struct ai_event){.kind = AI_BLOCK_END});
    say(&s, (struct ai_event){.kind = AI_REASONING, .block = 1, .id = SLICE("c2VjcmV0")});
    say(&s, (struct ai_event){.kind = AI_TEXT, .block = 2, .text = SLICE("t")});
    say(&s, (struct ai_event){.kind = AI_FINISH, .finish = AI_FINISH_LENGTH});
    say(&s, (struct ai_event){.kind = AI_END});
#define SUMMARY "response.reasoning_summary_"
    expect_types(&s, BEGIN " response.output_item.added " SUMMARY "part.added " SUMMARY
                           "text.delta " SUMMARY "text.done " SUMMARY
                           "part.done response.output_item.done response.output_item.added "
                           "response.output_item.done " TEXT_BEGINS
                           " response.output_text.delta " TEXT_ENDS " response.incomplete");
    expect_last(&s, "incomplete_details", "{\"reason\":\"max_output_tokens\"}");
    buf_init(&types, MEMORY);
    list_events(&s, &types, &last);
    const json_t *output = json_object_get(json_object_get(last, "response"), "output");
    struct slice sealed = json_text(json_array_get(output, 0), "encrypted_content");
    assert_int_equal(openai_signature_read(&alice, sealed, a, &got), ERR_OK);
    assert_true(slice_eq(got.signature, SLICE("c2ln")));
    struct ai_account by = account_of("anthropic");
    assert_true(slice_eq(got.maker, slice_str(by.text)));
    assert_int_equal(openai_signature_read(&bob, sealed, a, &got), ERR_OK);
    assert_false(got.signature.len);
    sealed = json_text(json_array_get(output, 1), "encrypted_content");
    assert_int_equal(openai_signature_read(&alice, sealed, a, &got), ERR_OK);
    assert_true(slice_eq(got.redacted, SLICE("c2VjcmV0")));
    json_decref(last);
    buf_fini(&types);
    arena_free(a);
    close_stream(&s);
}

static void a_stream_that_fails_says_so_in_both_forms(void **state)
{
    struct stream s;
    struct buf types;
    json_t *last;
    (void)state;
    open_stream(&s);
    say(&s, (struct ai_event){.kind = AI_START});
    say(&s, (struct ai_event){.kind = AI_TEXT, .text = SLICE("t")});
    say(&s, (struct ai_event){.kind = AI_ERROR, .text = SLICE("overloaded"), .name = SLICE("c")});
    buf_init(&types, MEMORY);
    list_events(&s, &types, &last);
    assert_true(slice_ends(buf_slice(&types), SLICE(" error")));
    assert_true(slice_eq(json_text(last, "message"), SLICE("overloaded")));
    assert_true(
        slice_eq(json_text(json_object_get(last, "error"), "message"), SLICE("overloaded")));
    json_decref(last);
    buf_fini(&types);
    close_stream(&s);
}

static void a_stream_ended_at_its_reservation_is_incomplete(void **state)
{
    struct stream s;
    const struct token_count so_far = {.input = 1, .output = 2};
    (void)state;
    open_stream(&s);
    say(&s, (struct ai_event){.kind = AI_START});
    say(&s, (struct ai_event){.kind = AI_TEXT, .text = SLICE("t")});
    assert_int_equal(dialect_openai_responses.write_length_stop(&s.w, &so_far, &s.out), ERR_OK);
    expect_types(&s, BEGIN " " TEXT_BEGINS " response.output_text.delta " TEXT_ENDS
                           " response.incomplete");
    close_stream(&s);
}

/* ---- marks ---- */

static void expect_items(const struct ai_marker *m, const char *account, struct slice items,
                         enum err expected, const char *text)
{
    struct arena *a = arena_new(8192, MEMORY);
    struct ai_account to = account_of(account);
    struct buf out;
    buf_init(&out, MEMORY);
    struct openai_unmarking u = {.marker = m, .account = &to, .arena = a, .out = &out};
    enum err e = openai_unmark_items(&u, items);
    if (e != expected || (!e && !slice_eq(buf_slice(&out), slice_str(text))))
        fail_msg("\n%.*s\nis %s %.*s\nexpected %s", SLICE_ARG(items), err_name(e),
                 SLICE_ARG(buf_slice(&out)), text);
    if (e == ERR_OK && slice_eq(items, slice_str(text)))
        assert_true(openai_items_are_plain(&u, items));
    else
        assert_false(openai_items_are_plain(&u, items));
    buf_fini(&out);
    arena_free(a);
}

static void ids_and_encrypted_contents_go_to_their_account_alone(void **state)
{
    struct arena *a = arena_new(8192, MEMORY);
    struct ai_marker alice = marker_of("alice"), bob = marker_of("bob");
    struct slice id = marked(a, &alice, "one", "msg_1"), sealed = marked(a, &alice, "one", "gAAA");
    (void)state;
    struct slice reference =
        arena_printf(a, "[{\"type\":\"item_reference\",\"id\":\"%.*s\"}]", SLICE_ARG(id));
    expect_items(&alice, "one", reference, ERR_OK,
                 "[{\"type\":\"item_reference\",\"id\":\"msg_1\"}]");
    expect_items(&alice, "two", reference, ERR_NOT_FOUND, "");
    expect_items(&bob, "one", reference, ERR_NOT_FOUND, "");
    expect_items(&alice, "one", SLICE("[{\"type\":\"item_reference\",\"id\":\"msg_1\"}]"),
                 ERR_NOT_FOUND, "");
    expect_items(&alice, "one", SLICE("[{\"type\":\"item\\u005freference\",\"id\":\"msg_1\"}]"),
                 ERR_NOT_FOUND, "");

    struct slice reasoning =
        arena_printf(a,
                     "[{\"type\":\"message\",\"role\":\"user\",\"content\":\"q\"},{\"type\":"
                     "\"reasoning\",\"id\":\"%.*s\",\"summary\":[],\"encrypted_content\":\"%.*s\"}"
                     "]",
                     SLICE_ARG(id), SLICE_ARG(sealed));
    expect_items(&alice, "one", reasoning, ERR_OK,
                 "[{\"type\":\"message\",\"role\":\"user\",\"content\":\"q\"},{\"type\":"
                 "\"reasoning\",\"id\":\"msg_1\",\"summary\":[],\"encrypted_content\":\"gAAA\"}]");
    expect_items(&alice, "two", reasoning, ERR_OK,
                 "[{\"type\":\"message\",\"role\":\"user\",\"content\":\"q\"}]");
    expect_items(&bob, "one", reasoning, ERR_OK,
                 "[{\"type\":\"message\",\"role\":\"user\",\"content\":\"q\"}]");

    struct slice message = arena_printf(
        a, "[{\"id\":\"%.*s\",\"role\":\"assistant\",\"content\":\"t\"}]", SLICE_ARG(id));
    expect_items(&alice, "one", message, ERR_OK,
                 "[{\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":\"t\"}]");
    expect_items(&alice, "two", message, ERR_OK, "[{\"role\":\"assistant\",\"content\":\"t\"}]");
    struct slice last = arena_printf(
        a, "[{\"role\":\"assistant\",\"content\":\"t\" , \"id\":\"%.*s\" }]", SLICE_ARG(id));
    expect_items(&alice, "two", last, ERR_OK, "[{\"role\":\"assistant\",\"content\":\"t\"  }]");

    /* what is not ours: complete items keep their labels, the others are looked up by them */
    static const char *const plain[] = {
        "[{\"type\":\"message\",\"id\":\"msg_9\",\"role\":\"assistant\",\"content\":\"t\"}]",
        "[{\"type\":\"reasoning\",\"id\":\"rs_9\",\"summary\":[],\"encrypted_content\":\"gAAA\"}]",
        "[{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":null}]",
        "[\"text\", {\"a\":1}]",
    };
    for (size_t i = 0; i < 3; i++)
        expect_items(&alice, "one", slice_str(plain[i]), ERR_OK, plain[i]);
    expect_items(&alice, "one", SLICE("[{\"type\":\"reasoning\",\"id\":\"rs_9\",\"summary\":[]}]"),
                 ERR_OK, "[]");
    expect_items(&alice, "one",
                 SLICE("[{\"type\":\"image_generation_call\",\"id\":\"ig_9\",\"x\":1}]"), ERR_OK,
                 "[{\"type\":\"image_generation_call\",\"x\":1}]");
    arena_free(a);
}

static void what_is_kept_goes_out_marked(void **state)
{
    static const struct {
        const char *raw;
        unsigned marks_stored, marks;
    } rows[] = {
        {"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":"
         "\"resp_1\",\"previous_response_id\":\"resp_0\",\"output\":[]}}\n\n",
         2, 0},
        {"data: {\"item_id\":\"msg_1\",\"type\":\"response.output_text.delta\",\"delta\":\"x\"}"
         "\r\n\r\n",
         1, 0},
        {"data: {\"item\":{\"id\":\"rs_1\",\"encrypted_content\":\"gAAA\"}}\n\n", 2, 1},
        {"data: {\"response\":{\"output\":[{\"id\":\"a\"},{\"encrypted_content\":\"b\",\"id\":"
         "\"c\"}],\"id\":\"d\"}}\n\n",
         4, 1},
        {": comment\n\n", 0, 0},
        {"data: [DONE]\n\n", 0, 0},
    };
    struct ai_marker alice = marker_of("alice");
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (unsigned stored = 0; stored < 2; stored++) {
            const struct ai_context to = {
                .marker = &alice, .account = account_of("one"), .stored = stored};
            struct slice raw = slice_str(rows[i].raw);
            struct buf out;
            buf_init(&out, MEMORY);
            assert_int_equal(openai_stored_mark_event(&to, raw, &out), ERR_OK);
            size_t added = (stored ? rows[i].marks_stored : rows[i].marks) * AI_MARK_LEN;
            if (out.len != raw.len + added)
                fail_msg("stored %u: %.*s", stored, SLICE_ARG(buf_slice(&out)));
            buf_fini(&out);
        }
}

static void a_whole_response_holds_what_was_requested(void **state)
{
    struct arena *a = arena_new(8192, MEMORY);
    const struct ai_incoming in = {
        .body = SLICE("{\"model\":\"m\",\"input\":\"q\",\"temperature\":0.5,\"tools\":[{\"type\":"
                      "\"function\",\"name\":\"f\"}],\"metadata\":{\"a\":\"b\"}}"),
        .arena = a};
    struct ai_request r = {0};
    struct slice detail;
    struct json_problem problem;
    struct buf out;
    struct ai_assembly *whole = ai_assembly_new();
    (void)state;
    buf_init(&out, MEMORY);
    assert_int_equal(openai_responses_read(&in, &r, &detail), ERR_OK);
    const struct ai_event said[] = {{.kind = AI_START, .id = SLICE("x/1"), .name = SLICE("g\"p")},
                                    {.kind = AI_REFUSAL, .text = SLICE("no")},
                                    {.kind = AI_FINISH, .finish = AI_FINISH_FILTER}};
    for (size_t i = 0; i < ARRAY_LEN(said); i++)
        assert_int_equal(ai_assembly_add(whole, &said[i]), ERR_OK);
    whole->to.request = &r;
    assert_int_equal(dialect_openai_responses.write_whole(whole, &out), ERR_OK);
    JSON_AUTO json_t *got = NULL;
    if (json_read(buf_slice(&out), &got, &problem))
        fail_msg("%s: %.*s", problem.text, SLICE_ARG(buf_slice(&out)));
    assert_true(slice_eq(json_text(got, "id"), SLICE("resp_x1")));
    assert_true(slice_eq(json_text(got, "model"), SLICE("g\"p")));
    assert_true(slice_eq(json_text(got, "status"), SLICE("incomplete")));
    assert_int_equal(json_array_size(json_object_get(got, "tools")), 1);
    assert_true(json_number_value(json_object_get(got, "temperature")) == 0.5);
    assert_true(slice_eq(json_text(json_object_get(got, "metadata"), "a"), SLICE("b")));
    assert_true(json_is_true(json_object_get(got, "parallel_tool_calls")));
    const json_t *part = json_array_get(
        json_object_get(json_array_get(json_object_get(got, "output"), 0), "content"), 0);
    assert_true(slice_eq(json_text(part, "refusal"), SLICE("no")));
    ai_assembly_free(whole);
    buf_fini(&out);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_become_turns),
        cmocka_unit_test(options_have_their_place),
        cmocka_unit_test(the_splice_changes_the_model_and_the_limit),
        cmocka_unit_test(text_has_the_whole_event_grammar),
        cmocka_unit_test(calls_may_be_open_side_by_side),
        cmocka_unit_test(reasoning_is_a_summary_and_comes_back_to_its_account),
        cmocka_unit_test(a_stream_that_fails_says_so_in_both_forms),
        cmocka_unit_test(a_stream_ended_at_its_reservation_is_incomplete),
        cmocka_unit_test(ids_and_encrypted_contents_go_to_their_account_alone),
        cmocka_unit_test(what_is_kept_goes_out_marked),
        cmocka_unit_test(a_whole_response_holds_what_was_requested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
