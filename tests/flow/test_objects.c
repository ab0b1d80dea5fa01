/* objects — what OpenAI keeps is its maker's alone: responses, files, batches. */
#include "tests/kit/flow/flow.h"

#include "common/base/json.h"
#include "common/policy/kept_list.h"

static const struct flow_policy policy = {
    .providers = {{.dialect = "openai"}, {.dialect = "openai"}},
    .keys = {{.name = "alice", .models = {"gpt", "mini"}},
             {.name = "bob", .models = {"gpt"}},
             {.name = "carl", .models = {"gpt"}, .budget = MONEY_DOLLAR}},
    .models = {{.name = "gpt", .target_model = "gpt-x", .upstreams = {0}, .upstream_count = 1},
               {.name = "mini", .target_model = "mini-x", .upstreams = {1}, .upstream_count = 1}},
};

static char *id_of(struct flow_client *c)
{
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    static char id[2][256];
    static size_t turn;
    if (json_read(buf_slice(&c->body), &tree, &problem))
        fail_msg("not JSON: %.*s", SLICE_ARG(buf_slice(&c->body)));
    char *to = id[turn++ % 2];
    snprintf(to, sizeof(id[0]), "%.*s", SLICE_ARG(json_text(tree, "id")));
    return to;
}

static struct flow_client *asks(struct flow *k, const char *method, const char *key,
                                const char *format, const char *id)
{
    char path[512];
    snprintf(path, sizeof(path), format, id);
    return client_asks(k, method, key, path, NULL);
}

static const char *calls_for(const struct flow *k, size_t i)
{
    static char line[256];
    struct slice head = k->upstreams[0].calls[i].head;
    ptrdiff_t end = slice_search(head, SLICE(" HTTP/1.1"));
    snprintf(line, sizeof(line), "%.*s", (int)end, head.ptr);
    return line;
}

#define RESPONSE                                                                                   \
    "{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"model\":\"gpt-x\","     \
    "\"output\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}"

FLOW(a_kept_response_is_read_cancelled_and_deleted_by_its_maker_alone)
{
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, RESPONSE);
    struct flow_client *c =
        client_posts(k, "alice", "/v1/responses", NULL, "{\"model\":\"gpt\",\"input\":\"q\"}");
    expect_status(c, 200);
    const char *id = id_of(c);

    c = asks(k, "GET", "alice", "/v1/responses/%s", id);
    expect_status(c, 200);
    assert_string_equal(calls_for(k, 1), "GET /v1/responses/resp_1");
    assert_string_equal(id_of(c), id);
    expect_status(asks(k, "GET", "alice", "/v1/responses/%s/input_items?limit=2", id), 200);
    assert_string_equal(calls_for(k, 2), "GET /v1/responses/resp_1/input_items?limit=2");
    expect_status(asks(k, "POST", "alice", "/v1/responses/%s/cancel", id), 200);
    assert_string_equal(calls_for(k, 3), "POST /v1/responses/resp_1/cancel");
    expect_status(asks(k, "DELETE", "alice", "/v1/responses/%s", id), 200);
    assert_string_equal(calls_for(k, 4), "DELETE /v1/responses/resp_1");

    static const char *const paths[][2] = {{"GET", "/v1/responses/%s"},
                                           {"GET", "/v1/responses/%s/input_items"},
                                           {"POST", "/v1/responses/%s/cancel"},
                                           {"DELETE", "/v1/responses/%s"}};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        expect_status(asks(k, paths[i][0], "bob", paths[i][1], id), 404);
        expect_status(asks(k, paths[i][0], "alice", paths[i][1], "resp_1"), 404);
    }
    assert_int_equal(k->upstreams[0].call_count, 5);
}

static struct flow_client *uploads(struct flow *k, const char *key, const char *purpose,
                                   const char *content)
{
    char request[4096], body[2048];
    snprintf(body, sizeof(body),
             "--xyz\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n%s\r\n"
             "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n%s\r\n"
             "--xyz--\r\n",
             purpose, content);
    snprintf(request, sizeof(request),
             "POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: multipart/form-data; boundary=xyz\r\nContent-Length: %zu\r\n\r\n%s",
             flow_secret(k, key), strlen(body), body);
    return client_says(k, request);
}

