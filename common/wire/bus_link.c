/* bus_link — heads and names, for both ends of the bus. */
#include <stdio.h>

#include "common/base/digest.h"
#include "common/base/secret.h"
#include "common/wire/bus_private.h"

#define HINT_MAX 32

static void put_u64(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_u64(const uint8_t *from)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

static nng_msg *write_message(const uint8_t *head, size_t head_len, struct slice content)
{
    nng_msg *msg = NULL;
    if (nng_msg_alloc(&msg, head_len + content.len))
        return NULL;
    uint8_t *body = nng_msg_body(msg);
    memcpy(body, head, head_len);
    if (content.len)
        memcpy(body + head_len, content.ptr, content.len);
    return msg;
}

nng_msg *bus_request_write(const struct bus_request_head *h, struct slice content)
{
    uint8_t head[BUS_REQUEST_HEAD];
    put_u64(head, h->epoch);
    put_u64(head + 8, h->number);
    put_u64(head + 16, h->oldest);
    return write_message(head, sizeof(head), content);
}

nng_msg *bus_reply_write(const struct bus_reply_head *h, struct slice content)
{
    uint8_t head[BUS_REPLY_HEAD];
    put_u64(head, h->number);
    head[8] = (uint8_t)h->status;
    return write_message(head, sizeof(head), content);
}

bool bus_request_read(nng_msg *msg, struct bus_request_head *ret, struct slice *content)
{
    const uint8_t *body = nng_msg_body(msg);
    size_t len = nng_msg_len(msg);
    if (len < BUS_REQUEST_HEAD || len > BUS_REQUEST_HEAD + LIMIT_BUS_MESSAGE)
        return false;
    *ret = (struct bus_request_head){get_u64(body), get_u64(body + 8), get_u64(body + 16)};
    *content = slice_of(body + BUS_REQUEST_HEAD, len - BUS_REQUEST_HEAD);
    return ret->number > 0 && ret->oldest <= ret->number;
}

bool bus_reply_read(nng_msg *msg, struct bus_reply_head *ret, struct slice *content)
{
    const uint8_t *body = nng_msg_body(msg);
    size_t len = nng_msg_len(msg);
    if (len < BUS_REPLY_HEAD || body[8] > BUS_GONE)
        return false;
    *ret = (struct bus_reply_head){get_u64(body), (enum bus_status)body[8]};
    *content = slice_of(body + BUS_REPLY_HEAD, len - BUS_REPLY_HEAD);
    return true;
}

void bus_msg_wipe(nng_msg *msg)
{
    if (msg && nng_msg_len(msg) > 0)
        secret_wipe(nng_msg_body(msg), nng_msg_len(msg));
    nng_msg_free(msg);
}

void bus_name(const char *kind, struct slice hint, char out[static TUNNEL_NAME_MAX])
{
    char letters[HINT_MAX + 1];
    size_t n = 0;
    uint64_t chance;
    for (size_t i = 0; i < hint.len && n < HINT_MAX; i++) {
        char c = hint.ptr[i];
        bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        letters[n++] = safe ? c : '-';
    }
    letters[n] = '\0';
    digest_random(&chance, sizeof(chance));
    snprintf(out, TUNNEL_NAME_MAX, "gatehouse-%s-%s-%016llx", kind, letters,
             (unsigned long long)chance);
}

void bus_url(const char *name, char out[static BUS_URL_MAX])
{
    snprintf(out, BUS_URL_MAX, "abstract://%s", name);
}

enum err bus_err(int rv)
{
    switch (rv) {
    case 0:
        return ERR_OK;
    case NNG_ENOMEM:
    case NNG_ENOFILES:
        return ERR_NOMEM;
    case NNG_ECLOSED:
    case NNG_ECANCELED:
        return ERR_CLOSED;
    case NNG_EMSGSIZE:
        return ERR_TOO_BIG;
    case NNG_EADDRINUSE:
        return ERR_EXISTS;
    default:
        return ERR_IO;
    }
}
