/*
 * fuzz_mcp_response — messages of a server: whatever they say, what is written of them is JSON that
 * reads again, a cut list holds no item twice and none that was not let through, and narrowed
 * capabilities hold no part that is not granted.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "mcp-gateway/client_session.h"
#include "mcp-gateway/mcp_response.h"
#include "mcp-gateway/upstream_opening.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static bool may_short(void *arg, struct slice name)
{
    (void)arg;
    return name.len < 5;
}

static enum json_type root_of(const struct buf *b)
{
    enum json_type root;
    check(!json_scan_response(buf_slice(b), NULL, 0, NULL, &root, NULL), "no JSON was written");
    return root;
}

static void cut_list(const struct json_hit *list, const char *member)
{
    struct buf once, twice;
    if (list->type != JSON_SCAN_ARRAY)
        return;
    buf_init(&once, LIMIT_MCP_ANSWER);
    buf_init(&twice, LIMIT_MCP_ANSWER);
    check(!mcp_filter_items(list->raw, member, may_short, NULL, &once), "a list cannot be cut");
    check(root_of(&once) == JSON_SCAN_ARRAY, "a list is no array any more");
    check(!mcp_filter_items(buf_slice(&once), member, may_short, NULL, &twice), "not cut again");
    check(slice_eq(buf_slice(&once), buf_slice(&twice)), "cut again, it is another list");
    buf_fini(&once);
    buf_fini(&twice);
}

static void narrow(const struct mcp_response *a)
{
    static const char *const wants[] = {"prompts", "resources", "completions"};
    struct json_hit hit[3];
    enum json_type root;
    struct buf out;
    for (int whole = 0; whole < 2; whole++) {
        buf_init(&out, LIMIT_MCP_ANSWER);
        if (!mcp_narrow(a, whole, &out)) {
            check(root_of(&out) == JSON_SCAN_OBJECT, "capabilities are no object any more");
            check(whole || (!json_scan_response(buf_slice(&out), wants, 3, hit, &root, NULL) &&
                            !hit[0].type && !hit[1].type && !hit[2].type),
                  "a part that is not granted");
        }
        buf_fini(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct mcp_response a;
    struct buf out;
    char said[100];
    upstream_said(text, said, sizeof(said));
    check(strlen(said) < sizeof(said), "what it said has no end");
    for (const char *p = said; *p; p++)
        check((unsigned char)*p >= ' ', "a control character");
    buf_init(&out, 4096);
    check(!client_declared_write(client_declared(text), &out) &&
              client_declared(buf_slice(&out)) ==
                  (client_declared(text) & ~(uint32_t)DECLARES_TASKS),
          "what is declared is not what is written");
    buf_fini(&out);
    if (mcp_response_read(text, &a))
        return 0;
    cut_list(&a.tools, "name");
    cut_list(&a.tasks, "taskId");
    narrow(&a);
    return 0;
}
