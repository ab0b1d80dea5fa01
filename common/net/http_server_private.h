/*
 * http_server_private — the server, a client's connection and the exchange on it from the inside.
 *
 * Private to http_server.c and http_conn.c. One function, `advance` in http_conn.c, moves a
 * connection from state to state; everything else sets facts and asks for it (`http_conn_kick`).
 *
 * Owns     a connection its stream and the bytes read ahead; an exchange its head and the part
 *          of the response that is gathered until the end of the turn.
 * Threads  the loop's.
 */
#pragma once

#include "common/base/list.h"
#include "common/net/http_server.h"
#include "common/net/loop.h"
#include "common/net/pace.h"

enum http_conn_state {
    CONN_HEAD,     /* between requests, or inside a head */
    CONN_EXCHANGE, /* a request is with the caller */
    CONN_DISCARD,  /* the response is sent; the small rest of the request's body is read */
    CONN_LINGER,   /* our FIN is sent: the client reads on, then closes */
    CONN_CLOSED,   /* the stream is gone; the end of the turn reports it and frees */
};

struct http_exchange {
    struct http_conn *conn;
    struct list link; /* among the server's spare ones */
    struct http_exchange_events events;
    void *user;

    /* the request */
    struct http1_body body;
    uint64_t body_max, body_got;
    bool bound, reading, paused, body_done;
    bool expects;     /* 100-continue, not sent yet */
    struct pace pace; /* of the body, while it is waited for */

    /* the response */
    bool begun, ended;
    bool upgraded; /* no HTTP any more: bytes as they are, both ways */
    bool keep;     /* the connection lives on after it */
    bool bodiless; /* HEAD, 204, 304: what is written goes nowhere */
    bool chunked;
    bool wants_drain; /* the caller was told to wait */
    uint64_t left;    /* of a known length; UINT64_MAX: not known */
    struct buf out;   /* gathered, not yet given to the stream */

    struct buf head_bytes;  /* what head's slices point into */
    struct http_head *head; /* as much memory as its headers take: head_size bytes */
    size_t head_size;
};

struct http_conn {
    struct http_server *server;
    struct list link;
    struct stream *stream;
    struct http_exchange *x; /* NULL but in CONN_EXCHANGE and on the way out of it */
    enum http_conn_state state;
    enum err why;    /* it closed */
    unsigned depth;  /* inside an event: advance comes when it returns */
    bool head_begun; /* a part of a head is there */
    bool stalled;    /* the stream is paused */
    bool eof;
    size_t scanned;     /* of the head */
    size_t discarded;   /* in CONN_DISCARD */
    uint64_t linger_us; /* CONN_LINGER ends then at the latest */
    uint64_t given;     /* bytes the stream took */
    struct pace pace;   /* of the client's reading, while something is unread */
    struct buf rest;    /* read ahead */
    struct timer timer;
    struct loop_task soon;
};

#define HTTP_FIXED_MAX 128 /* "Server: …" and "Date: …" lines */

struct http_server {
    struct loop *loop;
    struct http_server_config config;
    struct http_server_events events;
    void *arg;
    struct listener *listener;
    struct list conns;
    size_t conn_count;
    size_t lent; /* descriptors of connections_max that what is served holds beside */
    struct list spare;
    size_t spare_count;
    bool draining;
    bool freed; /* goes with its last connection */
    uint64_t date_second;
    size_t name_len, fixed_len;
    char fixed[HTTP_FIXED_MAX];
    struct http_head head; /* the one that is being read; an exchange keeps what is used of it */
};

/* http_server.c */
struct slice http_server_fixed(struct http_server *s); /* header lines of every response */
struct http_exchange *http_server_take_spare(struct http_server *s);
void http_server_give_spare(struct http_server *s, struct http_exchange *x);
void http_server_forget(struct http_server *s, struct http_conn *c);

/* x->head becomes the server's. ERR_NOMEM. */
MUST_USE enum err http_exchange_keep_head(struct http_exchange *x, const struct http_head *head);

/* http_conn.c */
MUST_USE enum err http_conn_new(struct http_server *s, int fd);
void http_conn_kick(struct http_conn *c); /* something changed: advance, soon */
void http_conn_close(struct http_conn *c, enum err why);
void http_conn_finish(struct http_conn *c); /* FIN, then CONN_LINGER */
/* To the stream; from then on the client must read on. */
MUST_USE enum err http_conn_write(struct http_conn *c, const struct slice *parts, size_t n);
void http_conn_idle(struct http_conn *c); /* between two requests */
/* Sends the refusal for a problem without the caller and closes; cuts the connection where a
 * response has begun. */
void http_conn_refuse(struct http_conn *c, unsigned status, const char *text, enum err why);

/* Its exchange is over: calls on_gone, and takes it back. */
void http_exchange_gone(struct http_conn *c, enum err why);
