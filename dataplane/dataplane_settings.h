/*
 * settings — what a data plane is told at its start: one table (name, environment, default, unit).
 *
 * Threads  main, at start; constant afterwards.
 */
#pragma once

#include "common/base/log.h"
#include "common/base/option.h"
#include "common/net/address.h"
#include "common/net/host_list.h"
#include "common/net/origin_list.h"

struct settings {
    const char *listen, *metrics_listen;
    const char *channel_push, *channel_request;
    const char *admin_url, *enrolment_token_file;
    const char *state_dir, *state_key_file;
    const char *tls_cert, *tls_key;
    const char *token_dir;
    const char *log_level_text;
    enum log_level log_level;
    const char *allowed_hosts_text;
    const char *allowed_origins_text;
    uint64_t workers, journal_bytes, drain_ms, lame_duck_ms, memory_limit, ai_body_bytes;
    uint64_t ai_upload_bytes;
    bool insecure;
    bool check; /* there is nothing more to do */

    /* read from the texts above */
    union sockaddr_any listen_at, metrics_at;
    struct slice channel_host;
    struct host_list allowed_hosts;
    struct origin_list allowed_origins;
    uint16_t push_port, request_port;
    int token_folder; /* open for the process's life; -1: there is none */
};

/* ERR_INVALID after one sentence on stderr. *want_help: --help was printed. */
MUST_USE enum err settings_read(int argc, char **argv, struct settings *ret, bool *want_help);
