/*
 * ends — two ends of a connection that write down what happened to them, for tests of streams.
 *
 * A stage owns a loop and a listener on a free port of 127.0.0.1; each accepted connection
 * becomes an end. `WAIT(stage, condition)` turns the loop until it holds, at most WAIT_MS.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/net/stream.h"

#define WAIT_MS 10000 /* a loaded machine under sanitizers still gets there */
#define ENDS_GOT_MAX (256u * 1024 * 1024)

enum moment { ON_OPEN, ON_DATA, ON_EOF, ON_DRAIN, ON_CLOSE, MOMENTS };

struct end {
    struct stage *stage;
    struct stream *stream;
    struct buf got;
    size_t bytes; /* received, also where got is not kept */
    bool forget;  /* count bytes only */
    unsigned count[MOMENTS];
    enum err why;
    void (*then)(struct end *e, enum moment m); /* the test's own reaction; may be NULL */
    void *mind;
};

struct stage {
    struct loop *loop;
    struct resolver *resolver;
    struct listener *listener;
    struct tls_context *tls; /* accepted with; NULL: plain */
    struct end *accepted;    /* room for `most` of them, the test's */
    size_t most;
    size_t count;
    int refused;                        /* accepts that failed */
    void (*on_accepted)(struct end *e); /* before its first event; may be NULL */
};

extern const struct stream_events end_events;

void stage_open(struct stage *s, struct end *accepted, size_t most);
enum err stage_listen(struct stage *s, const union sockaddr_any *at); /* after listener_close */
void stage_close(struct stage *s); /* closes the ends that are left, and the loop */
void stage_turn(struct stage *s);  /* one turn, or 10 ms */
void end_init(struct end *e, struct stage *s);
void end_fini(struct end *e);
/* dials the stage itself, loopback allowed */
enum err end_dial(struct end *e, const char *host, struct tls_context *tls);
enum err end_dial_port(struct end *e, const char *host, uint16_t port, unsigned ms);
enum err end_say(struct end *e, const char *text);
struct slice end_text(const struct end *e);
uint64_t ends_now_ms(void);
size_t ends_open_fds(void); /* of this process */
struct tls_context *ends_client_tls(const char *ca);

#define WAIT(stage, condition)                                                                     \
    do {                                                                                           \
        uint64_t end_ = ends_now_ms() + WAIT_MS;                                                   \
        while (!(condition) && ends_now_ms() < end_)                                               \
            stage_turn(stage);                                                                     \
        if (!(condition))                                                                          \
            fail_msg("waited in vain for %s", #condition);                                         \
    } while (0)
