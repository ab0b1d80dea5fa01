/*
 * settings — the table, and what the rows mean together.
 */
#include "controlplane/controlplane_settings.h"

#include <stdio.h>

#include "common/base/limits.h"
#include "common/base/option.h"

#define PROGRAM "gatehouse-controlplane"
#define ABOUT                                                                                      \
    "Keeps the truth in PostgreSQL, serves the admin API, and tells it to the data planes."
#define RETAIN_MAX_DAYS 36500
#define AT(member) offsetof(struct settings, member)

static const struct option options[] = {
    {"admin-listen", "GATEHOUSE_ADMIN_LISTEN", OPTION_TEXT, "127.0.0.1:8081", "",
     "address of the admin API", AT(admin_listen), 0, 0},
    {"admin-tls-cert", "GATEHOUSE_ADMIN_TLS_CERT", OPTION_TEXT, NULL, "",
     "certificate chain (PEM) of the admin API; with it, only TLS is spoken", AT(tls_cert), 0, 0},
    {"admin-tls-key", "GATEHOUSE_ADMIN_TLS_KEY", OPTION_TEXT, NULL, "", "its key (PEM)",
     AT(tls_key), 0, 0},
    {"channel-push", "GATEHOUSE_CHANNEL_PUSH", OPTION_TEXT, "127.0.0.1:8082", "",
     "address where data planes hear changes", AT(channel_push), 0, 0},
    {"channel-request", "GATEHOUSE_CHANNEL_REQUEST", OPTION_TEXT, "127.0.0.1:8083", "",
     "address where data planes ask and report", AT(channel_request), 0, 0},
    {"database-url", "GATEHOUSE_DATABASE_URL", OPTION_SECRET, NULL, "",
     "PostgreSQL, as the run role; may be a pooler", AT(database_url), 0, 0},
    {"database-direct-url", "GATEHOUSE_DATABASE_DIRECT_URL", OPTION_SECRET, NULL, "",
     "the same past a pooler, for LISTEN; absent: database-url", AT(direct_url), 0, 0},
    {"database-owner-url", "GATEHOUSE_DATABASE_OWNER_URL", OPTION_SECRET, NULL, "",
     "as the role that owns the schema; absent: database-direct-url", AT(owner_url), 0, 0},
    {"database-connections", "GATEHOUSE_DATABASE_CONNECTIONS", OPTION_U64, "20", "",
     "connections at the same time", AT(database_connections), 12, 200},
    {"master-key-file", "GATEHOUSE_MASTER_KEY_FILE", OPTION_TEXT, NULL, "",
     "32 bytes or 64 hex digits that secrets in the database are sealed under", AT(master_key_file),
     0, 0},
    {"state-dir", "GATEHOUSE_STATE_DIR", OPTION_TEXT, "var/controlplane", "",
     "folder for the channel's certificates", AT(state_dir), 0, 0},
    {"admin-token-file", "GATEHOUSE_ADMIN_TOKEN_FILE", OPTION_TEXT, NULL, "",
     "where the first owner's token is written; absent: admin.token in the state folder",
     AT(token_file), 0, 0},
    {"migrations-dir", "GATEHOUSE_MIGRATIONS_DIR", OPTION_TEXT, "migrations", "",
     "folder of the schema's files", AT(migrations_dir), 0, 0},
    {"catalogue-file", "GATEHOUSE_CATALOGUE_FILE", OPTION_TEXT,
     "controlplane/catalogue/catalogue.json", "",
     "prices of the vendors' models; empty: none are loaded", AT(catalogue_file), 0, 0},
    {"log-level", "GATEHOUSE_LOG_LEVEL", OPTION_TEXT, "info", "", "debug, info, warn or error",
     AT(log_level_text), 0, 0},
    {"drain", "GATEHOUSE_DRAIN_MS", OPTION_U64, "10000", "ms",
     "how long requests in work may go on after SIGTERM", AT(drain_ms), 0, 600000},
    {"retain-spans", "GATEHOUSE_RETAIN_SPANS", OPTION_U64, "30", "days",
     "how long spans are kept; 0: for ever", AT(retention.spans_days), 0, RETAIN_MAX_DAYS},
    {"retain-sessions", "GATEHOUSE_RETAIN_SESSIONS", OPTION_U64, "90", "days",
     "how long sessions that have ended are kept; 0: for ever", AT(retention.sessions_days), 0,
     RETAIN_MAX_DAYS},
    {"retain-spend", "GATEHOUSE_RETAIN_SPEND", OPTION_U64, "400", "days",
     "how long the hourly sums behind spend are kept; 0: for ever", AT(retention.spend_days), 0,
     RETAIN_MAX_DAYS},
    {"retain-changes", "GATEHOUSE_RETAIN_CHANGES", OPTION_U64, "7", "days",
     "how long a change of the policy can be told as a delta; 0: for ever",
     AT(retention.changes_days), 0, RETAIN_MAX_DAYS},
    {"outage-reserve", "GATEHOUSE_OUTAGE_RESERVE_S", OPTION_U64, "3600", "s",
     "how long data planes may spend what they have leased of budgets with on_disconnect"
     " \"reserve\" while they cannot reach the control plane; 0: not at all",
     AT(reserve_s), 0, 604800},
    {"insecure", "GATEHOUSE_INSECURE", OPTION_BOOL, NULL, "",
     "allow the admin API without TLS on other addresses than loopback", AT(insecure), 0, 0},
    {"check", NULL, OPTION_BOOL, NULL, "", "say what is wrong with the settings, and end",
     AT(check), 0, 0},
    {"check-database", NULL, OPTION_BOOL, NULL, "",
     "connect to the databases of the settings, say which cannot be reached, and end",
     AT(check_database), 0, 0},
};

