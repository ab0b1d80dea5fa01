/* tunnel_serve — the control plane's end: which planes are admitted, and to which local listener
 * each is joined. */
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/wire/tunnel_private.h"

#define COMPLAIN_US 1000000ull
#define DEAF_US 100000ull /* out of descriptors: look again after 100 ms */
#define ACCEPTS_PER_ROUND 64

/* A stranger must not be able to fill the log. */
static void complain(struct tunnel *t, const struct pair *p, const char *why)
{
    uint64_t now = clock_mono_us();
    if (now < t->complain_us) {
        t->unsaid++;
        return;
    }
    log_warn(NULL, "tunnel_refused", "plane=%s reason=%s unsaid=%u", p->plane, why, t->unsaid);
    t->unsaid = 0;
    t->complain_us = now + COMPLAIN_US;
}

void serve_closed(struct pair *p, const char *why)
{
    if (p->state == PAIR_JOINED) {
        log_debug(NULL, "tunnel_left", "plane=%s", p->plane);
        return;
    }
    list_remove(&p->stranger);
    if (why)
        complain(p->tunnel, p, why);
}

/* ---- strangers: connections whose certificate is not known yet ---- */

static void read_source(struct pair *p, const union sockaddr_any *from)
{
    const size_t prefix = 8; /* a /64 is one household or host */
    if (from->sa.sa_family == AF_INET6)
        memcpy(p->source, &from->in6.sin6_addr, prefix);
    else
        memcpy(p->source + prefix, &from->in.sin_addr, sizeof(from->in.sin_addr));
}

/* The stranger to end where there are too many: the oldest that has not said anything whole, else
 * the oldest. So connections that stay silent never cost one that speaks. of NULL: of any source.
 */
static struct pair *pick_victim(struct tunnel *t, const uint8_t *of, size_t max)
{
    struct pair *silent = NULL, *oldest = NULL;
    size_t count = 0;
    LIST_EACH(&t->strangers, it)
    {
        struct pair *p = LIST_ITEM(it, struct pair, stranger);
        if (of && memcmp(p->source, of, sizeof(p->source)) != 0)
            continue;
        count++;
        if (!oldest)
            oldest = p;
        if (!silent && !p->spoke)
            silent = p;
    }
    if (count < max)
        return NULL;
    return silent ? silent : oldest;
}

static void make_room(struct tunnel *t, const uint8_t *source)
{
    struct pair *victim = pick_victim(t, source, LIMIT_TUNNEL_SOURCE);
    if (!victim)
        victim = pick_victim(t, NULL, LIMIT_TUNNEL_STRANGERS);
    if (victim)
        pair_close(victim, "too many that have not shown a certificate");
}

static void on_stranger(struct tunnel *t, int fd, const union sockaddr_any *from)
{
    struct pair *p = pair_new(t, fd);
    if (!p)
        return;
    read_source(p, from);
    make_room(t, p->source);
    list_push(&t->strangers, &p->stranger);
    p->state = PAIR_HANDSHAKE;
    SSL_set_accept_state(p->ssl);
    /* A resumed session would not look at the certificate's dates again. */
    SSL_set_num_tickets(p->ssl, 0);
    SSL_set_options(p->ssl, SSL_OP_NO_TICKET);
    SSL_set_verify(p->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    pair_deadline(p, LIMIT_TUNNEL_FIRST_MS);
    if (tunnel_watch(t, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, p))
        pair_close(p, "out of memory");
}

static void stop_hearing(struct tunnel *t)
{
    t->deaf = true;
    t->hear_at_us = clock_mono_us() + DEAF_US;
    epoll_ctl(t->epoll, EPOLL_CTL_DEL, t->listen, NULL);
}

void serve_accept(struct tunnel *t)
{
    for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
        union sockaddr_any from = {0};
        socklen_t len = sizeof(from);
        if (t->count >= LIMIT_TUNNEL_PAIRS) {
            stop_hearing(t);
            return;
        }
        int fd = accept4(t->listen, &from.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            tunnel_tune(fd);
            on_stranger(t, fd, &from);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            stop_hearing(t);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

static bool is_id_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* The subject's only common name, in letters that are safe in logs and socket names. */
static bool read_plane(const struct pair *p, char out[static TUNNEL_PLANE_MAX + 1])
{
    X509 *cert = SSL_get0_peer_certificate(p->ssl);
    if (!cert)
        return false;
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return false;
    ASN1_STRING *name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    int len = ASN1_STRING_length(name);
    if (len <= 0 || len > TUNNEL_PLANE_MAX)
        return false;
    const unsigned char *text = ASN1_STRING_get0_data(name);
    for (int i = 0; i < len; i++)
        if (!is_id_letter(text[i]))
            return false;
    memcpy(out, text, (size_t)len);
    out[len] = '\0';
    return true;
}

/* -1: nothing listens there, or another process does */
static int connect_local(const char *name)
{
    struct sockaddr_un at;
    socklen_t len = tunnel_local_address(name, &at);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, len) == 0 && tunnel_is_own_process(fd))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* One byte: it fits the socket's buffer after a handshake, and a plane that misses it dials again.
 */
static void turn_away(struct pair *p)
{
    struct tunnel *t = p->tunnel;
    const char last = TUNNEL_REMOVED;
    bool removed = t->serve.removed && t->serve.removed(t->serve.arg, slice_str(p->plane));
    ERR_clear_error();
    if (removed && SSL_write(p->ssl, &last, 1) == 1)
        SSL_shutdown(p->ssl);
    pair_close(p, removed ? "removed" : "not admitted");
}

static void admit(struct pair *p)
{
    struct tunnel *t = p->tunnel;
    char local[TUNNEL_NAME_MAX] = "";
    if (!read_plane(p, p->plane)) {
        p->plane[0] = '\0';
        pair_close(p, "the certificate names no plane");
        return;
    }
    if (!t->serve.admit(t->serve.arg, slice_str(p->plane), local)) {
        turn_away(p);
        return;
    }
    int fd = connect_local(local);
    if (fd < 0) {
        pair_close(p, "no local listener");
        return;
    }
    list_remove(&p->stranger);
    p->out.data[0] = TUNNEL_GREETING;
    p->out.len = 1;
    log_debug(NULL, "tunnel_joined", "plane=%s", p->plane);
    pair_join(p, fd);
}

void serve_step(struct pair *p)
{
    ERR_clear_error();
    int done = SSL_do_handshake(p->ssl);
    if (done == 1) {
        admit(p);
        return;
    }
    int e = SSL_get_error(p->ssl, done);
    if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
        pair_close(p, pair_tls_reason(p));
    } else if (!p->spoke && BIO_number_written(SSL_get_wbio(p->ssl)) > 0) {
        p->spoke = true; /* its first message was answered */
        pair_deadline(p, LIMIT_TUNNEL_HANDSHAKE_MS);
    }
}
