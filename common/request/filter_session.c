/*
 * filter_session — finds the session (conversation) that a call belongs to.
 *
 * What the client sends is a label inside its principal: the id is derived from both, so the same
 * label sent by two agents names two sessions (decisions.md, Session). No access decision depends
 * on a label.
 *
 * The id's last six characters are a keyed check over owner and the rest. That is how an id
 * that is sent back as a label is known to be its sender's, without any memory of it.
 */
#include "common/base/digest.h"
#include "common/request/request_private.h"
#include "common/request/session_memo.h"

#define NAME_CHARS 16 /* base62: 95 bits keep the sessions of one owner apart */
#define CHECK_CHARS 6 /* base62: 35 bits, guessed online against a rate limit */
#define HOUR_US ((int64_t)3600 * 1000000)
_Static_assert(2 + NAME_CHARS + CHECK_CHARS == SESSION_ID_LEN, "an id is s_ and 22 characters");

struct label {
    struct slice text;
    const char *named_by;
    const char *kind; /* "label", "trace", "hour": what the id is derived under */
};

/* in this order; product.md, Session: what known clients send */
static const char *const label_headers[] = {
    "x-gatehouse-session", "x-claude-code-session-id", "session_id",
    "x-session-id",        "helicone-session-id",
};

static bool is_label(struct slice s)
{
    if (s.len == 0 || s.len > LIMIT_SESSION_LABEL)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '_' && c != ':' && c != '-')
            return false;
    }
    return true;
}

/* value of session.id in a W3C baggage list; SLICE_NONE where absent */
static struct slice baggage_session(struct slice list)
{
    struct slice member;
    while (slice_split(&list, ',', &member)) {
        struct slice pair, name;
        if (!slice_split(&member, ';', &pair) || !slice_split(&pair, '=', &name))
            continue;
        if (slice_eq(slice_trim(name), SLICE("session.id")))
            return slice_trim(pair);
    }
    return SLICE_NONE;
}

#define HASHED "sha256:"
#define HASHED_HEX 32

/* A label of a foreign client that is none by our rule stands as its hash: it still groups what
 * belongs together, and nothing of its form goes on. SLICE_NONE: no memory. */
static struct slice as_label(struct request *rq, struct slice text)
{
    struct digest d;
    char hex[2 * sizeof(d.bytes) + 1];
    if (is_label(text))
        return text;
    digest_sha256(text, &d);
    digest_hex(slice_of(d.bytes, sizeof(d.bytes)), hex);
    return arena_printf(rq->arena, HASHED "%.*s", HASHED_HEX, hex);
}

static struct slice owner_of(const struct request *rq)
{
    return rq->who.agent ? rq->who.agent->o.id : rq->who.key->o.id;
}

/* HMAC(installation key, "session", owner, kind, name), each part behind its length */
static enum err keyed(struct request *rq, struct slice kind, struct slice name, struct digest *ret)
{
    const struct slice parts[] = {SLICE("session"), owner_of(rq), kind, name};
    size_t len = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        len += 4 + parts[i].len;
    char *text = arena_alloc(rq->arena, len);
    if (!text)
        return ERR_NOMEM;
    char *p = text;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        uint32_t n = (uint32_t)parts[i].len;
        for (int b = 0; b < 4; b++)
            *p++ = (char)(n >> (8 * b));
        if (n)
            memcpy(p, parts[i].ptr, n);
        p += n;
    }
    digest_hmac(snapshot_key_hmac(rq->policy), slice_of(text, len), ret);
    return ERR_OK;
}

static enum err check_of(struct request *rq, struct slice name_part, char out[CHECK_CHARS + 1])
{
    struct digest d;
    enum err e = keyed(rq, SLICE("check"), name_part, &d);
    if (e)
        return e;
    digest_base62(slice_of(d.bytes, sizeof(d.bytes)), CHECK_CHARS, out);
    return ERR_OK;
}

static enum err derive(struct request *rq, const struct label *l)
{
    struct digest d;
    char name[NAME_CHARS + 1], check[CHECK_CHARS + 1];
    enum err e = keyed(rq, slice_str(l->kind), l->text, &d);
    if (e)
        return e;
    digest_base62(slice_of(d.bytes, sizeof(d.bytes)), NAME_CHARS, name);
    e = check_of(rq, slice_of(name, NAME_CHARS), check);
    if (e)
        return e;
    char *id = rq->session.id;
    memcpy(id, "s_", 2);
    memcpy(id + 2, name, NAME_CHARS);
    memcpy(id + 2 + NAME_CHARS, check, CHECK_CHARS + 1);
    return ERR_OK;
}

/* An id of the caller's own, sent back as a label, is that session (decisions.md). */
static bool is_own_id(struct request *rq, struct slice text)
{
    char check[CHECK_CHARS + 1];
    if (text.len != SESSION_ID_LEN || !slice_starts(text, SLICE("s_")))
        return false;
    if (check_of(rq, slice_first(slice_from(text, 2), NAME_CHARS), check))
        return false;
    return digest_equal(slice_from(text, 2 + NAME_CHARS), slice_of(check, CHECK_CHARS));
}

