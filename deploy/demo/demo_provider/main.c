/*
 * demo-provider — a model provider in OpenAI's, Anthropic's and Gemini's dialects, for the demo,
 * tests and benchmarks. It says what it is: every response is made up, and how it behaves is
 * written in the model's name (scenario.h).
 */
#include "common/base/limits.h"
#include "deploy/demo/demo_provider/chat.h"
#include "deploy/demo/demo_provider/embeddings.h"
#include "deploy/demo/demo_provider/generate.h"
#include "deploy/demo/demo_provider/messages.h"
#include "deploy/demo/serve.h"

struct settings {
    const char *listen;
};

static const struct option options[] = {
    {.name = "listen",
     .env = "GATEHOUSE_DEMO_LISTEN",
     .default_text = "127.0.0.1:8085",
     .help = "address to serve on",
     .offset = offsetof(struct settings, listen)},
};

static json_t *model_entry(const char *name)
{
    return json_pack("{s:s,s:s,s:i,s:s}", "id", name, "object", "model", "created", 1700000000,
                     "owned_by", "gatehouse-demo");
}

static void give_models(struct visit *v)
{
    visit_json(v, 200,
               json_pack("{s:s,s:[o,o]}", "object", "list", "data", model_entry("demo-chat"),
                         model_entry("demo-embedding")));
}

static void give_ledger(struct visit *v)
{
    const struct provider *p = serve_arg(v->serve);
    struct buf out;
    buf_init(&out, 512u * 1024 * 1024);
    if (ledger_write(p->ledger, &out) == ERR_OK)
        visit_answer(v, 200, "application/json", buf_slice(&out));
    else
        http_response_abort(v->x);
    buf_fini(&out);
}

static void clear_ledger(struct visit *v)
{
    const struct provider *p = serve_arg(v->serve);
    ledger_clear(p->ledger);
    visit_answer(v, 204, NULL, SLICE_NONE);
}

static void give_health(struct visit *v)
{
    visit_answer(v, 200, "text/plain", SLICE("ok\n"));
}

static const struct {
    const char *method, *path;
    void (*handle)(struct visit *v);
} routes[] = {
    {"POST", "/v1/chat/completions", chat_handle},
    {"POST", "/v1/embeddings", embeddings_handle},
    {"POST", "/v1/messages", messages_handle},
    {"GET", "/v1/models", give_models},
    {"GET", "/ledger", give_ledger},
    {"DELETE", "/ledger", clear_ledger},
    {"GET", "/healthz", give_health},
};

static void handle(struct visit *v)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (visit_is(v, routes[i].method, routes[i].path)) {
            routes[i].handle(v);
            return;
        }
    }
    if (generate_is(v)) {
        generate_handle(v);
        return;
    }
    chat_error(v, 404, "invalid_request_error", "There is nothing at this path.");
}

int main(int argc, char **argv)
{
    struct settings s;
    bool want_help;
    if (option_read("demo-provider",
                    "A made-up model provider in OpenAI's, Anthropic's and Gemini's dialects.",
                    options, ARRAY_LEN(options), argc, argv, &s, &want_help) != ERR_OK)
        return 2;
    if (want_help)
        return 0;
    struct provider p = {.ledger = ledger_new()};
    if (!p.ledger)
        return 1;
    struct serve_config c = {
        .listen = s.listen, .body_max = LIMIT_AI_BODY, .handle = handle, .arg = &p};
    int code = serve_run("demo-provider", &c);
    ledger_free(p.ledger);
    return code;
}
