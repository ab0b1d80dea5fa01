/*
 * fuzz_azure_path — the target of a client of Azure, a line, and behind it a body, JSON or a form
 * with the boundary "xyz": a target that is read is one of OpenAI's paths or stays as it was, says
 * no api-version, and names its deployment in a body that one reader finds no other model in.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/ai/dialect/azure_path.h"
#include "dataplane/ai/dialect/body_member.h"
#include "dataplane/ai/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

struct found {
    struct slice model;
    size_t count;
};

static bool take_field(void *arg, const struct form_part *p)
{
    struct found *f = arg;
    if (slice_eq(p->name, SLICE("model"))) {
        f->model = p->value;
        f->count++;
    }
    return true;
}

static bool read_model(struct slice body, bool is_form, struct arena *a, struct found *f)
{
    static const char *const wants[] = {"model"};
    const char *why;
    struct json_hit hit;
    struct json_scan_problem problem;
    enum json_type root;
    *f = (struct found){.model = SLICE_NONE};
    if (is_form)
        return !form_read(body, SLICE("xyz"), take_field, f, &why);
    if (json_scan(body, wants, 1, &hit, &root, &problem) || root != JSON_SCAN_OBJECT)
        return false;
    char *text = arena_alloc(a, hit.raw.len + 1);
    f->count = hit.type != JSON_SCAN_ABSENT;
    if (hit.type == JSON_SCAN_STRING)
        must(text && !json_scan_text(&hit, text, hit.raw.len, &f->model), "the name reads back");
    return true;
}

static bool is_plain(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < ' ' || (unsigned char)name.ptr[i] > '~')
            return false;
    return true;
}

static void name_model(struct arena *a, struct slice said, bool is_form, struct slice deployment)
{
    static struct http_head head;
    head.header_count = 1;
    head.lengths = UINT64_MAX;
    head.headers[0] = (struct http_header){SLICE("content-type"),
                                           is_form ? SLICE("multipart/form-data; boundary=xyz")
                                                   : SLICE("application/json")};
    struct buf body, spare;
    struct found before, after;
    buf_init(&body, 1 << 20);
    buf_init(&spare, 1 << 20);
    must(!buf_append(&body, said), "room");
    bool readable = read_model(said, is_form, a, &before) && before.count <= 1;
    const struct azure_body in = {.head = &head, .deployment = deployment};
    must(!azure_name_model(a, &in, &body, &spare), "room");
    if (!readable) {
        must(is_form || slice_eq(buf_slice(&body), said), "what cannot be read stays as it is");
    } else if (is_plain(deployment)) {
        bool reads = read_model(buf_slice(&body), is_form, a, &after);
        must(is_form || reads, "what was read is read again");
        must(!reads || after.count <= 1, "there is one model");
        must(is_form || slice_eq(after.model, deployment), "and it is the path's");
    }
    buf_fini(&body);
    buf_fini(&spare);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_of((const char *)data, size), target, query = SLICE("");
    struct azure_path read;
    struct arena *a;
    if (!slice_split(&body, '\n', &target) || !body.ptr)
        return 0;
    ptrdiff_t at = slice_find(target, '?');
    if (at >= 0) {
        query = slice_from(target, (size_t)at + 1);
        target = slice_first(target, (size_t)at);
    }
    if (!azure_is_path(target))
        return 0;
    a = arena_new(4096, 1 << 22);
    if (!a)
        return 0;
    must(!azure_path_read(a, target, query, &read), "memory is there");
    must(slice_starts(read.path, SLICE("/v1/")) || slice_eq(read.path, target), "a path");
    must(!read.deployment.ptr || slice_starts(read.path, SLICE("/v1/")), "an operation of one");
    must(!slice_starts(read.query, SLICE("api-version=")) &&
             slice_search(read.query, SLICE("&api-version=")) < 0,
         "no version");
    if (read.deployment.ptr)
        name_model(a, body, slice_starts(body, SLICE("--")), read.deployment);
    arena_free(a);
    return 0;
}
