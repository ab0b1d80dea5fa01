/*
 * settings — the rows, and the rules between them.
 */
#include "dataplane/dataplane_settings.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/limits.h"

#define PROGRAM "gatehouse-dataplane"
#define WORKERS_MAX 256
#define JOURNAL_MIN (64 * 1024) /* a full journal refuses no call: this keeps a hundred spans */
#define AI_BODY_MIN 1024
#define AI_UPLOAD_MAX (4096ull * 1024 * 1024)
#define AI_BODY_MAX                                                                                \
    (64 * 1024 * 1024) /* below LIMIT_STREAM_PIECE: it is sent upstream in one piece */
#define JOURNAL_MAX (4ull * 1024 * 1024 * 1024)

#define ROW(flag, variable, sort, preset, of, words, field)                                        \
    {                                                                                              \
        .name = flag, .env = variable, .type = sort, .default_text = preset, .unit = of,           \
        .help = words, .offset = offsetof(struct settings, field)                                  \
    }

static const struct option rows[] = {
    ROW("listen", "GATEHOUSE_LISTEN", OPTION_TEXT, "127.0.0.1:8080", "address:port",
        "where clients come in", listen),
    ROW("metrics-listen", "GATEHOUSE_METRICS_LISTEN", OPTION_TEXT, "127.0.0.1:8084", "address:port",
        "own health and metrics", metrics_listen),
    ROW("channel-push", "GATEHOUSE_CHANNEL_PUSH", OPTION_TEXT, "127.0.0.1:8082", "host:port",
        "where the control plane pushes policy", channel_push),
    ROW("channel-request", "GATEHOUSE_CHANNEL_REQUEST", OPTION_TEXT, "127.0.0.1:8083", "host:port",
        "where the control plane answers", channel_request),
    ROW("admin-url", "GATEHOUSE_ADMIN_URL", OPTION_TEXT, "http://127.0.0.1:8081", "URL",
        "the control plane's own address, for enrolment", admin_url),
    ROW("enrolment-token-file", "GATEHOUSE_ENROLMENT_TOKEN_FILE", OPTION_TEXT, NULL, "file",
        "one-time token, used where there is no certificate yet", enrolment_token_file),
    ROW("state-dir", "GATEHOUSE_STATE_DIR", OPTION_TEXT, "/var/lib/gatehouse/dataplane", "folder",
        "certificate, sealed policy, journals", state_dir),
    ROW("state-key-file", "GATEHOUSE_STATE_KEY_FILE", OPTION_TEXT, NULL, "file",
        "seals the policy on disk; outside the state folder; none: it is not kept", state_key_file),
    {.name = "workers",
     .env = "GATEHOUSE_WORKERS",
     .type = OPTION_U64,
     .default_text = "0",
     .unit = "threads",
     .help = "0: one for each core",
     .offset = offsetof(struct settings, workers),
     .max = WORKERS_MAX},
    ROW("log-level", "GATEHOUSE_LOG_LEVEL", OPTION_TEXT, "info", "", "debug, info, warn or error",
        log_level_text),
    {.name = "journal-bytes",
     .env = "GATEHOUSE_JOURNAL_BYTES",
     .type = OPTION_U64,
     .default_text = "16777216",
     .unit = "bytes",
     .help = "usage journal of each worker",
     .offset = offsetof(struct settings, journal_bytes),
     .min = JOURNAL_MIN,
     .max = JOURNAL_MAX},
    {.name = "drain-ms",
     .env = "GATEHOUSE_DRAIN_MS",
     .type = OPTION_U64,
     .default_text = "30000",
     .unit = "ms",
     .help = "at SIGTERM: how long what is under way may take",
     .offset = offsetof(struct settings, drain_ms),
     .max = 3600000},
    {.name = "lame-duck-ms",
     .env = "GATEHOUSE_LAME_DUCK_MS",
     .type = OPTION_U64,
     .default_text = "0",
     .unit = "ms",
     .help = "at SIGTERM: unready but still serving, until balancers have seen it",
     .offset = offsetof(struct settings, lame_duck_ms),
     .max = 600000},
    {.name = "memory-limit",
     .env = "GATEHOUSE_MEMORY_LIMIT",
     .type = OPTION_U64,
     .default_text = "0",
     .unit = "bytes",
     .help = "at 85% of it new calls are refused; 0: the control group's, or the machine's",
     .offset = offsetof(struct settings, memory_limit)},
    {.name = "ai-body-bytes",
     .env = "GATEHOUSE_AI_BODY_BYTES",
     .type = OPTION_U64,
     .default_text = "33554432",
     .unit = "bytes",
     .help = "the largest body a model call may have; 413 above",
     .offset = offsetof(struct settings, ai_body_bytes),
     .min = AI_BODY_MIN,
     .max = AI_BODY_MAX},
    {.name = "ai-upload-bytes",
     .env = "GATEHOUSE_AI_UPLOAD_BYTES",
     .type = OPTION_U64,
     .default_text = "545259520",
     .unit = "bytes",
     .help = "the largest form with a file that streams to its provider; 413 above",
     .offset = offsetof(struct settings, ai_upload_bytes),
     .min = AI_BODY_MIN,
     .max = AI_UPLOAD_MAX},
    ROW("allowed-hosts", "GATEHOUSE_ALLOWED_HOSTS", OPTION_TEXT, NULL, "",
        "Host and Origin names /mcp takes beside the loopback's, comma-separated",
        allowed_hosts_text),
    ROW("allowed-origins", "GATEHOUSE_ALLOWED_ORIGINS", OPTION_TEXT, NULL, "",
        "origins of web pages that may call the gates (CORS), comma-separated, or *",
        allowed_origins_text),
    ROW("token-dir", "GATEHOUSE_TOKEN_DIR", OPTION_TEXT, NULL, "folder",
        "whose files a credential's source may name (token_file); none: no file is read",
        token_dir),
    ROW("tls-cert", "GATEHOUSE_TLS_CERT", OPTION_TEXT, NULL, "file", "PEM chain for clients",
        tls_cert),
    ROW("tls-key", "GATEHOUSE_TLS_KEY", OPTION_TEXT, NULL, "file", "its key", tls_key),
    ROW("insecure", NULL, OPTION_BOOL, NULL, "", "allow plain HTTP on other than loopback",
        insecure),
    ROW("check", NULL, OPTION_BOOL, NULL, "", "say what is wrong with the settings, and end",
        check),
};

