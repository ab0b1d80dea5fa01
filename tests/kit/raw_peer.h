/*
 * raw_peer — the other end of a connection, on a thread of its own, byte by byte as a test says.
 *
 * Nothing here knows what is right: it sends what it is given and shows what came.
 *
 * Fails    by cmocka's assertions, except on the thread, where it returns false or short.
 * Threads  a script runs beside the loop; descriptors are its own.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/net/http1.h"
#include "common/net/loop.h"

#define PEER_WAIT_S 5 /* nothing in a test takes longer; a hang becomes a failure */

static inline void peer_patience(int fd)
{
    struct timeval t = {.tv_sec = PEER_WAIT_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline struct sockaddr_in peer_loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static inline int peer_dial(uint16_t port)
{
    struct sockaddr_in a = peer_loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    peer_patience(fd);
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* From 127.0.0.`host`: a source of its own. */
static inline int peer_dial_from(unsigned char host, uint16_t port)
{
    struct sockaddr_in from = peer_loopback(0), to = peer_loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    from.sin_addr.s_addr = htonl(0x7f000000u | host);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) ||
        connect(fd, (struct sockaddr *)&to, sizeof(to))) {
        close(fd);
        return -1;
    }
    peer_patience(fd);
    return fd;
}

static inline int peer_listen(uint16_t *ret_port)
{
    struct sockaddr_in a = peer_loopback(0);
    socklen_t len = sizeof a;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    peer_patience(fd);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 64) ||
        getsockname(fd, (struct sockaddr *)&a, &len)) {
        close(fd);
        return -1;
    }
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static inline int peer_accept(int listener)
{
    int fd = accept(listener, NULL, NULL);
    if (fd >= 0)
        peer_patience(fd);
    return fd;
}

static inline bool peer_send(int fd, struct slice s)
{
    while (s.len) {
        ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        s = slice_from(s, (size_t)n);
    }
    return true;
}

static inline bool peer_say(int fd, const char *text)
{
    return peer_send(fd, slice_str(text));
}

/* One byte at a time, each in a packet of its own. */
static inline bool peer_drip(int fd, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!peer_send(fd, slice_of(s.ptr + i, 1)))
            return false;
        if (i % 16 == 0)
            usleep(200);
    }
    return true;
}

/* What comes until the other side closes; false when it does not. */
static inline bool peer_rest(int fd, struct buf *out)
{
    for (;;) {
        char *room;
        if (buf_room(out, 65536, &room))
            return false;
        ssize_t n = recv(fd, room, 65536, 0);
        if (n <= 0)
            return n == 0 || errno == ECONNRESET;
        buf_commit(out, (size_t)n);
    }
}

/* Reads until `mark` has come (true) or the connection ends (false); keeps it all in out. */
static inline bool peer_until(int fd, struct buf *out, const char *mark)
{
    while (slice_search(buf_slice(out), slice_str(mark)) < 0) {
        char *room;
        if (buf_room(out, 4096, &room))
            return false;
        ssize_t n = recv(fd, room, 4096, 0);
        if (n <= 0)
            return false;
        buf_commit(out, (size_t)n);
    }
    return true;
}

struct peer_answer {
    unsigned status;
    bool keep_alive;
    struct buf head;
    struct buf body;
};

/* Reads one answer; what follows stays in *in. false: it did not come whole. */
static inline bool peer_answer(int fd, struct buf *in, struct slice method, struct peer_answer *a)
{
    static _Thread_local struct http_head h;
    struct http1_problem problem;
    struct http1_body walk;
    bool ended = false, has_head = false;
    buf_clear(&a->head);
    buf_clear(&a->body);
    for (;;) {
        size_t len;
        if (!has_head && http1_head(HTTP1_ANSWER, buf_slice(in), &h, &len, &problem) == ERR_OK) {
            has_head = true;
            a->status = h.status;
            a->keep_alive = h.keep_alive;
            http1_body_init(&walk, HTTP1_ANSWER, &h, method);
            if (buf_append(&a->head, slice_first(buf_slice(in), len)))
                return false;
            buf_eat(in, len);
        }
        while (has_head && !ended) {
            struct slice bytes = buf_slice(in), piece;
            enum err e = http1_body_next(&walk, &bytes, &piece, &ended, &problem);
            if (e == ERR_INVALID || buf_append(&a->body, piece))
                return false;
            buf_eat(in, in->len - bytes.len);
            if (e == ERR_AGAIN)
                break;
        }
        if (ended)
            return true;
        char *room;
        if (buf_room(in, 65536, &room))
            return false;
        ssize_t n = recv(fd, room, 65536, 0);
        if (n <= 0)
            return n == 0 && has_head && walk.kind == HTTP1_BODY_TO_CLOSE;
        buf_commit(in, (size_t)n);
    }
}

/* A script on its thread; the loop runs until it has ended and asks the loop to stop. */
struct peer_script {
    struct loop *loop;
    void (*scenario)(void *arg);
    void *arg;
};

static inline void *peer_thread(void *arg)
{
    struct peer_script *s = arg;
    s->scenario(s->arg);
    loop_stop(s->loop);
    return NULL;
}

static inline void peer_run(struct loop *l, void (*scenario)(void *arg), void *arg)
{
    struct peer_script s = {l, scenario, arg};
    pthread_t thread;
    if (pthread_create(&thread, NULL, peer_thread, &s))
        abort();
    loop_run(l);
    pthread_join(thread, NULL);
}

static inline size_t peer_open_descriptors(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 4096; fd++) {
        struct pollfd p = {.fd = fd};
        n += poll(&p, 1, 0) == 0 || !(p.revents & POLLNVAL);
    }
    return n;
}

/* On a script's thread cmocka's assertions may not jump: the first thing that does not hold is
 * noted in the scenario's world (`failed`, `note`), and the script is over. */
#define EXPECT(w, x)                                                                               \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            snprintf((w)->note, sizeof(w)->note, "line %d: %s", __LINE__, #x);                     \
            (w)->failed = true;                                                                    \
            return;                                                                                \
        }                                                                                          \
    } while (0)