#define LINE(model, url)                                                                           \
    "{\"custom_id\":\"1\",\"method\":\"POST\",\"url\":\"" url "\",\"body\":{\"model\":\"" model    \
    "\",\"messages\":[]}}"

FLOW(a_file_and_its_batch_are_their_makers)
{
    char body[512];
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, "{\"id\":\"file-1\",\"object\":\"file\",\"purpose\":\"batch\"}");
    struct flow_client *c =
        uploads(k, "alice", "batch",
                LINE("gpt", "/v1/chat/completions") "\n" LINE("gpt", "/v1/embeddings"));
    expect_status(c, 200);
    const char *id = id_of(c);
    assert_true(slice_search(k->upstreams[0].calls[0].body,
                             SLICE("\r\n\r\n" LINE("gpt-x", "/v1/chat/completions") "\n" LINE(
                                 "gpt-x", "/v1/embeddings") "\r\n--xyz--\r\n")) >= 0);

    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"batch_1\",\"object\":\"batch\",\"input_file_id\":"
                     "\"file-1\",\"output_file_id\":\"file-2\",\"error_file_id\":null}");
    snprintf(body, sizeof(body),
             "{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/chat/completions\","
             "\"completion_window\":\"24h\"}",
             id);
    expect_status(client_posts(k, "bob", "/v1/batches", NULL, body), 404);
    c = client_posts(k, "alice", "/v1/batches", NULL, body);
    expect_status(c, 200);
    assert_true(
        slice_search(k->upstreams[0].calls[1].body, SLICE("\"input_file_id\":\"file-1\"")) >= 0);
    struct json_problem problem;
    JSON_AUTO json_t *batch = NULL;
    assert_int_equal(json_read(buf_slice(&c->body), &batch, &problem), ERR_OK);
    assert_true(slice_eq(json_text(batch, "input_file_id"), slice_str(id)));
    char output[256];
    snprintf(output, sizeof(output), "%.*s", SLICE_ARG(json_text(batch, "output_file_id")));

    upstream_forget_script(k, 0);
    upstream_answers_with(k, 0, 200, "Content-Type: application/octet-stream\r\n",
                          "{\"id\":\"x\"}");
    expect_status(asks(k, "GET", "bob", "/v1/files/%s/content", output), 404);
    c = asks(k, "GET", "alice", "/v1/files/%s/content", output);
    expect_status(c, 200);
    expect_body(c, "{\"id\":\"x\"}");
    assert_string_equal(calls_for(k, 2), "GET /v1/files/file-2/content");
    /* every method of a path is named, in the rows' order */
    c = client_asks(k, "PUT", "alice", "/v1/files/file-1", NULL);
    expect_status(c, 405);
    expect_body_has(c, "this path takes GET, DELETE");
    assert_true(slice_eq(client_header(c, "allow"), SLICE("GET, DELETE")));
    assert_int_equal(k->upstreams[0].call_count, 3);
}

/* A file is named by what its upload gave, in a response and in a chat; another's is unknown. */
FLOW(a_file_is_named_by_its_maker_alone)
{
#define BY_RESPONSE                                                                                \
    "{\"model\":\"gpt\",\"store\":false,\"input\":[{\"role\":\"user\",\"content\":[{\"type\":"     \
    "\"input_file\",\"file_id\":\"%s\"},{\"type\":\"input_text\",\"text\":\"q\"}]}]}"
#define BY_CHAT                                                                                    \
    "{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\","         \
    "\"file\":{"                                                                                   \
    "\"file_id\":\"%s\"}},{\"type\":\"text\",\"text\":\"q\"}]}]}"
    static const struct {
        const char *path, *body, *param;
    } rows[] = {{"/v1/responses", BY_RESPONSE, "input[0].content[0].file_id"},
                {"/v1/chat/completions", BY_CHAT, "messages[0].content[0].file.file_id"}};
    char body[1024], expected[1024], param[128];
    policy_says(k, &policy);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"file-1\",\"object\":\"file\",\"purpose\":\"user_data\"}");
    struct flow_client *c = uploads(k, "alice", "user_data", "text");
    expect_status(c, 200);
    const char *id = id_of(c);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(param, sizeof(param), "\"param\":\"%s\"", rows[i].param);
        snprintf(body, sizeof(body), rows[i].body, id);
        snprintf(expected, sizeof(expected), rows[i].body, "file-1");
        upstream_forget_script(k, 0);
        upstream_answers(
            k, 0, 200,
            i ? "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{"
                "\"role\":\"assistant\",\"content\":\"a\"},\"finish_reason\":\"stop\"}]}"
              : RESPONSE);
        expect_status(client_posts(k, "alice", rows[i].path, NULL, body), 200);
        struct slice sent = k->upstreams[0].calls[1 + i].body;
        ptrdiff_t at = slice_search(slice_str(expected), SLICE("[{"));
        assert_true(slice_ends(sent, slice_from(slice_str(expected), (size_t)at)));

        c = client_posts(k, "bob", rows[i].path, NULL, body);
        expect_status(c, 400);
        expect_body_has(c, param);
        c = client_posts(k, "alice", rows[i].path, NULL, expected);
        expect_status(c, 400);
        expect_body_has(c, param);
    }
    assert_int_equal(k->upstreams[0].call_count, 3);
}

