/* embeddings — floats, or base64 of little-endian float32 where that is requested. */
#include "deploy/demo/demo_provider/embeddings.h"

#include <math.h>
#include <openssl/evp.h>

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "deploy/demo/demo_provider/chat.h"
#include "deploy/demo/demo_provider/scenario.h"

#define DIMENSIONS 64
#define DIMENSIONS_MAX 4096
#define INPUTS_MAX 2048

static void vector_of(struct slice text, float *out, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t number = (uint32_t)i;
        struct slice parts[] = {text, slice_of(&number, sizeof(number))};
        struct digest d;
        int32_t value;
        digest_sha256_parts(parts, 2, &d);
        memcpy(&value, d.bytes, sizeof(value));
        out[i] = (float)value / 2147483648.0f;
        sum += (double)out[i] * (double)out[i];
    }
    for (size_t i = 0; i < n && sum > 0; i++)
        out[i] = (float)((double)out[i] / sqrt(sum));
}

static json_t *encode(const float *vector, size_t n, bool base64)
{
    if (!base64) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(list, json_real((double)vector[i]));
        return list;
    }
    size_t len = n * sizeof(*vector);
    char *text = mem_alloc(4 * ((len + 2) / 3) + 1);
    json_t *value = NULL;
    if (text) {
        EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)vector, (int)len);
        value = json_string(text);
    }
    mem_free(text);
    return value;
}

/* Strings, or arrays of token numbers: their text is what is embedded. */
static struct slice text_of(const json_t *input, struct buf *space)
{
    buf_clear(space);
    if (json_is_string(input))
        return slice_of(json_string_value(input), json_string_length(input));
    return json_write(input, space) == ERR_OK ? buf_slice(space) : SLICE_NONE;
}

static json_t *embed_all(const json_t *inputs, size_t n, bool base64, size_t *tokens)
{
    json_t *data = json_array();
    struct buf space;
    float vector[DIMENSIONS_MAX];
    buf_init(&space, 1024 * 1024);
    for (size_t i = 0; i < json_array_size(inputs); i++) {
        struct slice text = text_of(json_array_get(inputs, i), &space);
        vector_of(text, vector, n);
        *tokens += (text.len + 3) / 4;
        json_array_append_new(data,
                              json_pack("{s:s,s:I,s:o}", "object", "embedding", "index",
                                        (json_int_t)i, "embedding", encode(vector, n, base64)));
    }
    buf_fini(&space);
    return data;
}

/* One input or a list of them, always as a list; NULL: neither. */
static json_t *inputs_of(json_t *request)
{
    json_t *input = json_object_get(request, "input");
    bool one = json_is_string(input) || json_is_integer(json_array_get(input, 0));
    if (one)
        return json_pack("[O]", input);
    size_t n = json_array_size(input);
    return n > 0 && n <= INPUTS_MAX ? json_incref(input) : NULL;
}

void embeddings_handle(struct visit *v)
{
    JSON_AUTO json_t *request = NULL;
    struct json_problem problem;
    if (json_read(buf_slice(&v->body), &request, &problem) != ERR_OK) {
        chat_error(v, 400, "invalid_request_error", "The body is not JSON.");
        return;
    }
    JSON_AUTO json_t *inputs = inputs_of(request);
    json_int_t n = json_integer_value(json_object_get(request, "dimensions"));
    struct slice model = json_text(request, "model");
    if (!inputs || !model.ptr || n < 0 || n > DIMENSIONS_MAX) {
        chat_error(v, 400, "invalid_request_error", "model and input are required.");
        return;
    }
    struct scenario scenario;
    struct ledger *l = ((struct provider *)serve_arg(v->serve))->ledger;
    size_t tokens = 0, width = n > 0 ? (size_t)n : DIMENSIONS;
    bool base64 = slice_eq(json_text(request, "encoding_format"), SLICE("base64"));
    scenario_read(model, &scenario);
    json_t *data = embed_all(inputs, width, base64, &tokens);
    size_t entry = ledger_open(l, http_head_find(v->head, SLICE("traceparent")), scenario.name,
                               (uint32_t)tokens, false);
    ledger_complete(l, entry);
    visit_json(v, 200,
               json_pack("{s:s,s:o,s:s%,s:{s:I,s:I}}", "object", "list", "data", data, "model",
                         scenario.name.ptr, scenario.name.len, "usage", "prompt_tokens",
                         (json_int_t)tokens, "total_tokens", (json_int_t)tokens));
}
