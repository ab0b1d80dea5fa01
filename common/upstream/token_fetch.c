/* token_fetch — what the kinds of sources have in common, and the table of them. */
#include "common/upstream/token_fetch.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/xml_text.h"

#define FILE_MAX (16 * 1024)
#define TOKEN_MAX (16 * 1024)
#define KEY_ID_MAX 128
#define LIFE_MAX_S (7 * 86400) /* of a token; more is no token's */

/* ---- the table ---- */

static const struct token_kind *const kinds[] = {
    &token_kind_aws_container,        &token_kind_aws_imds,
    &token_kind_aws_web_identity,     &token_kind_gcp_metadata,
    &token_kind_gcp_external_account, &token_kind_azure_client,
};

const struct token_kind *token_kind_named(struct slice word)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (slice_eq(kinds[i]->name, word))
            return kinds[i];
    return NULL;
}

struct slice token_kind_name(const struct token_kind *k)
{
    return k->name;
}

bool token_kind_signs(const struct token_kind *k)
{
    return k->signs;
}

static bool is_address(struct slice text)
{
    struct url u;
    return !text.len || url_parse(text, &u) == ERR_OK;
}

bool token_source_is_whole(const struct token_source *s, struct slice region, bool has_secret)
{
    return is_address(s->url) && is_address(s->token_url) && is_address(s->impersonation_url) &&
           s->kind->is_whole(s, region, has_secret);
}

/* ---- what was given ---- */

struct access_token *access_token_hold(struct access_token *t)
{
    t->holds++;
    return t;
}

void access_token_drop(struct access_token *t)
{
    if (!t || --t->holds)
        return;
    secret_drop(t->secret);
    secret_drop(t->session_token);
    mem_free(t);
}

/* ---- the request ---- */

enum err token_fetch_text(struct token_fetch *f, const struct slice *pieces, size_t n,
                          struct slice *ret)
{
    const char *from = f->text.data + f->text.off + f->text.len;
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        enum err e = buf_append(&f->text, pieces[i]);
        if (e)
            return e;
        len += pieces[i].len;
    }
    *ret = slice_of(from, len);
    return ERR_OK;
}