/* A batch asks for models as a call does. */
FLOW(a_batch_whose_lines_are_not_granted_is_refused)
{
    static const struct {
        const char *key, *content;
    } rows[] = {
        {"bob", LINE("mini", "/v1/chat/completions")},   /* not granted */
        {"alice", LINE("mini", "/v1/chat/completions")}, /* another account's */
        {"alice", LINE("gpt-x", "/v1/chat/completions")},
        {"alice", LINE("gpt", "/v1/responses")},
        {"alice", LINE("gpt", "/v1/chat/completions") "\nno json"},
        {"alice", "{\"url\":\"/v1/embeddings\",\"body\":{}}"},
    };
    policy_says(k, &policy);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_status(uploads(k, rows[i].key, "batch", rows[i].content), 400);
    assert_int_equal(k->upstreams[0].call_count, 0);
}

static char *in_eu[] = {"eu"};

static void is_in_eu(Gatehouse__Team *t)
{
    t->n_regions = 1;
    t->regions = in_eu;
}

static void serves_in_eu(Gatehouse__Model *m)
{
    m->targets[0]->region = "eu";
}

static void serves_in_us(Gatehouse__Model *m)
{
    m->targets[0]->region = "us";
}

static void has_a_price_ceiling(Gatehouse__Model *m)
{
    m->targets[0]->region = "eu";
    m->has_max_price_input = true;
    m->max_price_input = 1;
}

static void is_a_shadow(Gatehouse__Model *m)
{
    m->targets[0]->region = "eu";
    m->targets[0]->has_shadow_permille = true;
    m->targets[0]->shadow_permille = 100;
}

/* What the rules of a model's target forbid a call, no line of a batch gets either. */
FLOW(a_batch_keeps_to_the_rules_of_its_lines_models)
{
    struct flow_policy p = {
        .keys = {{.name = "alice", .team = "sales", .models = {"gpt", "far", "dear", "shadow"}}},
        .teams = {{.name = "sales", .models = {"*"}, .also = is_in_eu}},
        .models =
            {{.name = "gpt", .target_model = "gpt-x", .upstream_count = 1, .also = serves_in_eu},
             {.name = "far", .upstream_count = 1, .also = serves_in_us},
             {.name = "dear", .upstream_count = 1, .also = has_a_price_ceiling},
             {.name = "shadow", .upstream_count = 1, .also = is_a_shadow}},
    };
    policy_says(k, &p);
    upstream_answers(k, 0, 200, "{\"id\":\"file-1\",\"object\":\"file\",\"purpose\":\"batch\"}");
    expect_status(uploads(k, "alice", "batch", LINE("gpt", "/v1/chat/completions")), 200);
    static const char *const lines[] = {LINE("far", "/v1/chat/completions"),
                                        LINE("dear", "/v1/chat/completions"),
                                        LINE("shadow", "/v1/chat/completions")};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        expect_status(uploads(k, "alice", "batch", lines[i]), 400);
    assert_int_equal(k->upstreams[0].call_count, 1);
}

