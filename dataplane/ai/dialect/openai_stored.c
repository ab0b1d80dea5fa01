/*
 * openai_stored — marks put on and taken off, in the bytes as they stand.
 */
#include "dataplane/ai/dialect/openai_stored.h"

#define SIGNATURE "ghs."
#define REDACTED "ghr."
#define KIND_LEN 4

/* The text of a string without escapes, which ids and base64 are. */
static struct slice plain_text(const struct json_hit *h)
{
    if (h->type != JSON_SCAN_STRING || h->raw.len < 3)
        return SLICE_NONE;
    struct slice text = slice_of(h->raw.ptr + 1, h->raw.len - 2);
    return slice_find(text, '\\') < 0 ? text : SLICE_NONE;
}

/* ---- towards the client ---- */

/* Copies from *from up to the end of the string, and puts a mark before its quote. */
struct marking {
    const struct ai_context *to;
    const char *from;
    struct buf *out;
    enum err e;
};

static void put_mark(struct marking *m, const struct json_hit *h)
{
    char bytes[AI_MARK_LEN];
    struct slice text = plain_text(h);
    if (m->e || !text.len || !m->to->marker ||
        !ai_mark_write(m->to->marker, &m->to->account, text, bytes))
        return;
    const char *end = text.ptr + text.len;
    m->e = buf_append(m->out, slice_of(m->from, (size_t)(end - m->from)));
    if (!m->e)
        m->e = buf_append(m->out, slice_of(bytes, AI_MARK_LEN));
    m->from = end;
}

/* In the order of the bytes, whatever order the members have. */
static void mark_hits(struct marking *m, struct json_hit **hits, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && hits[j]->raw.ptr < hits[j - 1]->raw.ptr; j--) {
            struct json_hit *later = hits[j - 1];
            hits[j - 1] = hits[j];
            hits[j] = later;
        }
    for (size_t i = 0; i < n; i++)
        put_mark(m, hits[i]);
}

static bool scan(struct slice json, const char *const *wants, size_t n, struct json_hit *hits)
{
    struct json_scan_problem problem;
    enum json_type root;
    return !json_scan_response(json, wants, n, hits, &root, &problem) && root == JSON_SCAN_OBJECT;
}

static void mark_item(struct marking *m, struct slice item)
{
    static const char *const wants[] = {"id", "encrypted_content"};
    struct json_hit hits[ARRAY_LEN(wants)], *which[ARRAY_LEN(wants)];
    size_t n = 0;
    if (!scan(item, wants, ARRAY_LEN(wants), hits))
        return;
    if (m->to->stored)
        which[n++] = &hits[0];
    which[n++] = &hits[1];
    mark_hits(m, which, n);
}

static void mark_items(struct marking *m, const struct json_hit *list)
{
    struct slice rest = list->raw;
    struct json_hit item;
    if (list->type != JSON_SCAN_ARRAY)
        return;
    while (json_scan_item(&rest, &item))
        if (item.type == JSON_SCAN_OBJECT)
            mark_item(m, item.raw);
}

static void mark_response(struct marking *m, struct slice json)
{
    static const char *const wants[] = {"id",
                                        "previous_response_id",
                                        "conversation.id",
                                        "first_id",
                                        "last_id",
                                        "input_file_id",
                                        "output_file_id",
                                        "error_file_id",
                                        "output",
                                        "data"};
    enum { STRINGS = 8, OUTPUT = 8, DATA = 9 };
    struct json_hit hits[ARRAY_LEN(wants)], *which[ARRAY_LEN(wants)];
    size_t n = 0;
    if (!scan(json, wants, ARRAY_LEN(wants), hits))
        return;
    for (size_t i = 0; i < STRINGS; i++)
        if (hits[i].type == JSON_SCAN_STRING && m->to->stored)
            which[n++] = &hits[i];
    for (size_t i = OUTPUT; i <= DATA; i++)
        if (hits[i].type == JSON_SCAN_ARRAY)
            which[n++] = &hits[i];
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && which[j]->raw.ptr < which[j - 1]->raw.ptr; j--) {
            struct json_hit *later = which[j - 1];
            which[j - 1] = which[j];
            which[j] = later;
        }
    for (size_t i = 0; i < n; i++) {
        if (which[i]->type == JSON_SCAN_ARRAY)
            mark_items(m, which[i]);
        else
            put_mark(m, which[i]);
    }
}

