/*
 * idle — holds N kept connections that have been used once and then stay silent: agents that wait.
 *
 *   idle ADDRESS PORT N           prints "holding N" when all stand, and stays until it is killed
 *   idle ADDRESS PORT N stream    each has a stream of BENCH_MODEL open and reads no more of it
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static char request[2048] = "GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n";

static void ask_for_streams(void)
{
    char body[512];
    int len = snprintf(
        body, sizeof(body),
        "{\"model\":\"%s\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"go\"}]}",
        getenv("BENCH_MODEL"));
    snprintf(request, sizeof(request),
             "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
             "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
             getenv("BENCH_KEY"), len, body);
}

static int try_one(const struct sockaddr_in *at)
{
    char answer[4096];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)at, sizeof(*at)) != 0 ||
        write(fd, request, strlen(request)) != (ssize_t)strlen(request) ||
        read(fd, answer, sizeof(answer)) <= 0 || strncmp(answer, "HTTP/1.1 200", 12) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* The first calls of a key may be asked to come again: its share of the budget is under way. */
static int open_one(const struct sockaddr_in *at)
{
    int fd = -1;
    for (int i = 0; i < 200 && fd < 0; i++) {
        if (i > 0)
            usleep(20000);
        fd = try_one(at);
    }
    return fd;
}

int main(int argc, char **argv)
{
    struct rlimit files = {32768, 32768};
    struct sockaddr_in at = {.sin_family = AF_INET};
    if (argc < 4 || argc > 5 || inet_pton(AF_INET, argv[1], &at.sin_addr) != 1) {
        fprintf(stderr, "usage: idle ADDRESS PORT N [stream]\n");
        return 2;
    }
    at.sin_port = htons((unsigned short)atoi(argv[2]));
    setrlimit(RLIMIT_NOFILE, &files);
    if (argc == 5)
        ask_for_streams();
    int want = atoi(argv[3]);
    for (int i = 0; i < want; i++) {
        if (open_one(&at) < 0) {
            fprintf(stderr, "idle: only %d of %d connections stand\n", i, want);
            return 1;
        }
    }
    printf("holding %d\n", want);
    fflush(stdout);
    pause();
    return 0;
}
