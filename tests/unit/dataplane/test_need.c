/* need — the capabilities that bodies ask for, in each dialect's words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/ai/ai_need.h"

#define BIT(name) CAPABILITY_BIT(CAPABILITY_##name)

static const struct {
    const char *body;
    uint32_t need;
} cases[] = {
    {"{}", 0},
    {"{\"tools\":[],\"functions\":null,\"logprobs\":false,\"reasoning_effort\":\"none\"}", 0},
    {"{\"tools\":[{}]}", BIT(TOOLS)},
    {"{\"functions\":[{\"name\":\"f\"}]}", BIT(TOOLS)},
    {"{\"toolConfig\":{\"tools\":[{\"toolSpec\":{}}]}}", BIT(TOOLS)},
    {"{\"toolConfig\":{\"functionCallingConfig\":{}}}", 0},
    {"{\"response_format\":{\"type\":\"text\"}}", 0},
    {"{\"response_format\":{\"type\":\"json_object\"}}", BIT(JSON_MODE)},
    {"{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}}", BIT(JSON_SCHEMA)},
    {"{\"text\":{\"format\":{\"type\":\"json_schema\"}}}", BIT(JSON_SCHEMA)},
    {"{\"output_config\":{\"format\":{\"type\":\"json_schema\"}}}", BIT(JSON_SCHEMA)},
    {"{\"generationConfig\":{\"responseSchema\":{},\"responseMimeType\":\"application/json\"}}",
     BIT(JSON_SCHEMA)},
    {"{\"generationConfig\":{\"responseMimeType\":\"application/json\"}}", BIT(JSON_MODE)},
    {"{\"reasoning_effort\":\"high\"}", BIT(REASONING)},
    {"{\"reasoning\":{\"effort\":\"low\"}}", BIT(REASONING)},
    {"{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}", BIT(REASONING)},
    {"{\"thinking\":{\"type\":\"disabled\"}}", 0},
    {"{\"generationConfig\":{\"thinkingConfig\":{\"thinkingBudget\":1}}}", BIT(REASONING)},
    {"{\"modalities\":[\"text\",\"audio\"],\"audio\":{\"voice\":\"alloy\"}}", BIT(AUDIO_OUTPUT)},
    {"{\"logprobs\":true}", BIT(LOGPROBS)},
    {"{\"logprobs\":5}", BIT(LOGPROBS)},
    {"{\"web_search_options\":{}}", BIT(WEB_SEARCH)},
    {"{\"tools\":[{}],\"thinking\":{\"type\":\"adaptive\"}}", BIT(TOOLS) | BIT(REASONING)},
    {"{\"tools\":", 0}, /* no JSON */
};

static void bodies_ask_for_what_their_members_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t got = ai_need_of_body(slice_str(cases[i].body));
        if (got != cases[i].need)
            fail_msg("%s asks for %x, not %x", cases[i].body, got, cases[i].need);
        assert_int_equal(got & ~ROUTE_NEEDS_SEEN, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bodies_ask_for_what_their_members_say)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
