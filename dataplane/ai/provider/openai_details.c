/*
 * openai_details — details of reasoning as seals, and back.
 */
#include "dataplane/ai/provider/openai_details.h"

#include <string.h>

#include "common/base/digest.h"
#include "common/base/limits.h"

static bool is_of(const json_t *detail, struct slice type)
{
    return slice_eq(json_text(detail, "type"), type);
}

bool openai_detail_is_encrypted(const json_t *detail)
{
    return is_of(detail, SLICE("reasoning.encrypted")) && json_text(detail, "data").len;
}

bool openai_detail_is_signed(const json_t *detail)
{
    return is_of(detail, SLICE("reasoning.text")) && json_text(detail, "signature").len;
}

static const char *text_member(const json_t *detail)
{
    return is_of(detail, SLICE("reasoning.summary")) ? "summary"
           : is_of(detail, SLICE("reasoning.text"))  ? "text"
                                                     : NULL;
}

struct slice openai_detail_text(const json_t *detail)
{
    const char *member = text_member(detail);
    return member ? json_text(detail, member) : SLICE_NONE;
}

enum err openai_detail_seal(const json_t *detail, struct arena *a, struct slice *ret)
{
    JSON_AUTO json_t *own = json_copy((json_t *)(uintptr_t)detail);
    struct buf text;
    if (!own)
        return ERR_NOMEM;
    if (text_member(own))
        (void)json_object_del(own, text_member(own)); /* it may have none */
    buf_init(&text, LIMIT_AI_ANSWER);
    enum err e = json_write(own, &text);
    if (!e) {
        char *out = arena_alloc(a, 4 * ((text.len + 2) / 3) + 1);
        if (out)
            *ret = slice_of(out, digest_base64(buf_slice(&text), out));
        e = out ? ERR_OK : ERR_NOMEM;
    }
    buf_fini(&text);
    return e;
}

static json_t *read_seal(struct slice seal, struct arena *a, enum err *e)
{
    size_t len;
    json_t *tree = NULL;
    struct json_problem problem;
    uint8_t *bytes = arena_alloc(a, seal.len);
    *e = bytes ? digest_unbase64(seal, bytes, seal.len, &len) : ERR_NOMEM;
    if (!*e)
        *e = json_read(slice_of((const char *)bytes, len), &tree, &problem);
    return tree;
}

enum err openai_detail_open(const struct ai_part *p, struct arena *a, json_t **ret)
{
    struct slice seal = p->redacted.len ? p->redacted : p->signature;
    enum err e = ERR_OK;
    *ret = NULL;
    /* What no account made here was sealed by another. */
    if (p->kind != AI_PART_REASONING || !p->maker.len || !seal.len)
        return ERR_OK;
    JSON_AUTO json_t *tree = read_seal(seal, a, &e);
    if (e)
        return e == ERR_NOMEM ? e : ERR_OK;
    if (!openai_detail_is_signed(tree) && !openai_detail_is_encrypted(tree))
        return ERR_OK;
    if (text_member(tree))
        json_set_text(tree, text_member(tree), p->text.ptr ? p->text : SLICE(""));
    *ret = json_incref(tree);
    return ERR_OK;
}