/* The members of an event are few, and each is in its own kind of event. */
static void mark_data(struct marking *m, struct slice data)
{
    static const char *const wants[] = {"item_id", "item", "response"};
    struct json_hit hits[ARRAY_LEN(wants)];
    if (!scan(data, wants, ARRAY_LEN(wants), hits))
        return;
    if (hits[0].type == JSON_SCAN_STRING && m->to->stored)
        put_mark(m, &hits[0]);
    else if (hits[1].type == JSON_SCAN_OBJECT)
        mark_item(m, hits[1].raw);
    else if (hits[2].type == JSON_SCAN_OBJECT)
        mark_response(m, hits[2].raw);
}

static enum err finish_marking(struct marking *m, struct slice whole)
{
    const char *end = whole.ptr + whole.len;
    return m->e ? m->e : buf_append(m->out, slice_of(m->from, (size_t)(end - m->from)));
}

/* Where nothing can be marked in it, an event is copied as it is. */
static bool has_marks(const struct ai_context *to, struct slice bytes)
{
    if (!to->marker || !to->marker->ready)
        return false;
    return to->stored || slice_search(bytes, SLICE("\"encrypted_content\"")) >= 0;
}

/* The value of the one data line; empty where there are several, which OpenAI never sends. */
static struct slice data_of(struct slice raw)
{
    struct slice line, found = SLICE_NONE;
    while (slice_split(&raw, '\n', &line)) {
        if (!slice_starts(line, SLICE("data:")))
            continue;
        if (found.ptr)
            return SLICE_NONE;
        found = slice_from(line, 5);
    }
    return found;
}

enum err openai_stored_mark_event(const struct ai_context *to, struct slice raw, struct buf *out)
{
    struct marking m = {.to = to, .from = raw.ptr, .out = out};
    if (!has_marks(to, raw))
        return buf_append(out, raw);
    mark_data(&m, data_of(raw));
    return finish_marking(&m, raw);
}

enum err openai_stored_mark_body(const struct ai_context *to, struct slice body, struct buf *out)
{
    struct marking m = {.to = to, .from = body.ptr, .out = out};
    if (has_marks(to, body))
        mark_response(&m, body);
    return finish_marking(&m, body);
}

static bool needs_no_escape(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == '"' || s.ptr[i] == '\\')
            return false;
    return true;
}

/* Signatures are base64 with all providers; one that is not is left out. */
enum err openai_signature_write(const struct ai_context *to, struct slice signature,
                                struct slice redacted, struct buf *out)
{
    char mark[AI_MARK_LEN];
    const struct slice inner = signature.len ? signature : redacted;
    if (!inner.len || !to->marker || !to->marker->ready || !to->account.text[0] ||
        !needs_no_escape(inner))
        return ERR_OK;
    enum err e = buf_append(out, SLICE(",\"encrypted_content\":\""));
    size_t at = out->len;
    if (!e)
        e = buf_append(out, signature.len ? SLICE(SIGNATURE) : SLICE(REDACTED));
    if (!e)
        e = buf_append(out, inner);
    if (e || !ai_mark_write(to->marker, &to->account, slice_from(buf_slice(out), at), mark))
        return e;
    e = buf_append(out, slice_of(mark, AI_MARK_LEN));
    return e ? e : buf_append(out, SLICE("\""));
}

/* ---- from the client ---- */

enum err openai_signature_read(const struct ai_marker *m, struct slice text, struct arena *a,
                               struct openai_signature *ret)
{
    struct slice value;
    struct ai_account account;
    *ret = (struct openai_signature){0};
    if (!m || !ai_mark_read(m, text, &value, &account))
        return ERR_OK;
    if (slice_starts(value, SLICE(SIGNATURE)))
        ret->signature = slice_from(value, KIND_LEN);
    else if (slice_starts(value, SLICE(REDACTED)))
        ret->redacted = slice_from(value, KIND_LEN);
    else
        return ERR_OK;
    ret->maker = arena_copy(a, slice_of(account.text, AI_ACCOUNT_LEN));
    return ret->maker.ptr ? ERR_OK : ERR_NOMEM;
}

static void look_at_id(const struct ai_marker *m, struct slice id, struct openai_bound *ret)
{
    struct slice value;
    struct ai_account account;
    if (!id.len || !ai_mark_read(m, id, &value, &account))
        return;
    ret->stays = account;
    ret->marked = true;
}

