/* realtime — what is read of events, by table; client secrets opened as they were sealed alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/ai/dialect/openai_realtime.h"

static const struct {
    const char *event;
    enum realtime_client_kind kind;
    const char *model, *transcriber;
    bool reads_more, refused;
} said[] = {
    {"{\"type\":\"response.create\"}", REALTIME_SAYS_CREATE, "", "", false, false},
    {"{\"type\":\"response.cr\\u0065ate\"}", REALTIME_SAYS_CREATE, "", "", false, false},
    {"{\"type\":\"input_audio_buffer.append\",\"audio\":\"AA\"}", REALTIME_SAYS_AUDIO, "", "",
     false, false},
    {"{\"type\":\"session.update\",\"session\":{\"model\":\"m\",\"audio\":{\"input\":{"
     "\"transcription\":{\"model\":\"t\"}}}}}",
     REALTIME_SAYS_SESSION, "m", "t", false, false},
    {"{\"type\":\"session.update\",\"session\":{\"input_audio_transcription\":{\"model\":\"t\"}}}",
     REALTIME_SAYS_SESSION, "", "t", false, false},
    {"{\"type\":\"session.update\",\"session\":{\"tools\":[{\"type\":\"function\"}]}}",
     REALTIME_SAYS_SESSION, "", "", false, false},
    {"{\"type\":\"session.update\",\"session\":{\"tools\":[{\"type\":\"mcp\"}]}}",
     REALTIME_SAYS_SESSION, "", "", true, false},
    {"{\"type\":\"response.create\",\"response\":{\"prompt\":{\"id\":\"p\"}}}",
     REALTIME_SAYS_CREATE, "", "", true, false},
    {"{\"type\":\"session.update\",\"session\":{\"input_audio_transcription\":{\"model\":\"t\"},"
     "\"audio\":{\"input\":{\"transcription\":{\"model\":\"u\"}}}}}",
     0, "", "", false, true},
    {"{\"type\":\"x\",\"type\":\"response.create\"}", 0, "", "", false, true},
    {"{\"type\":\"x\",\"Type\":\"response.create\"}", 0, "", "", false, true},
    {"{\"type\":7}", 0, "", "", false, true},
    {"{\"type\":\"session.update\",\"session\":{\"model\":7}}", 0, "", "", false, true},
    {"[]", 0, "", "", false, true},
    {"", 0, "", "", false, true},
};

#define ITEM(item) "{\"type\":\"conversation.item.create\",\"item\":" item "}"
#define CREATE(response) "{\"type\":\"response.create\",\"response\":" response "}"

static const struct {
    const char *event;
    bool reads_more, aside, own_prompt;
    unsigned images;
} prompts[] = {
    {CREATE("{}"), false, false, false, 0},
    {CREATE("{\"conversation\":\"auto\"}"), false, false, false, 0},
    {CREATE("{\"conversation\":\"none\"}"), false, true, false, 0},
    {CREATE("{\"conversation\":7,\"input\":[]}"), false, true, true, 0},
    {CREATE("{\"instructions\":\"x\"}"), false, false, true, 0},
    {CREATE("{\"tools\":[]}"), false, false, true, 0},
    {CREATE("{\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}]}"), true, false, true, 0},
    {CREATE("{\"input\":[{\"type\":\"message\",\"content\":[{\"type\":\"input_text\"},{\"type\":"
            "\"input_image\"}]}]}"),
     false, false, true, 1},
    {ITEM("{\"type\":\"message\",\"content\":[{\"type\":\"input_audio\"},{\"type\":\"inp\\u0075t_"
          "image"
          "\"},{\"type\":\"x\",\"type\":\"text\"},7]}"),
     false, false, false, 3},
    {ITEM("{\"type\":\"function_call_output\",\"output\":\"x\"}"), false, false, false, 0},
    {ITEM("{\"type\":\"message\",\"Type\":\"item_reference\"}"), true, false, false, 0},
    {ITEM("{\"type\":\"mcp_call\"}"), true, false, false, 0},
};

static void a_prompt_whose_length_is_not_seen_is_known_for_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(prompts); i++) {
        struct realtime_said s;
        struct slice why;
        if (realtime_read_said(slice_str(prompts[i].event), &s, &why) ||
            s.reads_more != prompts[i].reads_more || s.aside != prompts[i].aside ||
            s.own_prompt != prompts[i].own_prompt || s.images != prompts[i].images)
            fail_msg("row %zu: %s", i, prompts[i].event);
    }
}

static void what_a_client_says_is_read_in_one_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        struct realtime_said s;
        struct slice why = SLICE_NONE;
        enum err e = realtime_read_said(slice_str(said[i].event), &s, &why);
        if ((e != ERR_OK) != said[i].refused)
            fail_msg("row %zu: %s", i, said[i].event);
        if (e)
            continue;
        if (s.kind != said[i].kind || s.reads_more != said[i].reads_more ||
            !slice_eq(slice_of(s.model_name, s.model_len), slice_str(said[i].model)) ||
            !slice_eq(slice_of(s.transcriber, s.transcriber_len), slice_str(said[i].transcriber)))
            fail_msg("row %zu: %s", i, said[i].event);
    }
}

static const struct {
    const char *event;
    enum realtime_server_kind kind;
    bool automatic;
} heard[] = {
    {"{\"type\":\"session.created\",\"session\":{\"audio\":{\"input\":{\"turn_detection\":{"
     "\"type\":"
     "\"server_vad\"}}}}}",
     REALTIME_HEARD_SESSION, true},
    {"{\"type\":\"session.updated\",\"session\":{\"audio\":{\"input\":{\"turn_detection\":{"
     "\"type\":"
     "\"server_vad\",\"create_response\":false}}}}}",
     REALTIME_HEARD_SESSION, false},
    {"{\"type\":\"session.created\",\"session\":{\"turn_detection\":{\"type\":\"semantic_vad\"}}}",
     REALTIME_HEARD_SESSION, true},
    {"{\"type\":\"session.created\",\"session\":{\"turn_detection\":null}}", REALTIME_HEARD_SESSION,
     false},
    {"{\"type\":\"session.updated\",\"session\":{}}", REALTIME_HEARD_SESSION, true},
    {"{\"type\":\"error\",\"error\":{\"code\":\"conversation_already_has_active_response\"}}",
     REALTIME_HEARD_REFUSED, false},
    {"{\"type\":\"error\",\"error\":{\"param\":\"response.tools\"}}", REALTIME_HEARD_REFUSED,
     false},
    {"{\"type\":\"error\",\"error\":{\"param\":\"response_id\"}}", REALTIME_HEARD_OTHER, false},
    {"{\"type\":\"input_audio_buffer.committed\"}", REALTIME_HEARD_COMMITTED, false},
    {"{\"type\":\"error\",\"error\":{\"code\":\"input_audio_buffer_commit_empty\"}}",
     REALTIME_HEARD_EMPTY, false},
    {"{\"type\":\"response.created\"}", REALTIME_HEARD_CREATED, false},
    {"{\"type\":\"response.done\"}", REALTIME_HEARD_DONE, false},
    {"{\"type\":\"response.audio.delta\",\"delta\":\"A\"}", REALTIME_HEARD_SOUND, false},
    {"{\"type\":\"response.function_call_arguments.delta\",\"delta\":\"A\"}", REALTIME_HEARD_TEXT,
     false},
    {"{\"type\":\"rate_limits.updated\"}", REALTIME_HEARD_OTHER, false},
    {"no JSON", REALTIME_HEARD_OTHER, false},
};

static void what_an_upstream_says_is_known_by_its_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heard); i++) {
        struct realtime_heard h;
        realtime_read_heard(slice_str(heard[i].event), &h);
        if (h.kind != heard[i].kind || h.automatic != heard[i].automatic)
            fail_msg("row %zu: %s", i, heard[i].event);
    }
}

static void cached_sound_is_counted_as_cached(void **state)
{
    (void)state;
    struct realtime_heard h;
    struct token_count t;
    realtime_read_heard(
        SLICE("{\"type\":\"response.done\",\"response\":{\"usage\":{\"input_tokens\":100,"
              "\"output_tokens\":30,\"input_token_details\":{\"audio_tokens\":80,"
              "\"cached_tokens\":50,\"cached_tokens_details\":{\"audio_tokens\":40}},"
              "\"output_token_details\":{\"audio_tokens\":20}}}}"),
        &h);
    assert_int_equal(ai_usage_count(&h.usage, &t), AI_COUNTED_ALL);
    assert_int_equal(t.input, 100);
    assert_int_equal(t.cache_read, 50);
    assert_int_equal(t.audio_input, 40);
    assert_int_equal(t.output, 30);
    assert_int_equal(t.audio_output, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_client_says_is_read_in_one_way),
        cmocka_unit_test(a_prompt_whose_length_is_not_seen_is_known_for_one),
        cmocka_unit_test(what_an_upstream_says_is_known_by_its_kind),
        cmocka_unit_test(cached_sound_is_counted_as_cached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
