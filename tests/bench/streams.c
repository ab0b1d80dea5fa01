/*
 * streams — N slow streams through a gateway: how late each event is, beside streams without one.
 *
 *   streams ADDRESS PORT N SECONDS UPSTREAM_PORT
 *
 * A child is the upstream, at 127.0.0.1:UPSTREAM_PORT: it answers each request with a stream that
 * says an event a second, each stream at its own millisecond, and each event says when it was sent
 * and which of its stream it is. The parent opens N streams of BENCH_MODEL at the gateway, and some
 * at the upstream itself; prints "holding N" when all stand, and reads all of them: what was sent
 * within SECONDS is measured, and it goes on until each stream has said something later, so that
 * nothing is under way then. It prints
 *
 *   STREAMS events missing p50 p99 most direct_p50 direct_p99     (microseconds)
 *
 * Missing is an event whose successor came, or that did not come within AFTER_MS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DIRECT 200      /* streams that go past the gateway */
#define PERIOD_MS 1000  /* of the events of one stream */
#define EVENTS_MAX 1024 /* of one epoll_wait */
#define AFTER_MS 5000   /* for the events behind the measure */
#define STAMP 16        /* hex digits behind an '@': when, */
#define NUMBER 8        /* and which */

static const char response_head[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char event_frame[] =
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
    "\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"@%016llx%08x\"},"
    "\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in address_of(const char *host, const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, host, &at.sin_addr) != 1)
        die("address");
    return at;
}

static void watch(int epoll, int fd, uint32_t index)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = index};
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        die("epoll_ctl");
}

/* ---- the upstream ---- */

struct told {
    int fd;
    bool begun;    /* its request came, and was answered */
    uint32_t said; /* events */
};

static bool say(int fd, const char *bytes, size_t len)
{
    return send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

static bool say_event(struct told *t)
{
    char event[512], chunk[600];
    int len = snprintf(event, sizeof(event), event_frame, (unsigned long long)now_us(), t->said++);
    int all = snprintf(chunk, sizeof(chunk), "%x\r\n%s\r\n", (unsigned)len, event);
    return say(t->fd, chunk, (size_t)all);
}

/* A request is small and comes at once. */
static void hear(struct told *t)
{
    char bytes[8192];
    ssize_t n = recv(t->fd, bytes, sizeof(bytes), 0);
    if (n > 0 && !t->begun)
        t->begun = say(t->fd, response_head, sizeof(response_head) - 1) && say_event(t);
    if (n > 0 || (n < 0 && errno == EAGAIN))
        return;
    close(t->fd);
    *t = (struct told){.fd = -1};
}

static void serve(int listener, uint32_t max)
{
    struct told *all = calloc(max + 1, sizeof(*all));
    struct epoll_event events[EVENTS_MAX];
    uint32_t count = 0;
    int epoll = epoll_create1(0);
    uint64_t tick = now_us() / 1000;
    if (!all || epoll < 0)
        die("upstream");
    watch(epoll, listener, max);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS_MAX, 1);
        for (int i = 0; i < n; i++) {
            uint32_t at = events[i].data.u32;
            int fd;
            if (at != max) {
                hear(&all[at]);
                continue;
            }
            while (count < max && (fd = accept(listener, NULL, NULL)) >= 0) {
                int on = 1;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                all[count] = (struct told){.fd = fd};
                watch(epoll, fd, count++);
            }
        }
        for (uint64_t ms = now_us() / 1000; tick < ms; tick++)
            for (uint32_t i = (uint32_t)(tick % PERIOD_MS); i < count; i += PERIOD_MS)
                if (all[i].begun)
                    say_event(&all[i]);
    }
}

static void start_upstream(const char *port, uint32_t max)
{
    struct sockaddr_in at = address_of("127.0.0.1", port);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 4096) != 0)
        die("upstream");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fd, max);
    }
    close(fd);
}

/* ---- the clients ---- */

struct listening {
    int fd;
    bool past;  /* it goes to the upstream directly */
    int digits; /* of a stamp and a number that were read; -1: none has begun */
    uint64_t stamp;
    uint32_t number;
    uint32_t next; /* the number that is due */
    bool behind;   /* it has said something behind the measure */
};

/* What is sent from `from` until `to` is measured. */
struct measure {
    uint64_t from, to;
    size_t missing;
    uint32_t waits; /* streams that have said nothing behind it */
};

struct delays {
    uint32_t *us;
    size_t count, cap;
};