static enum err complain(const char *what)
{
    fprintf(stderr, PROGRAM ": %s\n", what);
    return ERR_INVALID;
}

/* "host:port"; an IPv6 host stands in brackets */
static enum err split_host(const char *text, struct slice *host, uint16_t *port)
{
    struct slice s = slice_str(text);
    size_t colon = s.len;
    uint64_t n;
    while (colon > 0 && s.ptr[colon - 1] != ':')
        colon--;
    if (colon < 2 || slice_u64(slice_from(s, colon), &n) || n == 0 || n > UINT16_MAX)
        return ERR_INVALID;
    struct slice h = slice_first(s, colon - 1);
    if (h.len > 2 && h.ptr[0] == '[' && h.ptr[h.len - 1] == ']')
        h = slice_of(h.ptr + 1, h.len - 2);
    *host = h;
    *port = (uint16_t)n;
    return ERR_OK;
}

static bool is_loopback(const union sockaddr_any *a)
{
    if (a->sa.sa_family == AF_INET)
        return (ntohl(a->in.sin_addr.s_addr) >> 24) == 127;
    return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

static enum err read_channel(struct settings *s)
{
    struct slice other;
    if (split_host(s->channel_push, &s->channel_host, &s->push_port) ||
        split_host(s->channel_request, &other, &s->request_port))
        return complain("--channel-push and --channel-request want host:port");
    if (!slice_eq(other, s->channel_host))
        return complain("--channel-push and --channel-request must name one host");
    return ERR_OK;
}

static enum err check(struct settings *s)
{
    if (address_parse(slice_str(s->listen), &s->listen_at))
        return complain("--listen wants a literal address and a port");
    if (address_parse(slice_str(s->metrics_listen), &s->metrics_at))
        return complain("--metrics-listen wants a literal address and a port");
    if (log_level_parse(slice_str(s->log_level_text), &s->log_level))
        return complain("--log-level is debug, info, warn or error");
    if (s->allowed_hosts_text &&
        host_list_read(slice_str(s->allowed_hosts_text), &s->allowed_hosts))
        return complain("--allowed-hosts wants names or addresses without ports, at most 64");
    if (s->allowed_origins_text &&
        origin_list_read(slice_str(s->allowed_origins_text), &s->allowed_origins))
        return complain(
            "--allowed-origins wants origins as https://app.example.com, at most 64, or *");
    if (s->token_dir &&
        (s->token_folder = open(s->token_dir, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        return complain("--token-dir is no folder that can be opened");
    if (!s->tls_cert != !s->tls_key)
        return complain("--tls-cert and --tls-key belong together");
    if (!s->insecure && !s->tls_cert && !is_loopback(&s->listen_at))
        return complain("plain HTTP on other than loopback needs --insecure, or a certificate");
    if (!s->insecure && !is_loopback(&s->metrics_at))
        return complain("--metrics-listen on other than loopback needs --insecure");
    if (!s->workers) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        s->workers = cores > 0 && cores <= WORKERS_MAX ? (uint64_t)cores : 1;
    }
    return read_channel(s);
}

/* A shell sets a variable to the empty string where it means "not set". */
static void drop_empty(const char **text)
{
    if (*text && !**text)
        *text = NULL;
}

enum err settings_read(int argc, char **argv, struct settings *ret, bool *want_help)
{
    enum err e = option_read(PROGRAM, "Gatehouse's data plane: the three gates on one listener.",
                             rows, ARRAY_LEN(rows), argc, argv, ret, want_help);
    ret->token_folder = -1;
    if (e || *want_help)
        return e;
    drop_empty(&ret->tls_cert);
    drop_empty(&ret->tls_key);
    drop_empty(&ret->state_key_file);
    drop_empty(&ret->enrolment_token_file);
    drop_empty(&ret->allowed_hosts_text);
    drop_empty(&ret->allowed_origins_text);
    drop_empty(&ret->token_dir);
    return check(ret);
}
