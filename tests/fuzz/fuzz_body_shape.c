/*
 * fuzz_body_shape — the first byte chooses a dialect, the rest is a body: one that can be read is
 * JSON after it was shaped, has nothing of what is dropped, and shaping it again changes nothing
 * but the system prompt.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/json_scan.h"
#include "dataplane/ai/dialect/body_shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct body_words *const dialects[] = {&words_openai_chat,
                                                    &words_openai_completions,
                                                    &words_openai_responses,
                                                    &words_anthropic,
                                                    &words_gemini,
                                                    &words_bedrock,
                                                    &words_cohere};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static bool is_object(struct slice s)
{
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan(s, NULL, 0, NULL, &root, &problem) && root == JSON_SCAN_OBJECT;
}

static struct policy_parameters forced, usual;
static struct slice drops[] = {{"seed", 4}, {"user", 4}, {"max_tokens", 10}};

static void init_policy(struct policy_model *m)
{
    forced.of[POLICY_TOP_P] = (struct policy_parameter){.json = SLICE("0.5"), .number = 0.5};
    forced.of[POLICY_REASONING_EFFORT] = (struct policy_parameter){.json = SLICE("\"low\"")};
    usual.of[POLICY_MAX_TOKENS] = (struct policy_parameter){.json = SLICE("9"), .number = 9};
    usual.of[POLICY_TEMPERATURE] = (struct policy_parameter){.json = SLICE("0"), .number = 0};
    *m = (struct policy_model){.defaults = &usual,
                               .overrides = &forced,
                               .drop = drops,
                               .drop_count = ARRAY_LEN(drops),
                               .system_prompt = SLICE("be \"kind\"")};
}

static enum err shape(const struct policy_model *m, const struct body_words *w, struct arena *a,
                      struct buf *body, struct buf *spare)
{
    struct body_shaping s = {.model = m, .words = w, .arena = a, .body = body, .spare = spare};
    enum err e = body_shape(&s);
    must(e != ERR_INVALID || s.why.len > 0, "a refusal says why");
    must(s.dropped_count <= ARRAY_LEN(s.dropped), "what is dropped is bounded");
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy_model m;
    struct buf body, spare, once;
    if (size < 1 || !is_object(slice_of(data + 1, size - 1)))
        return 0;
    struct arena *a = arena_new(4096, 1 << 24);
    const struct body_words *w = dialects[data[0] % ARRAY_LEN(dialects)];
    init_policy(&m);
    buf_init(&body, 1 << 22);
    buf_init(&spare, 1 << 22);
    buf_init(&once, 1 << 22);
    must(a && !buf_append(&body, slice_of(data + 1, size - 1)), "room");
    if (!shape(&m, w, a, &body, &spare)) {
        must(is_object(buf_slice(&body)), "a shaped body is JSON");
        m.system_prompt = SLICE("");
        must(!buf_append(&once, buf_slice(&body)), "room");
        m.drop_count = 0;
        must(!shape(&m, w, a, &body, &spare), "a shaped body can be shaped");
        must(slice_eq(buf_slice(&once), buf_slice(&body)), "shaping is done once");
    }
    buf_fini(&body);
    buf_fini(&spare);
    buf_fini(&once);
    arena_free(a);
    return 0;
}
