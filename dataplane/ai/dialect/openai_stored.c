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

static const char *const item_wants[] = {"type", "id", "encrypted_content", "content", "output"};
enum { ITEM_TYPE, ITEM_ID, ITEM_ENCRYPTED, ITEM_CONTENT, ITEM_OUTPUT, ITEM_WANTS };

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

/* Where a part of content names a file; .type ABSENT: it names none, ERR_INVALID: it cannot be
 * told.
 */
static enum err file_of(const struct json_hit *part, const char *path, struct json_hit *ret)
{
    *ret = (struct json_hit){.type = JSON_SCAN_ABSENT};
    if (part->type != JSON_SCAN_OBJECT)
        return ERR_OK;
    return scan(part->raw, &path, 1, ret) ? ERR_OK : ERR_INVALID;
}

static void look_at_files(const struct ai_marker *m, const struct json_hit *list,
                          struct openai_bound *ret)
{
    struct slice rest = list->raw, value;
    struct json_hit part, file;
    struct ai_account account;
    while (list->type == JSON_SCAN_ARRAY && json_scan_item(&rest, &part))
        if (!file_of(&part, "file_id", &file) &&
            ai_mark_read(m, plain_text(&file), &value, &account)) {
            ret->stays = account;
            ret->marked = true;
        }
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
    look_at_files(m, &hits[ITEM_CONTENT], ret);
    look_at_files(m, &hits[ITEM_OUTPUT], ret);
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

/* ---- what is cut out of an item ---- */

#define CUTS_MAX 256 /* an item holds no more files than that */

struct cuts {
    struct slice at[CUTS_MAX];
    size_t n;
};

static bool cut(struct cuts *c, const char *from, const char *to)
{
    if (c->n == CUTS_MAX)
        return false;
    size_t i = c->n++;
    for (; i > 0 && c->at[i - 1].ptr > from; i--)
        c->at[i] = c->at[i - 1];
    c->at[i] = slice_of(from, (size_t)(to - from));
    return true;
}

/* The mark at the end of a string that carries one. */
static bool cut_mark(struct cuts *c, const struct json_hit *h)
{
    struct slice value, text = plain_text(h);
    struct ai_account by;
    if (!text.len || !ai_mark_split(text, &value, &by))
        return true;
    return cut(c, value.ptr + value.len, text.ptr + text.len);
}

static bool is_space(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

/* A member goes with one of the commas around it. */
static bool cut_member(struct cuts *c, struct slice item, const struct json_hit *h)
{
    const char *from = h->member.ptr, *to = from + h->member.len, *end = item.ptr + item.len;
    const char *behind = to, *before = from;
    while (behind < end && is_space(*behind))
        behind++;
    if (behind < end && *behind == ',')
        return cut(c, from, behind + 1);
    while (before > item.ptr && is_space(before[-1]))
        before--;
    if (before > item.ptr && before[-1] == ',')
        before--;
    return cut(c, before, to);
}

/* A file that is named must be this owner's, at this account. */
static enum err cut_files(struct openai_unmarking *u, struct cuts *c, const struct json_hit *list,
                          const char *path, const char *member, size_t index)
{
    struct slice rest = list->raw, value;
    struct json_hit part, file;
    struct ai_account by;
    for (size_t i = 0; list->type == JSON_SCAN_ARRAY && json_scan_item(&rest, &part); i++) {
        enum err e = file_of(&part, path, &file);
        if (!e && (file.type == JSON_SCAN_ABSENT || file.type == JSON_SCAN_NULL))
            continue;
        bool known = !e && u->marker && ai_mark_read(u->marker, plain_text(&file), &value, &by) &&
                     ai_account_eq(&by, u->account) && cut_mark(c, &file);
        if (known)
            continue;
        u->unknown = arena_printf(u->arena, "%s[%zu].content[%zu].%s", member, index, i, path).ptr;
        return ERR_NOT_FOUND;
    }
    return ERR_OK;
}

static enum err append_uncut(struct buf *out, struct slice whole, const struct cuts *c)
{
    const char *from = whole.ptr, *end = whole.ptr + whole.len;
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < c->n; i++) {
        e = buf_append(out, slice_of(from, (size_t)(c->at[i].ptr - from)));
        from = c->at[i].ptr + c->at[i].len;
    }
    return e ? e : buf_append(out, slice_of(from, (size_t)(end - from)));
}

/* ---- items ---- */

static enum err unknown_item(struct openai_unmarking *u, size_t index, const char *member)
{
    u->unknown = arena_printf(u->arena, "input[%zu].%s", index, member).ptr;
    return ERR_NOT_FOUND;
}

/* What of it goes. ERR_NOT_FOUND: it names what is not this owner's. */
static enum err look_through(struct openai_unmarking *u, const struct json_hit *item, size_t index,
                             struct cuts *c, bool *left_out)
{
    struct json_hit hits[ITEM_WANTS];
    c->n = 0;
    *left_out = false;
    if (item->type != JSON_SCAN_OBJECT)
        return ERR_OK;
    if (!scan(item->raw, item_wants, ITEM_WANTS, hits)) /* two readers may read it differently */
        return unknown_item(u, index, "type");
    enum fate f = fate_of(u, hits);
    *left_out = f == LEAVE_OUT;
    if (f == UNKNOWN)
        return unknown_item(u, index, "id");
    bool cuts =
        f == WITHOUT_ID ? cut_member(c, item->raw, &hits[ITEM_ID]) : cut_mark(c, &hits[ITEM_ID]);
    if (!cuts || !cut_mark(c, &hits[ITEM_ENCRYPTED]))
        return ERR_TOO_BIG;
    enum err e = cut_files(u, c, &hits[ITEM_CONTENT], "file_id", "input", index);
    return e ? e : cut_files(u, c, &hits[ITEM_OUTPUT], "file_id", "input", index);
}

bool openai_items_are_plain(struct openai_unmarking *u, struct slice items)
{
    struct json_hit item;
    struct cuts c;
    bool left_out;
    for (size_t i = 0; json_scan_item(&items, &item); i++)
        if (look_through(u, &item, i, &c, &left_out) || left_out || c.n)
            return false;
    return true;
}

static enum err take_item(struct openai_unmarking *u, const struct json_hit *item, size_t index,
                          bool *first)
{
    struct cuts c;
    bool left_out;
    enum err e = look_through(u, item, index, &c, &left_out);
    if (e)
        return e;
    if (left_out) {
        u->left_out = true;
        return ERR_OK;
    }
    if (!*first)
        e = buf_append(u->out, SLICE(","));
    *first = false;
    return e ? e : append_uncut(u->out, item->raw, &c);
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

/* ---- messages of a chat ---- */

static enum err take_message(struct openai_unmarking *u, const struct json_hit *message,
                             size_t index)
{
    static const char *const wants[] = {"content"};
    struct json_hit content;
    struct cuts c = {.n = 0};
    if (message->type != JSON_SCAN_OBJECT)
        return buf_append(u->out, message->raw);
    if (!scan(message->raw, wants, ARRAY_LEN(wants), &content)) {
        u->unknown = arena_printf(u->arena, "messages[%zu]", index).ptr;
        return ERR_NOT_FOUND;
    }
    enum err e = cut_files(u, &c, &content, "file.file_id", "messages", index);
    return e ? e : append_uncut(u->out, message->raw, &c);
}

enum err openai_unmark_messages(struct openai_unmarking *u, struct slice messages)
{
    struct json_hit message;
    enum err e = buf_append(u->out, SLICE("["));
    for (size_t i = 0; !e && json_scan_item(&messages, &message); i++) {
        if (i)
            e = buf_append(u->out, SLICE(","));
        if (!e)
            e = take_message(u, &message, i);
    }
    return e ? e : buf_append(u->out, SLICE("]"));
}
