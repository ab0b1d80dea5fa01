/*
 * catalogue_import — one entry of the file after the other, each into its vendor's list.
 */
#include "controlplane/domain/catalogue_import.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/money.h"
#include "controlplane/domain/field.h"

#define SOURCE "LiteLLM"
#define PRICE_DECIMALS 6
#define PER_MTOK 1e6
#define NAME_MOST 128

/* LiteLLM's vendors and ours. */
static const struct {
    const char *theirs, *ours;
} vendors[] = {
    {"openai", "openai"},
    {"text-completion-openai", "openai"},
    {"anthropic", "anthropic"},
    {"gemini", "gemini"},
    {"azure", "azure"},
    {"bedrock", "bedrock"},
    {"bedrock_converse", "bedrock"},
    {"mistral", "mistral"},
    {"cohere", "cohere"},
    {"cohere_chat", "cohere"},
    {"groq", "groq"},
    {"deepseek", "deepseek"},
    {"together_ai", "together"},
    {"fireworks_ai", "fireworks"},
    {"fireworks_ai-embedding-models", "fireworks"},
    {"xai", "xai"},
    {"perplexity", "perplexity"},
    {"openrouter", "openrouter"},
    {"cerebras", "cerebras"},
    {"moonshot", "moonshot"},
    {"deepinfra", "deepinfra"},
    {"sambanova", "sambanova"},
    {"novita", "novita"},
    {"ovhcloud", "ovhcloud"},
};

static const struct {
    const char *theirs, *ours;
} prices[] = {
    {"input_cost_per_token", "input_per_mtok"},
    {"output_cost_per_token", "output_per_mtok"},
    {"cache_read_input_token_cost", "cache_read_per_mtok"},
    {"cache_creation_input_token_cost", "cache_write_per_mtok"},
    {"cache_creation_input_token_cost_above_1hr", "cache_write_1h_per_mtok"},
    {"input_cost_per_audio_token", "input_audio_per_mtok"},
    {"output_cost_per_audio_token", "output_audio_per_mtok"},
    {"output_cost_per_image_token", "output_image_per_mtok"},
};

static const struct {
    const char *theirs, *ours;
} capabilities[] = {
    {"supports_function_calling", "tools"},
    {"supports_parallel_function_calling", "parallel_tools"},
    {"supports_vision", "vision"},
    {"supports_audio_input", "audio"},
    {"supports_video_input", "video"},
    {"supports_pdf_input", "documents"},
    {"supports_audio_output", "audio_output"},
    {"supports_image_output", "image_output"},
    {"supports_response_schema", "json_schema"},
    {"supports_reasoning", "reasoning"},
    {"supports_prompt_caching", "prompt_cache"},
    {"supports_web_search", "web_search"},
};

static const struct {
    const char *ends; /* of a member's name */
    json_int_t tokens;
} tiers[] = {
    {"_above_128k_tokens", 128000},
    {"_above_200k_tokens", 200000},
    {"_above_256k_tokens", 256000},
    {"_above_272k_tokens", 272000},
};

bool catalogue_is_litellm(const json_t *file)
{
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)(uintptr_t)file, name, entry)
    {
        if (json_is_string(json_object_get(entry, "litellm_provider")))
            return true;
    }
    return false;
}

static const char *vendor_of(const json_t *entry)
{
    struct slice theirs = json_text(entry, "litellm_provider");
    for (size_t i = 0; i < ARRAY_LEN(vendors); i++)
        if (slice_eq(theirs, slice_str(vendors[i].theirs)))
            return vendors[i].ours;
    /* "vertex_ai-language-models" and the like: Gemini by another way */
    return slice_starts(theirs, SLICE("vertex_ai")) ? "gemini" : NULL;
}

/* What stands before the first slash is the vendor as LiteLLM calls it, where it says so. */
static struct slice name_of(const char *key, const json_t *entry)
{
    struct slice name = slice_str(key);
    ptrdiff_t slash = slice_find(name, '/');
    struct slice theirs = json_text(entry, "litellm_provider");
    if (slash < 0)
        return name;
    struct slice before = slice_first(name, (size_t)slash);
    bool vendor = slice_starts(theirs, before) || slice_eq(before, SLICE("vertex_ai"));
    return vendor ? slice_from(name, (size_t)slash + 1) : name;
}

