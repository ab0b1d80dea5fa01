/*
 * fuzz_sealed_id — sealed ids of the tool gate: text that was not sealed here never opens, whatever
 * was sealed opens as it was or not at all, and what opened is sealed and opened again as the same.
 *
 * The first byte chooses: 0 the input as the text of an id; 1 as the bytes that a data plane of any
 * version sealed as a session id; 2 as the two ids of a question, parted by the second byte.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/digest.h"
#include "mcp-gateway/question_id.h"
#include "mcp-gateway/session_id.h"

#define NOW 1700000000
#define SEALED_MAX (LIMIT_SEALED_ID / 4 * 3)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mcp_bearer bearer = {
    .org_id = {"org", 3}, .key_id = {"k_1", 3}, .agent_id = {"a_1", 3}, .path = {"/mcp/x", 6}};
static const struct question_place place = {{"org", 3}, {"0123456789abcdef", 16}};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static const struct seal *key(void)
{
    static struct seal *s;
    char master[SEAL_MASTER_LEN] = "0123456789abcdef0123456789abcde";
    if (!s)
        s = seal_new(slice_of(master, sizeof(master)));
    must(s != NULL, "a seal");
    return s;
}

static void try_text(struct slice text)
{
    static char plain[QUESTION_ID_PLAIN];
    struct mcp_session_id id;
    struct slice original, upstream;
    must(mcp_session_id_open(key(), &bearer, text, NOW, &id) != ERR_OK, "a made-up session id");
    must(question_id_open(key(), &place, text, plain, &original, &upstream) != ERR_OK,
         "a made-up question");
}

static void is_same(const struct mcp_session_id *a, const struct mcp_session_id *b)
{
    must(!memcmp(a->sid, b->sid, sizeof(a->sid)) && !memcmp(a->label, b->label, sizeof(a->label)) &&
             a->revision == b->revision && a->declared == b->declared && a->born_s == b->born_s &&
             a->ends_s == b->ends_s && a->server_revision == b->server_revision &&
             a->upstream_revision == b->upstream_revision,
         "another session");
    must(slice_eq(a->server_id, b->server_id) && slice_eq(a->task_id, b->task_id) &&
             slice_eq(a->upstream_id, b->upstream_id) &&
             slice_eq(a->capabilities, b->capabilities) && slice_eq(a->client_info, b->client_info),
         "other texts");
}

/* As session_id.c seals: the bearer's ids and its path, each with its NUL. */
static void try_plain(struct slice plain)
{
    static const char aad[] = "k_1\0a_1\0/mcp/x";
    uint8_t sealed[SEALED_MAX];
    char text[LIMIT_SEALED_ID + 8], again[LIMIT_SEALED_ID + 1];
    struct mcp_session_id id, same;
    struct slice out;
    size_t len;
    if (plain.len > sizeof(sealed) - SEAL_OVERHEAD)
        return;
    must(!seal_close(key(), SLICE("mcp-session"), bearer.org_id, slice_of(aad, sizeof(aad)), plain,
                     sealed, &len),
         "sealed");
    out = slice_of(text, digest_base64url(slice_of(sealed, len), text));
    if (mcp_session_id_open(key(), &bearer, out, NOW, &id))
        return;
    must(id.ends_s > NOW, "one that has ended");
    if (id.server_id.len > MCP_POLICY_ID || id.task_id.len > MCP_POLICY_ID)
        return; /* never sealed here */
    must(!mcp_session_id_seal(key(), &bearer, &id, again, &out), "sealed again");
    must(!mcp_session_id_open(key(), &bearer, out, NOW, &same), "opened again");
    is_same(&id, &same);
}

static void try_question(struct slice both, size_t at)
{
    static char text[QUESTION_ID_TEXT], plain[QUESTION_ID_PLAIN];
    struct slice first = slice_first(both, at < both.len ? at : both.len);
    struct slice second = slice_from(both, first.len), id, original, upstream;
    if (question_id_seal(key(), &place, first, second, text, &id)) {
        must(both.len >= QUESTION_ID_PLAIN || slice_find(second, ' ') >= 0, "a question fits");
        return;
    }
    must(!question_id_open(key(), &place, id, plain, &original, &upstream), "a question opens");
    must(slice_eq(original, first) && slice_eq(upstream, second), "another question");
    const struct question_place other = {place.org_id, {"fedcba9876543210", 16}};
    must(question_id_open(key(), &other, id, plain, &original, &upstream) != ERR_OK,
         "in another session");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return -1;
    if (data[0] % 3 == 0)
        try_text(slice_of(data + 1, size - 1));
    else if (data[0] % 3 == 1)
        try_plain(slice_of(data + 1, size - 1));
    else
        try_question(slice_of(data + 2, size - 2), data[1]);
    return 0;
}
