/*
 * digest_random — random bytes from the kernel, a page at a time.
 *
 * Ids are drawn for every request, and a system call each would be a fifth of a request's
 * system calls. So each thread keeps a small stock; what is handed out is wiped from it, and
 * a forked child throws its copy away.
 */
#include "common/base/digest.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/random.h>

#define STOCK 4096 /* some 85 requests: their ids and spans */
#define SMALL 64   /* larger requests are keys, made rarely: straight from the kernel */

static _Thread_local struct {
    uint8_t bytes[STOCK];
    size_t left;
    unsigned generation;
} stock;

static _Atomic unsigned generation = 1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_fork(void)
{
    atomic_fetch_add(&generation, 1);
}

static void prepare(void)
{
    MUST(pthread_atfork(NULL, NULL, on_fork) == 0);
}

static void draw(uint8_t *out, size_t len)
{
    while (len) {
        ssize_t n = getrandom(out, len, 0);
        if (n < 0) {
            MUST(errno == EINTR);
            continue;
        }
        out += n;
        len -= (size_t)n;
    }
}

static void refill(unsigned current)
{
    pthread_once(&once, prepare);
    draw(stock.bytes, sizeof(stock.bytes));
    stock.left = sizeof(stock.bytes);
    stock.generation = current;
}

void digest_random(void *out, size_t len)
{
    if (len > SMALL) {
        draw(out, len);
        return;
    }
    unsigned current = atomic_load_explicit(&generation, memory_order_relaxed);
    if (stock.left < len || stock.generation != current)
        refill(current);
    stock.left -= len;
    if (len) {
        memcpy(out, stock.bytes + stock.left, len);
        explicit_bzero(stock.bytes + stock.left, len);
    }
}