static enum err lengthen_body(struct token_fetch *f, struct slice more)
{
    enum err e = buf_append(&f->text, more);
    if (!e)
        f->body.len += more.len;
    return e;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

enum err token_fetch_field(struct token_fetch *f, const char *name, struct slice value)
{
    static const char digits[] = "0123456789ABCDEF";
    enum err e = f->body.len ? lengthen_body(f, SLICE("&")) : ERR_OK;
    if (!e)
        e = lengthen_body(f, slice_str(name));
    if (!e)
        e = lengthen_body(f, SLICE("="));
    for (size_t i = 0; i < value.len && !e; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        const char coded[] = {'%', digits[c >> 4], digits[c & 15]};
        e = lengthen_body(f, is_unreserved((char)c) ? slice_of(value.ptr + i, 1)
                                                    : slice_of(coded, sizeof(coded)));
    }
    return e;
}

void token_fetch_header(struct token_fetch *f, struct slice name, struct slice value)
{
    MUST(f->header_count < TOKEN_FETCH_HEADERS);
    f->headers[f->header_count++] = (struct http_header){name, value};
}

void token_fetch_form(struct token_fetch *f)
{
    f->method = SLICE("POST");
    f->body = slice_of(f->text.data + f->text.off + f->text.len, 0);
    token_fetch_header(f, SLICE("content-type"), SLICE("application/x-www-form-urlencoded"));
}

/* ---- what proves the account ---- */

static atomic_int folder = -1;

void token_source_set_folder(int fd)
{
    atomic_store(&folder, fd);
}

/* A file of the folder, also by links (Kubernetes has "token" → "..data/token"), and never outside
 * of it. It is small and in memory, so the loop reads it at once. */
static int open_file(struct slice path)
{
    char name[512];
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    if (path.len >= sizeof(name))
        return -1;
    memcpy(name, path.ptr, path.len);
    name[path.len] = '\0';
    return (int)syscall(SYS_openat2, atomic_load(&folder), name, &how, sizeof(how));
}

static enum err read_file(struct token_fetch *f, struct slice path, struct slice *ret)
{
    char *room;
    size_t len = 0;
    ssize_t n = 1;
    if (atomic_load(&folder) < 0)
        return token_fetch_fail(
            f, ERR_DENIED, "this data plane has no folder of token files (GATEHOUSE_TOKEN_DIR)");
    enum err e = buf_room(&f->text, FILE_MAX + 1, &room);
    if (e)
        return e;
    int fd = open_file(path);
    while (fd >= 0 && n > 0 && len <= FILE_MAX) {
        n = read(fd, room + len, FILE_MAX + 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    if (fd < 0 || n < 0)
        return token_fetch_fail(f, ERR_NOT_FOUND, "its token file cannot be read");
    if (len > FILE_MAX)
        return token_fetch_fail(f, ERR_TOO_BIG, "its token file is too long");
    buf_commit(&f->text, len);
    *ret = slice_of(room, len);
    return ERR_OK;
}

static bool is_end(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Of a char that is signed or not: what is no ASCII is above it. */
static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= 0x20 || (unsigned char)text.ptr[i] >= 0x7f)
            return false;
    return true;
}

/* Files end with a line feed. Anything but printable ASCII stands in no header; what proves a
 * container may be two words ("Basic …"). */
static enum err clean(struct token_fetch *f, struct slice *text)
{
    while (text->len && is_end(text->ptr[text->len - 1]))
        text->len--;
    struct slice rest = *text, word;
    while (slice_split(&rest, ' ', &word))
        if (!word.len || !is_printable(word))
            return token_fetch_fail(f, ERR_INVALID, "its token has characters that none has");
    return text->len && text->len <= TOKEN_MAX
               ? ERR_OK
               : token_fetch_fail(f, ERR_INVALID, "its token is empty or too long");
}

enum err token_fetch_member(struct token_fetch *f, struct slice text, struct slice field,
                            struct slice *ret)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    char name[128];
    if (!field.len) {
        *ret = text;
        return clean(f, ret);
    }
    if (field.len >= sizeof(name) || json_read(text, &tree, &problem))
        return token_fetch_fail(f, ERR_PROTOCOL, "its subject token is in no JSON object");
    memcpy(name, field.ptr, field.len);
    name[field.len] = '\0';
    struct slice value = json_text(tree, name);
    enum err e = token_fetch_text(f, &value, 1, ret);
    return e ? e : clean(f, ret);
}

enum err token_fetch_proof(struct token_fetch *f, struct slice *ret)
{
    struct slice text;
    if (!f->source->token_file.len) {
        *ret = f->spec->account ? secret_reveal(f->spec->account) : SLICE_NONE;
        return ret->len ? clean(f, ret) : ERR_OK;
    }
    enum err e = read_file(f, f->source->token_file, &text);
    return e ? e : token_fetch_member(f, text, f->source->token_field, ret);
}

/* ---- the response ---- */

static bool fits(struct slice text, size_t max)
{
    return text.len > 0 && text.len <= max && is_printable(text);
}

enum err token_fetch_made(struct token_fetch *f, struct slice key_id, struct slice secret,
                          struct slice session_token)
{
    if (!fits(secret, TOKEN_MAX) || (key_id.len && !fits(key_id, KEY_ID_MAX)) ||
        (session_token.len && !fits(session_token, TOKEN_MAX)))
        return ERR_PROTOCOL;
    struct access_token *t = mem_zalloc(sizeof(*t) + key_id.len + 1);
    if (!t)
        return ERR_NOMEM;
    t->holds = 1;
    slice_put(t->key_id_text, key_id);
    t->key_id = slice_of(t->key_id_text, key_id.len);
    t->secret = secret_new(secret);
    t->session_token = session_token.len ? secret_new(session_token) : NULL;
    if (!t->secret || (session_token.len && !t->session_token)) {
        access_token_drop(t);
        return ERR_NOMEM;
    }
    f->made = t;
    return ERR_OK;
}

/* The older endpoint of Entra ID gives the number as text. */
enum err token_fetch_bearer(struct token_fetch *f)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    uint64_t life = 0;
    if (json_read(buf_slice(&f->response), &tree, &problem))
        return ERR_PROTOCOL;
    const json_t *said = json_object_get(tree, "expires_in");
    struct slice text = json_text(tree, "expires_in"), type = json_text(tree, "token_type");
    if (json_is_integer(said) && json_integer_value(said) > 0)
        life = (uint64_t)json_integer_value(said);
    else if (text.ptr && slice_u64(text, &life))
        return ERR_PROTOCOL;
    if (life == 0 || life > LIFE_MAX_S || (type.len && !slice_ieq(type, SLICE("bearer"))))
        return ERR_PROTOCOL;
    f->life_s = life;
    return token_fetch_made(f, SLICE(""), json_text(tree, "access_token"), SLICE(""));
}

enum err token_fetch_ends(struct token_fetch *f, struct slice time)
{
    int64_t at_us, now_us = clock_wall_us();
    if (!time.len || clock_parse(time, &at_us))
        return ERR_PROTOCOL;
    if (at_us - now_us < 1000000)
        return token_fetch_fail(f, ERR_PROTOCOL, "what it was given is over already");
    if (at_us - now_us > (int64_t)LIFE_MAX_S * 1000000)
        return ERR_PROTOCOL;
    f->life_s = (uint64_t)(at_us - now_us) / 1000000;
    return ERR_OK;
}

enum err token_fetch_fail(struct token_fetch *f, enum err e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->why, sizeof(f->why), fmt, args);
    va_end(args);
    return e;
}

/* ---- the word of a refusal ---- */

static bool is_word(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_unreserved(s.ptr[i]))
            return false;
    return s.len > 0 && s.len < 64;
}

static struct slice json_word(struct slice body, char room[static 64])
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    if (json_read(body, &tree, &problem))
        return SLICE("");
    const struct slice places[] = {
        json_text(tree, "error"),                            /* RFC 6749 */
        json_text(json_object_get(tree, "error"), "status"), /* Google */
        json_text(tree, "code"),                             /* of containers */
        json_text(tree, "Code"),
    };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (!is_word(places[i]))
            continue;
        memcpy(room, places[i].ptr, places[i].len);
        return slice_of(room, places[i].len);
    }
    return SLICE("");
}

struct slice token_fetch_error_word(struct slice body, char room[static 64])
{
    static const char *const wants[] = {"ErrorResponse/Error/Code"};
    struct slice found;
    if (!slice_starts(body, SLICE("<")))
        return json_word(body, room);
    if (xml_texts(body, wants, 1, &found) || !is_word(found))
        return SLICE("");
    memcpy(room, found.ptr, found.len);
    return slice_of(room, found.len);
}
