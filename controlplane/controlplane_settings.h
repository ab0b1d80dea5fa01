/*
 * settings — the settings of the control plane: one table for flags, environment and help.
 *
 * Owns     nothing; texts point into argv or the environment.
 * Fails    ERR_INVALID after one sentence on stderr that names the option.
 * Threads  main, at start.
 */
#pragma once

#include "common/base/log.h"
#include "common/net/address.h"
#include "controlplane/chores/retention.h"

struct settings {
    const char *admin_listen;
    const char *tls_cert;
    const char *tls_key;
    const char *channel_push;
    const char *channel_request;
    const char *database_url;
    const char *direct_url;
    const char *owner_url;
    uint64_t database_connections;
    const char *master_key_file;
    const char *state_dir;
    const char *token_file;
    const char *migrations_dir;
    const char *catalogue_file;
    const char *log_level_text;
    uint64_t drain_ms;
    struct retention retention;
    uint64_t reserve_s;
    bool insecure;
    bool check;          /* the settings are all that was to be checked */
    bool check_database; /* and a connection to each database */

    /* derived */
    enum log_level log_level;
    union sockaddr_any push_at, request_at;
};

MUST_USE enum err settings_read(int argc, char **argv, struct settings *ret, bool *want_help);
