/*
 * fuzz_token — any bytes as the response of any step of any source: what is taken is a whole
 * credential with a life, and no reason has a byte that could end a line.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/secret.h"
#include "common/upstream/token_fetch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static bool is_clean(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= 0x20 || s.ptr[i] == 0x7f)
            return false;
    return true;
}

static void check_made(const struct token_fetch *f)
{
    must(f->made && f->life_s > 0, "a credential without a life");
    must(is_clean(secret_reveal(f->made->secret)) && is_clean(f->made->key_id), "unclean");
    must(secret_reveal(f->made->secret).len > 0, "an empty secret");
    must(!f->made->session_token || is_clean(secret_reveal(f->made->session_token)), "unclean");
}

static void take(const struct token_kind *kind, const struct token_source *source, unsigned step,
                 struct slice response)
{
    struct access_token_spec spec = {
        .source = source, .scope = SLICE("scope"), .region = SLICE("eu-west-1")};
    struct token_fetch f = {
        .spec = &spec, .source = source, .step = step, .flavored = true, .status = 200};
    char *room;
    buf_init(&f.text, TOKEN_FETCH_TEXT);
    buf_init(&f.response, TOKEN_FETCH_RESPONSE);
    if (!buf_room(&f.text, TOKEN_FETCH_TEXT, &room) && !buf_append(&f.response, response)) {
        enum err e = kind->take(&f);
        if (!e)
            check_made(&f);
        else
            must(!f.made, "a credential beside an error");
        for (const char *c = f.why; *c; c++)
            must((unsigned char)*c >= 0x20, "a reason ends its line");
    }
    access_token_drop(f.made);
    buf_fini(&f.text);
    buf_fini(&f.response);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct token_source plain = {.token_url = {"http://a/b", 10},
                                              .token_field = {"value", 5},
                                              .impersonation_url = {"http://a/c", 10}};
    static const struct token_source named = {.role = {"role", 4}};
    static const struct token_kind *const kinds[] = {
        &token_kind_account,         &token_kind_aws_container,        &token_kind_aws_imds,
        &token_kind_gcp_metadata,    &token_kind_gcp_external_account, &token_kind_azure_client,
        &token_kind_aws_web_identity};
    struct slice response = slice_of(data, size);
    char word[64];
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (unsigned step = 0; step < 3; step++) {
            take(kinds[i], &plain, step, response);
            take(kinds[i], &named, step, response);
        }
    must(is_clean(token_fetch_error_word(response, word)), "an unclean word");
    return 0;
}