/* A price per token as one per million, in as many decimals as a price has. */
static json_t *price_of(const json_t *per_token)
{
    char text[64];
    if (!json_is_number(per_token) || json_number_value(per_token) < 0)
        return NULL;
    double v = json_number_value(per_token) * PER_MTOK;
    if (v > FIELD_DOLLARS_MOST)
        return NULL;
    snprintf(text, sizeof(text), "%.*f", PRICE_DECIMALS, v);
    return json_string(text);
}

static void copy_prices(const json_t *entry, const char *ends, json_t *to)
{
    char name[96];
    for (size_t i = 0; i < ARRAY_LEN(prices); i++) {
        snprintf(name, sizeof(name), "%s%s", prices[i].theirs, ends);
        json_t *v = price_of(json_object_get(entry, name));
        if (v)
            json_object_set_new(to, prices[i].ours, v);
    }
}

/* What a tier does not say stays as it is. */
static void add_tiers(const json_t *entry, json_t *usual)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_LEN(tiers); i++) {
        json_t *own = json_object();
        copy_prices(entry, tiers[i].ends, own);
        if (json_object_size(own)) {
            json_t *tier = json_deep_copy(usual);
            json_object_update(tier, own);
            json_object_set_new(tier, "tokens", json_integer(tiers[i].tokens));
            json_array_append_new(list, tier);
        }
        json_decref(own);
    }
    if (json_array_size(list))
        json_object_set(usual, "above", list);
    json_decref(list);
}

/* An entry that says nothing of what its model supports leaves it unknown. A model that follows
 * schemas writes JSON without one too. */
static void add_capabilities(const json_t *entry, json_t *model)
{
    bool says = false;
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
        const json_t *v = json_object_get(entry, capabilities[i].theirs);
        says = says || json_is_boolean(v);
        if (json_is_true(v))
            json_array_append_new(list, json_string(capabilities[i].ours));
    }
    if (json_is_true(json_object_get(entry, "supports_response_schema")))
        json_array_append_new(list, json_string("json_mode"));
    if (says)
        json_object_set(model, "capabilities", list);
    json_decref(list);
}

static json_t *model_of(struct slice name, const json_t *entry)
{
    json_t *usual = json_object();
    const json_t *context = json_object_get(entry, "max_input_tokens");
    copy_prices(entry, "", usual);
    if (!json_object_get(usual, "input_per_mtok")) {
        json_decref(usual);
        return NULL; /* billed by another measure */
    }
    if (!json_object_get(usual, "output_per_mtok"))
        json_object_set_new(usual, "output_per_mtok", json_string("0"));
    add_tiers(entry, usual);
    json_t *model = json_pack("{s:o,s:[o],s:o}", "model", json_from(name), "match", json_from(name),
                              "price", usual);
    if (json_is_integer(context) && json_integer_value(context) > 0)
        json_object_set_new(model, "context_tokens", json_incref((json_t *)(uintptr_t)context));
    const json_t *output = json_object_get(entry, "max_output_tokens");
    if (json_is_integer(output) && json_integer_value(output) > 0 &&
        json_integer_value(output) <= LIMIT_AI_TOKENS)
        json_object_set_new(model, "max_output_tokens", json_incref((json_t *)(uintptr_t)output));
    add_capabilities(entry, model);
    return model;
}

static json_t *list_of(json_t *all, const char *vendor)
{
    json_t *one;
    size_t i;
    json_array_foreach(all, i, one)
    {
        if (slice_eq(json_text(one, "name"), slice_str(vendor)))
            return json_object_get(one, "models");
    }
    json_t *list = json_array();
    json_array_append_new(
        all, json_pack("{s:s,s:s,s:o}", "name", vendor, "source", SOURCE, "models", list));
    return list;
}

static bool is_listed(const json_t *list, struct slice name)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        if (slice_eq(json_text(one, "model"), name))
            return true;
    }
    return false;
}

json_t *catalogue_from_litellm(const json_t *file, size_t *left_out)
{
    const char *key;
    json_t *entry, *all = json_array();
    *left_out = 0;
    json_object_foreach((json_t *)(uintptr_t)file, key, entry)
    {
        const char *vendor = json_is_object(entry) ? vendor_of(entry) : NULL;
        struct slice name = name_of(key, entry);
        json_t *list = vendor && name.len && name.len <= NAME_MOST ? list_of(all, vendor) : NULL;
        json_t *model = list && json_array_size(list) < FIELD_LIST_MOST && !is_listed(list, name)
                            ? model_of(name, entry)
                            : NULL;
        if (model)
            json_array_append_new(list, model);
        else
            ++*left_out;
    }
    return all;
}
