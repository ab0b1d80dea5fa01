/* stream_tls — between the socket's bytes and the owner's: one record machine, shared scratch.
 *
 * The scratch `cipher` is filled and sent without a callback in between, so that a stream
 * written to from another's on_data finds it empty. */
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/net/stream_private.h"

/* Plain bytes turned into records before they are handed to the kernel. */
#define STEP (4u * LOOP_RECORD_MAX)

/* Sends what the TLS session has to send; after a failure that is its alert. */
static enum err send_cipher(struct stream *s)
{
    struct buf *out = &s->loop->scratch->cipher;
    struct slice bytes = buf_slice(out);
    if (bytes.len == 0)
        return ERR_OK;
    enum err e = s->broken ? ERR_CLOSED : stream_send(s, &bytes, 1);
    buf_clear(out);
    return e;
}

/* Failed handshakes of clients are common, so they are logged at level debug; that of an upstream
 * is a warning. */
static void fail_handshake(struct stream *s)
{
    struct log_ctx ctx = {.component = "tls"};
    const char *why = tls_session_why(s->tls);
    if (tls_session_is_server(s->tls))
        log_debug(&ctx, "tls_handshake_failed", "peer=%s why=\"%s\"", s->peer, why);
    else
        log_warn(&ctx, "tls_handshake_failed", "peer=%s host=%s why=\"%s\"", s->peer,
                 tls_session_host(s->tls), why);
    stream_fail(s, ERR_TLS);
}

void stream_tls_shake(struct stream *s)
{
    enum err e = tls_session_handshake(s->tls, &s->loop->scratch->cipher);
    if (send_cipher(s) && e == ERR_OK)
        return; /* the read that follows says how it ended */
    if (e == ERR_OK)
        stream_opened(s);
    else if (e != ERR_AGAIN)
        fail_handshake(s);
}

/* As many records as the scratch holds become one on_data. */
static enum err fill(struct stream *s, size_t *got)
{
    struct loop_scratch *scratch = s->loop->scratch;
    enum err e = ERR_OK;
    *got = 0;
    while (!e && LOOP_READ_MAX - *got >= LOOP_RECORD_MAX) {
        size_t n = 0;
        e = tls_session_read(s->tls, scratch->plain + *got, LOOP_READ_MAX - *got, &n,
                             &scratch->cipher);
        *got += n;
    }
    return e;
}

/* true: there is more to decrypt */
static bool deliver_some(struct stream *s)
{
    size_t got;
    enum err e = fill(s, &got);
    if (send_cipher(s) == ERR_NOMEM)
        e = ERR_NOMEM;
    if (got > 0)
        s->events->on_data(s->arg, slice_of(s->loop->scratch->plain, got));
    if (s->state == STREAM_DEAD || e == ERR_OK)
        return true;
    if (e == ERR_CLOSED)
        stream_ended(s);
    else if (e != ERR_AGAIN)
        stream_fail(s, e);
    return false;
}

void stream_tls_deliver(struct stream *s)
{
    bool more = true;
    while (more && s->state == STREAM_OPEN && !s->paused && !s->eof)
        more = deliver_some(s);
    if (s->state == STREAM_DEAD)
        return;
    if (tls_session_keep(s->tls))
        stream_fail(s, ERR_NOMEM);
    else
        stream_read_on(s);
}

void stream_tls_input(struct stream *s, struct slice cipher)
{
    tls_session_lend(s->tls, cipher);
    if (s->state == STREAM_SHAKING)
        stream_tls_shake(s);
    stream_tls_deliver(s);
}

/* Encrypts; what comes out is sent whenever there is a good deal of it. */
static enum err seal(struct stream *s, struct slice plain)
{
    struct buf *out = &s->loop->scratch->cipher;
    while (plain.len > 0) {
        struct slice step = slice_first(plain, STEP);
        plain = slice_from(plain, step.len);
        if (tls_session_write(s->tls, step, out)) {
            buf_clear(out);
            stream_fail_soon(s, ERR_TLS);
            return ERR_CLOSED;
        }
        enum err e = out->len >= STEP ? send_cipher(s) : ERR_OK;
        if (e)
            return e;
    }
    return ERR_OK;
}

/* Small parts share a record: each one costs 22 bytes and a round of the cipher. */
enum err stream_tls_write(struct stream *s, const struct slice *parts, size_t n)
{
    char *gather = s->loop->scratch->gather;
    size_t held = 0;
    enum err e = ERR_OK;
    for (size_t i = 0; i < n && !e; i++) {
        struct slice rest = parts[i];
        while (rest.len > 0 && !e) {
            if (held == 0 && rest.len >= LOOP_RECORD_MAX) {
                e = seal(s, rest);
                break;
            }
            struct slice piece = slice_first(rest, LOOP_RECORD_MAX - held);
            memcpy(gather + held, piece.ptr, piece.len);
            held += piece.len;
            rest = slice_from(rest, piece.len);
            if (held == LOOP_RECORD_MAX) {
                e = seal(s, slice_of(gather, held));
                held = 0;
            }
        }
    }
    if (!e && held > 0)
        e = seal(s, slice_of(gather, held));
    enum err sent = send_cipher(s);
    return e ? e : sent;
}

void stream_tls_finish(struct stream *s)
{
    tls_session_finish(s->tls, &s->loop->scratch->cipher);
    send_cipher(s); /* a failure is reported by the next read, or at the end of the turn */
}
