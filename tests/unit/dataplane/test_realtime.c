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
    {"{\"type\":\"x\",\"type\":\"response.create\"}", 0, "", "", false, true},
    {"{\"type\":\"x\",\"Type\":\"response.create\"}", 0, "", "", false, true},
    {"{\"type\":7}", 0, "", "", false, true},
    {"{\"type\":\"session.update\",\"session\":{\"model\":7}}", 0, "", "", false, true},
    {"[]", 0, "", "", false, true},
    {"", 0, "", "", false, true},
};

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
        cmocka_unit_test(what_an_upstream_says_is_known_by_its_kind),
        cmocka_unit_test(cached_sound_is_counted_as_cached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