FLOW(a_batch_is_refused_under_a_budget)
{
    char body[512];
    policy_says(k, &policy);
    upstream_answers(k, 0, 200, "{\"id\":\"file-1\",\"object\":\"file\",\"purpose\":\"batch\"}");
    struct flow_client *c = uploads(k, "carl", "batch", LINE("gpt", "/v1/embeddings"));
    expect_status(c, 200);
    snprintf(body, sizeof(body), "{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/embeddings\"}",
             id_of(c));
    c = client_posts(k, "carl", "/v1/batches", NULL, body);
    expect_status(c, 400);
    expect_code(c, "unbounded_cost");
    assert_int_equal(k->upstreams[0].call_count, 1);
}

/* ---- lists ---- */

/* A control plane: it takes in what the journal says, and lists it, the newest first. Its own rules
 * are db.test_channel's. */
static struct {
    struct kept_row {
        char owner[ID_MAX], kind[KEPT_KIND_MAX];
        struct kept_object object;
        bool gone;
    } rows[32];
    size_t count, asked;
    enum err error;
    bool silent;
    struct kept_list *held;
} kept;

static void take_in(struct flow *k)
{
    Gatehouse__JournalRecord *r;
    while ((r = flow_record(k))) {
        for (size_t i = 0; i < r->n_kept; i++) {
            const Gatehouse__KeptObject *o = r->kept[i];
            size_t at = 0;
            while (at < kept.count && (strcmp(kept.rows[at].object.id, o->id) != 0 ||
                                       strcmp(kept.rows[at].owner, o->owner) != 0))
                at++;
            struct kept_row *row = &kept.rows[at];
            snprintf(row->owner, sizeof(row->owner), "%s", o->owner);
            snprintf(row->kind, sizeof(row->kind), "%s", o->kind);
            snprintf(row->object.account, sizeof(row->object.account), "%s", o->account);
            snprintf(row->object.id, sizeof(row->object.id), "%s", o->id);
            row->gone = row->gone || o->gone;
            kept.count += at == kept.count;
        }
        flow_record_free(r);
    }
}

static void fill(struct kept_list *l)
{
    bool behind = !l->after.id[0];
    l->error = kept.error;
    l->more = false;
    l->count = 0;
    for (size_t i = 0; i < kept.count; i++) {
        const struct kept_row *row = &kept.rows[l->ascending ? i : kept.count - 1 - i];
        bool fits = behind && !row->gone && strcmp(row->owner, l->owner) == 0 &&
                    strcmp(row->kind, l->kind) == 0;
        if (fits && l->count == l->limit)
            l->more = true;
        else if (fits)
            l->objects[l->count++] = row->object;
        behind = behind || strcmp(row->object.id, l->after.id) == 0;
    }
    if (!behind)
        l->error = ERR_NOT_FOUND;
}

static void ask_kept(void *arg, struct kept_list *l)
{
    take_in(arg);
    kept.asked++;
    if (kept.silent) {
        kept.held = l;
        return;
    }
    fill(l);
    l->done(l);
}

static void opens_lists(struct flow *k)
{
    memset(&kept, 0, sizeof(kept));
    k->env.ask_kept = ask_kept;
    k->env.ask_kept_arg = k;
}

/* The provider has file-0 to file-9; what is deleted there is gone. */
static uint32_t gone_there;

static void provides(struct upstream *u, const struct upstream_call *c, struct buf *out)
{
    char body[512];
    unsigned id = (unsigned)u->call_count;
    bool uploads = slice_starts(c->head, SLICE("POST /v1/files "));
    bool deletes = slice_starts(c->head, SLICE("DELETE "));
    ptrdiff_t at = slice_search(c->head, SLICE("/file-"));
    if (at >= 0)
        id = (unsigned)(c->head.ptr[at + 6] - '0');
    if (uploads)
        id = (unsigned)(c->body.ptr[slice_search(c->body, SLICE("filename=\"a\"\r\n\r\n")) + 16] -
                        '0');
    if (gone_there >> id & 1) {
        upstream_reply(out, 404, "", "{\"error\":{\"message\":\"No such File object\"}}");
        return;
    }
    if (deletes)
        gone_there |= 1u << id;
    snprintf(body, sizeof(body),
             deletes ? "{\"id\":\"file-%u\",\"object\":\"file\",\"deleted\":true}"
                     : "{\"id\":\"file-%u\",\"object\":\"file\",\"purpose\":\"%s\"}",
             id, id % 2 ? "vision" : "user_data");
    upstream_reply(out, 200, "", body);
}

