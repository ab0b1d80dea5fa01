/*
 * fuzz_tokens — any bytes have a count: at least one token, at most one for each byte, the same
 * each time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/ai/tokens/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    must(tokens_open() == ERR_OK, "the ranks are read");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    uint64_t n = tokens_count(text);
    must(n <= size && (n > 0) == (size > 0), "between one and a token a byte");
    must(tokens_count(text) == n, "the same again");
    must(tokens_of_model(SLICE("claude-opus-5"), n) >= n, "no family makes fewer");
    return 0;
}
