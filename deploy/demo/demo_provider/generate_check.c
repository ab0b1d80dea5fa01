/*
 * generate_check — member by member, then turn by turn (dialects.md 1.5).
 */
#include "deploy/demo/demo_provider/generate_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

PRINTF(2, 3) static bool wrong(char why[static GENERATE_WHY], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, GENERATE_WHY, fmt, args);
    va_end(args);
    return false;
}

static bool check_names(const json_t *object, const char *const *known, const char *where,
                        char why[static GENERATE_WHY])
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], name) != 0)
            i++;
        if (!known[i])
            return wrong(why, "Invalid JSON payload received. Unknown name \"%.60s\" at '%s'", name,
                         where);
    }
    return true;
}

static bool check_members(const json_t *request, char why[static GENERATE_WHY])
{
    static const char *const top[] = {"contents",
                                      "systemInstruction",
                                      "generationConfig",
                                      "tools",
                                      "toolConfig",
                                      "safetySettings",
                                      "cachedContent",
                                      "labels",
                                      "serviceTier",
                                      "model",
                                      NULL};
    static const char *const config[] = {"temperature",
                                         "topP",
                                         "topK",
                                         "candidateCount",
                                         "maxOutputTokens",
                                         "stopSequences",
                                         "responseMimeType",
                                         "responseSchema",
                                         "responseJsonSchema",
                                         "presencePenalty",
                                         "frequencyPenalty",
                                         "seed",
                                         "responseLogprobs",
                                         "logprobs",
                                         "responseModalities",
                                         "mediaResolution",
                                         "speechConfig",
                                         "imageConfig",
                                         "thinkingConfig",
                                         NULL};
    const json_t *own = json_object_get(request, "generationConfig");
    if (json_array_size(json_object_get(own, "stopSequences")) > 5)
        return wrong(why, "The number of stop sequences must be at most 5");
    return check_names(request, top, "", why) && check_names(own, config, "generation_config", why);
}

static bool check_part(const json_t *part, size_t at, char why[static GENERATE_WHY])
{
    static const char *const known[] = {
        "text",    "inlineData",       "fileData", "functionCall", "functionResponse",
        "thought", "thoughtSignature", NULL};
    const json_t *call = json_object_get(part, "functionCall");
    const json_t *response = json_object_get(part, "functionResponse");
    if (!json_is_object(part) || json_object_size(part) == 0)
        return wrong(why,
                     "contents[%zu].parts: required oneof field 'data' must have one "
                     "initialized field",
                     at);
    if (call && json_object_get(call, "args") && !json_is_object(json_object_get(call, "args")))
        return wrong(why, "contents[%zu].parts.function_call.args: must be a Struct", at);
    if (response && !json_is_object(json_object_get(response, "response")))
        return wrong(why, "contents[%zu].parts.function_response.response: must be a Struct", at);
    return check_names(part, known, "contents.parts", why);
}

static size_t count(const json_t *content, const char *member)
{
    const json_t *part;
    size_t i, n = 0;
    json_array_foreach(json_object_get(content, "parts"), i, part)
    {
        n += json_object_get(part, member) != NULL;
    }
    return n;
}

static bool check_content(const json_t *content, size_t at, char why[static GENERATE_WHY])
{
    const char *role = json_string_value(json_object_get(content, "role"));
    const json_t *part, *parts = json_object_get(content, "parts");
    size_t i;
    if (role && strcmp(role, "user") != 0 && strcmp(role, "model") != 0)
        return wrong(why, "Please use a valid role: user, model.");
    if (!json_array_size(parts))
        return wrong(why, "contents[%zu].parts: must not be empty", at);
    json_array_foreach(parts, i, part)
    {
        if (!check_part(part, at, why))
            return false;
    }
    return true;
}

bool generate_check(const json_t *request, char why[static GENERATE_WHY])
{
    const json_t *contents = json_object_get(request, "contents"), *content;
    size_t i;
    if (!json_is_object(request) || !json_array_size(contents))
        return wrong(why, "* GenerateContentRequest.contents: contents is not specified");
    if (!check_members(request, why))
        return false;
    json_array_foreach(contents, i, content)
    {
        const json_t *before = i ? json_array_get(contents, i - 1) : NULL;
        size_t responses = count(content, "functionResponse");
        if (!check_content(content, i, why))
            return false;
        if (responses != count(before, "functionCall"))
            return wrong(why, "Please ensure that the number of function response parts is equal "
                              "to the number of function call parts of the function call turn.");
    }
    return true;
}