/* What the list names, as "3 1", and the id of the last one. */
static const char *lists(struct flow *k, const char *key, const char *query, bool *more,
                         char last[static 256])
{
    static char said[256];
    char path[512];
    size_t i;
    const json_t *one;
    struct json_problem problem;
    JSON_AUTO json_t *tree = NULL;
    snprintf(path, sizeof(path), "/v1/files%s", query);
    struct flow_client *c = client_gets(k, key, path);
    expect_status(c, 200);
    assert_int_equal(json_read(buf_slice(&c->body), &tree, &problem), ERR_OK);
    assert_true(slice_eq(json_text(tree, "object"), SLICE("list")));
    said[0] = '\0';
    json_array_foreach(json_object_get(tree, "data"), i, one)
    {
        struct slice id = json_text(one, "id");
        assert_true(slice_starts(id, SLICE("file-")) && id.len > 20);
        snprintf(said + strlen(said), 8, "%s%c", i ? " " : "", id.ptr[5]);
        snprintf(last, 256, "%.*s", SLICE_ARG(id));
        if (i == 0)
            assert_true(slice_eq(json_text(tree, "first_id"), id));
    }
    assert_true(i == 0 || slice_eq(json_text(tree, "last_id"), slice_str(last)));
    *more = json_is_true(json_object_get(tree, "has_more"));
    client_is_forgotten(c);
    return said;
}

static void uploads_five(struct flow *k)
{
    static const char *const contents[] = {"0", "1", "2", "3", "4"};
    k->upstreams[0].reply = provides;
    gone_there = 0;
    for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
        struct flow_client *c = uploads(k, i == 2 ? "bob" : "alice", "user_data", contents[i]);
        expect_status(c, 200);
        client_is_forgotten(c);
    }
}

FLOW(files_are_listed_for_their_maker_alone_page_by_page)
{
    char last[256] = "", query[512];
    bool more;
    policy_says(k, &policy);
    opens_lists(k);
    uploads_five(k);
    assert_string_equal(lists(k, "alice", "", &more, last), "4 3 1 0");
    assert_false(more);
    assert_string_equal(lists(k, "bob", "", &more, last), "2");
    assert_string_equal(lists(k, "carl", "", &more, last), "");
    assert_string_equal(lists(k, "alice", "?order=asc&limit=3", &more, last), "0 1 3");
    assert_true(more);
    snprintf(query, sizeof(query), "?order=asc&limit=3&after=%s", last);
    assert_string_equal(lists(k, "alice", query, &more, last), "4");
    assert_false(more);
    assert_string_equal(lists(k, "alice", "?purpose=vision", &more, last), "3 1");

    /* the place where one page ended is another's to no one */
    snprintf(query, sizeof(query), "/v1/files?after=%s", last);
    expect_status(client_gets(k, "bob", query), 400);
    expect_status(client_gets(k, "alice", "/v1/files?after=file-3"), 400);
    expect_status(client_gets(k, "alice", "/v1/files?limit=0"), 400);
    expect_status(client_gets(k, "alice", "/v1/files?order=up"), 400);
}

FLOW(what_was_deleted_is_listed_no_more_by_whomever_it_was)
{
    char last[256] = "", query[512];
    bool more;
    policy_says(k, &policy);
    opens_lists(k);
    uploads_five(k);
    assert_string_equal(lists(k, "alice", "?limit=2", &more, last), "4 3");
    expect_status(asks(k, "DELETE", "alice", "/v1/files/%s", last), 200); /* while it is listed */
    snprintf(query, sizeof(query), "?limit=2&after=%s", last);
    assert_string_equal(lists(k, "alice", query, &more, last), "1 0");
    assert_false(more);
    assert_string_equal(lists(k, "alice", "", &more, last), "4 1 0");

    /* past the gateway: a page of nothing but what is gone is followed by the next */
    size_t asked = kept.asked;
    gone_there |= 1u << 4;
    assert_string_equal(lists(k, "alice", "?limit=1", &more, last), "1");
    assert_true(more);
    assert_int_equal(kept.asked, asked + 2);
    size_t calls = k->upstreams[0].call_count;
    assert_string_equal(lists(k, "alice", "", &more, last), "1 0");
    assert_int_equal(k->upstreams[0].call_count,
                     calls + 2); /* it was noted, and asked for no more */
}