/* Two digests are half a request's own work, and a conversation asks for the same ones again. */
static enum err find_id(struct request *rq, const struct label *l, bool *own_id)
{
    if (!rq->env->sessions)
        rq->env->sessions = session_memo_new();
    const struct session_key key = {.secret = snapshot_key_hmac(rq->policy),
                                    .owner = owner_of(rq),
                                    .kind = l->kind[0],
                                    .name = l->text};
    const char *known = session_memo_find(rq->env->sessions, &key);
    if (known) {
        memcpy(rq->session.id, known, sizeof(rq->session.id));
        *own_id = slice_eq(l->text, slice_of(known, SESSION_ID_LEN));
        return ERR_OK;
    }
    *own_id = is_own_id(rq, l->text);
    if (*own_id)
        memcpy(rq->session.id, l->text.ptr, SESSION_ID_LEN);
    else if (derive(rq, l))
        return ERR_NOMEM;
    session_memo_keep(rq->env->sessions, &key, rq->session.id);
    return ERR_OK;
}

static void refuse_label(struct request *rq)
{
    request_refuse(rq, REFUSAL_BAD_REQUEST,
                   arena_printf(rq->arena,
                                "%s must be 1 to %d characters of [A-Za-z0-9._:-], given once",
                                label_headers[0], LIMIT_SESSION_LABEL));
}

enum label_result { LABEL_NONE, LABEL_FOUND, LABEL_REFUSED };

static enum label_result found(struct request *rq, struct slice text, const char *named_by,
                               struct label *ret)
{
    *ret = (struct label){as_label(rq, text), named_by, "label"};
    return ret->text.ptr ? LABEL_FOUND : LABEL_NONE;
}

/* Only our own header is strict: what other clients send was not meant for us. */
static enum label_result from_headers(struct request *rq, struct label *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(label_headers); i++) {
        struct slice name = slice_str(label_headers[i]);
        struct slice value = http_head_find(rq->head, name);
        bool ours = i == 0;
        if (!value.ptr || (!ours && value.len == 0))
            continue;
        if (ours && (!is_label(value) || http_head_count(rq->head, name) != 1)) {
            refuse_label(rq);
            return LABEL_REFUSED;
        }
        return found(rq, value, label_headers[i], ret);
    }
    struct slice value = baggage_session(http_head_find(rq->head, SLICE("baggage")));
    return value.len ? found(rq, value, "baggage", ret) : LABEL_NONE;
}

static enum label_result from_body(struct request *rq, struct label *ret)
{
    const char *named_by = "body";
    if (!rq->gate->session_label)
        return LABEL_NONE;
    struct slice value = rq->gate->session_label(rq, &named_by);
    return value.len ? found(rq, value, named_by, ret) : LABEL_NONE;
}

#define HOUR_DIGITS 20

/* the key's id, a blank, and the hour since 1970: by hand, as most requests of a key come here */
static struct slice hour_label(struct request *rq)
{
    struct slice key = rq->who.key->o.id;
    char *text = arena_alloc(rq->arena, key.len + 1 + HOUR_DIGITS);
    if (!text)
        return SLICE_NONE;
    char digits[HOUR_DIGITS], *end = digits + sizeof(digits), *at = end;
    uint64_t hour = (uint64_t)(rq->started_at_us / HOUR_US);
    do {
        *--at = (char)('0' + hour % 10);
        hour /= 10;
    } while (hour);
    size_t n = (size_t)(end - at);
    memcpy(text, key.ptr, key.len);
    text[key.len] = ' ';
    memcpy(text + key.len + 1, at, n);
    return slice_of(text, key.len + 1 + n);
}

/* What is left where the client says nothing: its trace, if its agent wants that, or its hour. */
static void fall_back(struct request *rq, struct label *ret)
{
    if (rq->who.agent && rq->who.agent->session_from_trace && rq->record.parent_id[0]) {
        *ret = (struct label){slice_str(rq->record.trace_id), "traceparent", "trace"};
        return;
    }
    *ret = (struct label){hour_label(rq), "hour", "hour"};
}

static enum filter_result on_request(struct request *rq)
{
    struct label label = {0};
    enum label_result r = from_headers(rq, &label);
    if (r == LABEL_NONE)
        r = from_body(rq, &label);
    if (r == LABEL_REFUSED)
        return FILTER_REFUSE;
    if (r == LABEL_NONE)
        fall_back(rq, &label);

    bool own_id = false;
    if (find_id(rq, &label, &own_id)) {
        request_refuse(rq, REFUSAL_NO_CAPACITY, SLICE_NONE);
        return FILTER_REFUSE;
    }
    if (!own_id && label.kind[0] != 'h')
        rq->session.external_id = arena_copy(rq->arena, label.text);
    rq->session.named_by = label.named_by;
    rq->session.known = true;
    struct slice id = slice_of(rq->session.id, SESSION_ID_LEN);
    rq->log.session_id = id;
    if (snapshot_is_blocked(rq->policy, SLICE("session"), id)) {
        request_refuse(rq, REFUSAL_SESSION_UNKNOWN, SLICE_NONE);
        return FILTER_REFUSE;
    }
    return FILTER_PASS;
}

const struct filter filter_session = {.name = "session", .on_request = on_request};