static int open_stream(const struct sockaddr_in *at)
{
    char body[512], request[2048], answer[16] = "";
    int len = snprintf(
        body, sizeof(body),
        "{\"model\":\"%s\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"go\"}]}",
        getenv("BENCH_MODEL"));
    int all = snprintf(request, sizeof(request),
                       "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer "
                       "%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                       getenv("BENCH_KEY"), len, body);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 &&
        write(fd, request, (size_t)all) == all && read(fd, answer, 12) == 12 &&
        memcmp(answer, "HTTP/1.1 200", 12) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* One in so many, so that both kinds are said something in every part of a second alike. */
static bool goes_directly(uint32_t i, uint32_t all)
{
    return (uint64_t)i * DIRECT / all != (uint64_t)(i + 1) * DIRECT / all;
}

/* The first calls of a key may be asked to come again: its share of the budget is under way. */
static int open_in_time(const struct sockaddr_in *at)
{
    int fd = -1;
    for (int i = 0; i < 200 && fd < 0; i++) {
        if (i > 0)
            usleep(20000);
        fd = open_stream(at);
    }
    return fd;
}

static void note(struct listening *l, struct delays *d, struct measure *m, uint64_t now)
{
    bool measured = l->stamp >= m->from && l->stamp < m->to;
    if (l->stamp >= m->from && l->number > l->next)
        m->missing += l->number - l->next;
    l->next = l->number + 1;
    if (measured && d->count < d->cap)
        d->us[d->count++] = (uint32_t)(now - l->stamp);
    if (l->stamp < m->to || l->behind)
        return;
    l->behind = true;
    m->waits--;
}

static void read_digit(struct listening *l, char c)
{
    unsigned digit = (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    if (l->digits++ < STAMP)
        l->stamp = l->stamp << 4 | digit;
    else
        l->number = l->number << 4 | digit;
}

static void read_stamps(struct listening *l, struct delays *d, struct measure *m)
{
    char bytes[16384];
    ssize_t n = recv(l->fd, bytes, sizeof(bytes), 0);
    uint64_t now = now_us();
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        fprintf(stderr, "streams: a stream has ended\n");
        exit(1);
    }
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] == '@') {
            l->digits = 0;
            l->stamp = l->number = 0;
        } else if (l->digits >= 0) {
            read_digit(l, bytes[i]);
            if (l->digits < STAMP + NUMBER)
                continue;
            note(l, d, m, now);
            l->digits = -1;
        }
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t percentile(const struct delays *d, size_t percent)
{
    return d->count ? d->us[(d->count - 1) * percent / 100] : 0;
}

static struct delays delays_of(size_t streams, size_t seconds)
{
    struct delays d = {.cap = streams * (seconds + 2)};
    d.us = malloc(d.cap * sizeof(*d.us));
    if (!d.us)
        die("memory");
    return d;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc != 6) {
        fprintf(stderr, "usage: streams ADDRESS PORT N SECONDS UPSTREAM_PORT\n");
        return 2;
    }
    uint32_t want = (uint32_t)atoi(argv[3]), all = want + DIRECT;
    uint64_t seconds = (uint64_t)atoi(argv[4]);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    start_upstream(argv[5], all + 256); /* some are tried again */

    const struct sockaddr_in gateway = address_of(argv[1], argv[2]);
    const struct sockaddr_in upstream = address_of("127.0.0.1", argv[5]);
    struct listening *streams = calloc(all, sizeof(*streams));
    struct delays through = delays_of(want, seconds), direct = delays_of(DIRECT, seconds);
    int epoll = epoll_create1(0);
    if (!streams || epoll < 0)
        die("streams");
    for (uint32_t i = 0; i < all; i++) {
        bool past = goes_directly(i, all);
        int fd = open_in_time(past ? &upstream : &gateway);
        if (fd < 0) {
            fprintf(stderr, "streams: only %u of %u streams stand\n", i, all);
            return 1;
        }
        streams[i] = (struct listening){.fd = fd, .digits = -1, .past = past};
        watch(epoll, fd, i);
    }
    printf("holding %u\n", want);
    fflush(stdout);

    struct epoll_event events[EVENTS_MAX];
    struct measure m = {.from = now_us() + 1000000, .waits = all};
    m.to = m.from + seconds * 1000000;
    for (uint64_t now = 0; m.waits && now < m.to + AFTER_MS * 1000; now = now_us()) {
        int n = epoll_wait(epoll, events, EVENTS_MAX, 10);
        for (int i = 0; i < n; i++) {
            struct listening *l = &streams[events[i].data.u32];
            read_stamps(l, l->past ? &direct : &through, &m);
        }
    }
    qsort(through.us, through.count, sizeof(*through.us), by_size);
    qsort(direct.us, direct.count, sizeof(*direct.us), by_size);
    printf("STREAMS %zu %zu %u %u %u %u %u\n", through.count, m.missing + m.waits,
           percentile(&through, 50), percentile(&through, 99), percentile(&through, 100),
           percentile(&direct, 50), percentile(&direct, 99));
    return 0;
}
