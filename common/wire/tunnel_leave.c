/*
 * tunnel_leave — how a local NNG connection is ended when its remote side is gone.
 *
 * NNG 1.5.2 must learn of an end by reading it. Where a pipe is closed for any other reason (a
 * write that fails, nng_pipe_close, nng_close) while a message is half received or half
 * sent, that transfer never ends, and with it stops NNG's only reaper: nothing is closed or dialled
 * again in this process. So what NNG still sends is taken and thrown away until it is silent;
 * then it reads the end of its input, closes, and only then the socket goes.
 */
#include <errno.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/wire/tunnel_private.h"

#define QUIET_MS 10       /* silent for so long, nothing is half sent */
#define LOUD_US 300000ull /* a publisher may never be silent: then without */
#define CLOSE_MS                                                                                   \
    5000 /* to read the end: until a handler has finished and there is room to read                \
          */

/* false: NNG has closed */
static bool discard(struct pair *p, bool *any)
{
    for (;;) {
        ssize_t n = recv(p->local, p->out.data, LIMIT_TUNNEL_PIECE, 0);
        if (n > 0)
            *any = true;
        else if (n < 0 && errno == EAGAIN)
            return true;
        else if (n == 0 || errno != EINTR)
            return false;
    }
}

void leave_step(struct pair *p)
{
    bool any = false;
    if (!discard(p, &any))
        pair_end(p);
    else if (any && !p->said_end && clock_mono_us() - p->left_us < LOUD_US)
        pair_deadline(p, QUIET_MS);
}

void pair_leave(struct pair *p)
{
    list_remove(&p->again);
    p->state = PAIR_LEAVING;
    p->left_us = clock_mono_us();
    pair_deadline(p, QUIET_MS);
    leave_step(p);
}

void leave_late(struct pair *p)
{
    if (p->said_end) {
        pair_end(p);
        return;
    }
    p->said_end = true;
    shutdown(p->local, SHUT_WR);
    pair_deadline(p, CLOSE_MS);
    leave_step(p);
}
