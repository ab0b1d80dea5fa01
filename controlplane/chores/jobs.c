/* jobs — see the card. */
#include "controlplane/chores/jobs.h"

#include "common/base/log.h"
#include "controlplane/ledger/lease_server.h"
#include "controlplane/store/store_lease.h"
#include "controlplane/store/store_plane.h"
#include "controlplane/store/store_session.h"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define SESSION_QUIET (1800 * SECOND) /* decisions.md */
#define LEASE_MEMORY                                                                               \
    (35 * DAY) /* longer than a certificate: a plane that is away for all that                     \
                  time cannot come back and charge */
#define DAYS_AHEAD 8
#define EXPIRE_ROUNDS 20 /* of a few hundred leases each; the rest a second later */

static const struct log_ctx jobs_log = {.component = "chores"};

enum err job_expire_leases(const struct timetable_config *c, int64_t now)
{
    size_t n = 1, sum = 0;
    enum err e = ERR_OK;
    for (int i = 0; i < EXPIRE_ROUNDS && n > 0 && e == ERR_OK; i++) {
        e = lease_server_expire(c->db, now, &n);
        sum += e == ERR_OK ? n : 0;
    }
    if (sum > 0)
        log_info(&jobs_log, "leases_in_suspense", "count=%zu", sum);
    return e;
}

enum err job_forget_leases(const struct timetable_config *c, int64_t now)
{
    TX_AUTO struct tx tx = {0};
    size_t n = 0;
    enum err e = tx_begin(c->db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = store_leases_forget(&tx, now - LEASE_MEMORY, &n);
    return e == ERR_OK ? tx_commit(&tx) : e;
}

enum err job_end_sessions(const struct timetable_config *c, int64_t now)
{
    TX_AUTO struct tx tx = {0};
    size_t n = 0;
    enum err e = tx_begin(c->db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = store_sessions_end(&tx, now - SESSION_QUIET, &n);
    return e == ERR_OK ? tx_commit(&tx) : e;
}

enum err job_make_days(const struct timetable_config *c, int64_t now)
{
    TX_AUTO struct tx tx = {0};
    int64_t made = 0;
    enum err e = tx_begin(c->db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = store_span_days(&tx, now, DAYS_AHEAD, &made);
    if (e == ERR_OK)
        e = tx_commit(&tx);
    if (e == ERR_OK && made > 0)
        log_info(&jobs_log, "span_days_made", "count=%lld", (long long)made);
    return e;
}

enum err job_note_planes(const struct timetable_config *c, int64_t now)
{
    TX_AUTO struct tx tx = {0};
    struct rollout_plane p;
    size_t at = 0;
    (void)now;
    if (!c->sync || !rollout_take_stirred(sync_rollout(c->sync), &at, &p))
        return ERR_OK;
    enum err e = tx_begin(c->db, TX_EVERY_ORG, &tx);
    do {
        const struct plane_note note = {.id = p.id,
                                        .org = p.org,
                                        .lineage = p.lineage,
                                        .build = p.build,
                                        .features = p.features,
                                        .version = p.version,
                                        .heard_at = p.heard_at};
        if (e == ERR_OK)
            e = store_plane_note(&tx, &note);
    } while (e == ERR_OK && rollout_take_stirred(sync_rollout(c->sync), &at, &p));
    return e == ERR_OK ? tx_commit(&tx) : e;
}

enum err job_renew_certificate(const struct timetable_config *c, int64_t now)
{
    return c->sync ? sync_renew_certificate(c->sync, now) : ERR_OK;
}
