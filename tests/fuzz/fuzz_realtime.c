/*
 * fuzz_realtime — events of either side of a realtime session: what is read of them lies inside
 * them, and one that a client may say is JSON of one reading. Client secrets: nothing that was not
 * sealed opens.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/ai/dialect/openai_realtime.h"
#include "dataplane/ai/realtime_secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void try_said(struct slice s)
{
    struct realtime_said said;
    struct slice why;
    if (realtime_read_said(s, &said, &why)) {
        must(why.len > 0, "refused without a word");
        return;
    }
    must(said.model_len < REALTIME_NAME_MAX && said.transcriber_len < REALTIME_NAME_MAX, "names");
    if (said.model_len)
        must(said.model.raw.ptr >= s.ptr &&
                 said.model.raw.ptr + said.model.raw.len <= s.ptr + s.len,
             "outside");
}

static void try_heard(struct slice s)
{
    struct realtime_heard heard;
    struct token_count tokens;
    realtime_read_heard(s, &heard);
    must(heard.bytes <= s.len && heard.transcriber_len < REALTIME_NAME_MAX, "more than there is");
    if (ai_usage_count(&heard.usage, &tokens) == AI_COUNTED_ALL)
        must(tokens.input >= tokens.cache_read + tokens.audio_input &&
                 tokens.output >= tokens.audio_output,
             "parts above the whole");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = slice_of(data, size);
    try_said(s);
    try_heard(s);
    must(!realtime_secret_is_ours(s) || s.len <= REALTIME_SECRET_MAX, "too long to be ours");
    return 0;
}