static enum err refuse(const char *what)
{
    fprintf(stderr, PROGRAM ": %s\n", what);
    return ERR_INVALID;
}

static bool is_loopback(const union sockaddr_any *a)
{
    if (a->sa.sa_family == AF_INET)
        return (ntohl(a->in.sin_addr.s_addr) >> 24) == 127;
    return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

static bool has(const char *text)
{
    return text != NULL && *text != '\0';
}

static void fill_absent(struct settings *s)
{
    static char token_file[512];
    if (!has(s->direct_url))
        s->direct_url = s->database_url;
    if (!has(s->owner_url))
        s->owner_url = s->direct_url;
    if (!has(s->token_file)) {
        snprintf(token_file, sizeof(token_file), "%s/admin.token", s->state_dir);
        s->token_file = token_file;
    }
}

static enum err judge(struct settings *s)
{
    union sockaddr_any admin;
    if (!has(s->database_url))
        return refuse("GATEHOUSE_DATABASE_URL is needed: where is PostgreSQL?");
    if (!has(s->master_key_file))
        return refuse("GATEHOUSE_MASTER_KEY_FILE is needed: secrets are sealed under it");
    if (log_level_parse(slice_str(s->log_level_text), &s->log_level) != ERR_OK)
        return refuse("--log-level is debug, info, warn or error");
    if (address_parse(slice_str(s->admin_listen), &admin) != ERR_OK)
        return refuse("--admin-listen must be an address and a port, like 127.0.0.1:8081");
    if (address_parse(slice_str(s->channel_push), &s->push_at) != ERR_OK)
        return refuse("--channel-push must be an address and a port");
    if (address_parse(slice_str(s->channel_request), &s->request_at) != ERR_OK)
        return refuse("--channel-request must be an address and a port");
    if (has(s->tls_cert) != has(s->tls_key))
        return refuse("--admin-tls-cert and --admin-tls-key go together");
    if (!is_loopback(&admin) && !has(s->tls_cert) && !s->insecure)
        return refuse("without TLS the admin API listens on loopback only; --insecure overrides");
    return ERR_OK;
}

enum err settings_read(int argc, char **argv, struct settings *ret, bool *want_help)
{
    enum err e =
        option_read(PROGRAM, ABOUT, options, ARRAY_LEN(options), argc, argv, ret, want_help);
    if (e != ERR_OK || *want_help)
        return e;
    fill_absent(ret);
    return judge(ret);
}