FLOW(the_files_of_a_batch_are_its_makers_and_batches_are_listed_as_they_are_now)
{
    char body[256], last[256] = "";
    bool more;
    policy_says(k, &policy);
    opens_lists(k);
    upstream_answers(k, 0, 200, "{\"id\":\"file-1\",\"object\":\"file\",\"purpose\":\"batch\"}");
    struct flow_client *c = uploads(k, "alice", "batch", LINE("gpt", "/v1/embeddings"));
    expect_status(c, 200);
    const char *id = id_of(c);
    snprintf(body, sizeof(body), "{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/embeddings\"}", id);
    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"batch_1\",\"object\":\"batch\",\"status\":\"validating\"}");
    expect_status(client_posts(k, "alice", "/v1/batches", NULL, body), 200);
    upstream_forget_script(k, 0);
    upstream_answers(k, 0, 200,
                     "{\"id\":\"batch_1\",\"object\":\"batch\",\"status\":\"completed\","
                     "\"output_file_id\":\"file-2\",\"error_file_id\":null}");
    c = client_gets(k, "alice", "/v1/batches");
    expect_status(c, 200);
    expect_body_has(c, "\"status\":\"completed\"");
    expect_body_has(c, "\"output_file_id\":\"file-2_gh");
    c = client_gets(k, "bob", "/v1/batches");
    expect_status(c, 200);
    expect_body(c, "{\"object\":\"list\",\"data\":[],\"has_more\":false}");
    upstream_forget_script(k, 0);
    k->upstreams[0].reply = provides;
    gone_there = 0;
    assert_string_equal(lists(k, "alice", "", &more, last), "2 1");
}

FLOW(a_list_that_cannot_be_had_is_refused)
{
    static const struct {
        enum err error;
        unsigned status;
        const char *code;
    } rows[] = {
        {ERR_CLOSED, 503, "list_unavailable"},
        {ERR_PROTOCOL, 503, "list_unavailable"},
        {ERR_NOT_FOUND, 404, "object_not_found"},
    };
    struct flow_client *c;
    policy_says(k, &policy);
    expect_status(client_gets(k, "alice", "/v1/files"), 503); /* no control plane at all */
    opens_lists(k);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        kept.error = rows[i].error;
        c = client_gets(k, "alice", "/v1/files");
        expect_status(c, rows[i].status);
        expect_code(c, rows[i].code);
    }
    kept.error = ERR_OK;
    uploads_five(k);
    k->upstreams[0].reply = NULL;
    upstream_answers(k, 0, 500, "{}");
    c = client_gets(k, "alice", "/v1/files");
    expect_status(c, 502);
    upstream_forget_script(k, 0);
    upstream_answers_with(k, 0, 429, "Retry-After: 7\r\n", "{}");
    c = client_gets(k, "alice", "/v1/files");
    expect_status(c, 429);
    assert_true(slice_eq(client_header(c, "retry-after"), SLICE("7")));
    /* the client leaves before its page comes */
    kept.silent = true;
    c = client_gets(k, "alice", "/v1/files");
    WAIT(k, kept.held);
    client_hangs_up(c);
    WAIT(k, k->env.request_count == 0);
    assert_null(kept.held->arg);
    fill(kept.held);
    kept.held->done(kept.held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO(a_kept_response_is_read_cancelled_and_deleted_by_its_maker_alone),
        SCENARIO(a_file_and_its_batch_are_their_makers),
        SCENARIO(a_file_is_named_by_its_maker_alone),
        SCENARIO(a_batch_whose_lines_are_not_granted_is_refused),
        SCENARIO(a_batch_keeps_to_the_rules_of_its_lines_models),
        SCENARIO(a_batch_is_refused_under_a_budget),
        SCENARIO(files_are_listed_for_their_maker_alone_page_by_page),
        SCENARIO(what_was_deleted_is_listed_no_more_by_whomever_it_was),
        SCENARIO(the_files_of_a_batch_are_its_makers_and_batches_are_listed_as_they_are_now),
        SCENARIO(a_list_that_cannot_be_had_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