static const char *const item_wants[] = {"type", "id", "encrypted_content"};
enum { ITEM_TYPE, ITEM_ID, ITEM_ENCRYPTED, ITEM_WANTS };

/* However it is spelt: what is not seen here is looked up by the provider. */
static bool is_type(const struct json_hit *hits, struct slice name)
{
    char text[64];
    struct slice type;
    const struct json_hit *h = &hits[ITEM_TYPE];
    if (h->type != JSON_SCAN_STRING || h->raw.len > 6 * sizeof(text))
        return false;
    return !json_scan_text(h, text, sizeof(text), &type) && slice_eq(type, name);
}

static bool refers(const struct json_hit *hits)
{
    return is_type(hits, SLICE("item_reference"));
}

/* An item of these holds all that it says, and its id is a label. */
static bool is_complete(const struct json_hit *hits)
{
    static const struct slice types[] = {{"message", 7},
                                         {"function_call", 13},
                                         {"function_call_output", 20},
                                         {"custom_tool_call", 16},
                                         {"custom_tool_call_output", 23}};
    if (hits[ITEM_TYPE].type == JSON_SCAN_ABSENT)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (is_type(hits, types[i]))
            return true;
    return false;
}

static void look_at_item(const struct ai_marker *m, struct slice item, struct openai_bound *ret)
{
    struct json_hit hits[ITEM_WANTS];
    struct slice value;
    struct ai_account account;
    if (!scan(item, item_wants, ITEM_WANTS, hits))
        return;
    if (ai_mark_read(m, plain_text(&hits[ITEM_ENCRYPTED]), &value, &account)) {
        ret->prefers = account;
        ret->marked = true;
    }
    if (ai_mark_read(m, plain_text(&hits[ITEM_ID]), &value, &account)) {
        ret->marked = true;
        if (refers(hits))
            ret->stays = account;
        else
            ret->prefers = account;
    }
}

void openai_stored_look(const struct ai_marker *m, struct slice previous, struct slice conversation,
                        struct slice input, struct openai_bound *ret)
{
    struct json_hit item;
    *ret = (struct openai_bound){0};
    if (!m || !m->ready)
        return;
    look_at_id(m, previous, ret);
    look_at_id(m, conversation, ret);
    if (slice_search(input, SLICE("_gh")) < 0)
        return;
    while (json_scan_item(&input, &item))
        if (item.type == JSON_SCAN_OBJECT)
            look_at_item(m, item.raw, ret);
}

enum err openai_unmark_id(const struct ai_marker *m, struct slice text, struct slice *value,
                          struct ai_account *account)
{
    return m && ai_mark_read(m, text, value, account) ? ERR_OK : ERR_NOT_FOUND;
}

/* What an item becomes for the target. */
enum fate { KEEP, WITHOUT_ID, LEAVE_OUT, UNKNOWN };

/* Was it made by the target's account, for this owner, and not by one of another protocol? */
static bool is_readable(const struct openai_unmarking *u, struct slice sealed)
{
    struct slice value;
    struct ai_account by;
    if (!ai_mark_split(sealed, &value, &by))
        return true; /* from before the gateway; only its provider can tell */
    return u->marker && ai_mark_read(u->marker, sealed, &value, &by) &&
           ai_account_eq(&by, u->account) && !slice_starts(value, SLICE(SIGNATURE)) &&
           !slice_starts(value, SLICE(REDACTED));
}

static enum fate fate_of(const struct openai_unmarking *u, const struct json_hit *hits)
{
    struct slice id = plain_text(&hits[ITEM_ID]), sealed = plain_text(&hits[ITEM_ENCRYPTED]);
    struct slice value;
    struct ai_account by;
    bool named = hits[ITEM_ID].type == JSON_SCAN_STRING;
    bool marked = id.len && ai_mark_split(id, &value, &by);
    bool here = marked && u->marker && ai_mark_read(u->marker, id, &value, &by) &&
                ai_account_eq(&by, u->account);
    if (refers(hits))
        return here ? KEEP : UNKNOWN;
    if (sealed.len && !is_readable(u, sealed))
        return LEAVE_OUT;
    if (!named || here)
        return KEEP;
    if (is_complete(hits) || sealed.len)
        return marked ? WITHOUT_ID : KEEP;
    /* Without its content it is looked up by its id. */
    return is_type(hits, SLICE("reasoning")) ? LEAVE_OUT : WITHOUT_ID;
}

static bool is_plain(const struct openai_unmarking *u, const struct json_hit *item)
{
    struct json_hit hits[ITEM_WANTS];
    struct slice value;
    struct ai_account by;
    if (item->type != JSON_SCAN_OBJECT || !scan(item->raw, item_wants, ITEM_WANTS, hits))
        return true;
    return fate_of(u, hits) == KEEP && !ai_mark_split(plain_text(&hits[ITEM_ID]), &value, &by) &&
           !ai_mark_split(plain_text(&hits[ITEM_ENCRYPTED]), &value, &by);
}

bool openai_items_are_plain(const struct openai_unmarking *u, struct slice items)
{
    struct json_hit item;
    while (json_scan_item(&items, &item))
        if (!is_plain(u, &item))
            return false;
    return true;
}

static enum err append_to(struct buf *out, const char **from, const char *to)
{
    enum err e = buf_append(out, slice_of(*from, (size_t)(to - *from)));
    *from = to;
    return e;
}

/* Skips the mark at the end of a string that carries one. */
static enum err skip_mark(struct buf *out, const char **from, const struct json_hit *h)
{
    struct slice value, text = plain_text(h);
    struct ai_account by;
    if (!text.len || !ai_mark_split(text, &value, &by))
        return ERR_OK;
    enum err e = append_to(out, from, value.ptr + value.len);
    *from = text.ptr + text.len;
    return e;
}

/* A member goes with one of the commas around it. */
static enum err skip_member(struct buf *out, const char **from, struct slice item,
                            const struct json_hit *h)
{
    enum err e = append_to(out, from, h->member.ptr);
    const char *at = h->member.ptr + h->member.len, *end = item.ptr + item.len;
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        at++;
    if (at < end && *at == ',') {
        *from = at + 1;
        return e;
    }
    *from = h->member.ptr + h->member.len; /* the last one: the comma before it goes */
    while (!e && out->len && strchr(" \t\r\n", out->data[out->off + out->len - 1]))
        out->len--;
    if (!e && out->len && out->data[out->off + out->len - 1] == ',')
        out->len--;
    return e;
}

static enum err unmark_item(struct openai_unmarking *u, struct slice item,
                            const struct json_hit *hits, bool with_id)
{
    const char *from = item.ptr;
    const struct json_hit *order[2] = {&hits[ITEM_ID], &hits[ITEM_ENCRYPTED]};
    enum err e = ERR_OK;
    if (order[1]->raw.ptr && order[0]->raw.ptr && order[1]->raw.ptr < order[0]->raw.ptr) {
        order[0] = &hits[ITEM_ENCRYPTED];
        order[1] = &hits[ITEM_ID];
    }
    for (size_t i = 0; !e && i < 2; i++) {
        if (order[i]->type == JSON_SCAN_ABSENT)
            continue;
        e = order[i] == &hits[ITEM_ID] && !with_id ? skip_member(u->out, &from, item, order[i])
                                                   : skip_mark(u->out, &from, order[i]);
    }
    return e ? e : append_to(u->out, &from, item.ptr + item.len);
}

static enum err take_item(struct openai_unmarking *u, const struct json_hit *item, size_t index,
                          bool *first)
{
    struct json_hit hits[ITEM_WANTS];
    bool read = item->type == JSON_SCAN_OBJECT && scan(item->raw, item_wants, ITEM_WANTS, hits);
    enum fate f = read ? fate_of(u, hits) : KEEP;
    if (f == UNKNOWN) {
        u->unknown = arena_printf(u->arena, "input[%zu].id", index).ptr;
        return ERR_NOT_FOUND;
    }
    if (f == LEAVE_OUT) {
        u->left_out = true;
        return ERR_OK;
    }
    enum err e = *first ? ERR_OK : buf_append(u->out, SLICE(","));
    *first = false;
    if (e)
        return e;
    return read ? unmark_item(u, item->raw, hits, f == KEEP) : buf_append(u->out, item->raw);
}

enum err openai_unmark_items(struct openai_unmarking *u, struct slice items)
{
    struct json_hit item;
    bool first = true;
    enum err e = buf_append(u->out, SLICE("["));
    for (size_t i = 0; !e && json_scan_item(&items, &item); i++)
        e = take_item(u, &item, i, &first);
    return e ? e : buf_append(u->out, SLICE("]"));
}
