/* jobs — each job is one transaction or several. */
#include "controlplane/chores/jobs.h"

#include "common/base/log.h"
#include "controlplane/ledger/lease_server.h"
#include "controlplane/store/store_ceiling.h"
#include "controlplane/store/store_chore.h"
#include "controlplane/store/store_kept.h"
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
#define CURSOR_MEMORY LEASE_MEMORY        /* for the same reason */
#define PERIOD_MEMORY (400 * DAY)         /* longer than the longest period */
#define REPLY_MEMORY (25 * 3600 * SECOND) /* a day is promised */
#define SHARE_MEMORY                                                                               \
    (25 * 3600 * SECOND)       /* one that was not asked for in an hour counts for nothing */
#define KEPT_MEMORY (30 * DAY) /* a list that is gone on with is a young one */
#define DROP_ROUNDS 40         /* of store_chore.h's rows each; the rest an hour later */
#define EXPIRE_ROUNDS 20       /* of a few hundred leases each; the rest a second later */

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
    if (!c->planes || !rollout_take_changed(planes_rollout(c->planes), &at, &p))
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
    } while (e == ERR_OK && rollout_take_changed(planes_rollout(c->planes), &at, &p));
    return e == ERR_OK ? tx_commit(&tx) : e;
}

enum err job_renew_certificate(const struct timetable_config *c, int64_t now)
{
    return c->planes ? planes_renew_certificate(c->planes, now) : ERR_OK;
}

enum err job_observe(const struct timetable_config *c, int64_t now)
{
    TX_AUTO struct tx tx = {0};
    struct observed seen;
    (void)now;
    enum err e = tx_begin(c->db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = store_observe(&tx, &seen);
    if (e == ERR_OK)
        e = tx_commit(&tx);
    if (e != ERR_OK || !c->observed)
        return e;
    pthread_mutex_lock(&c->observed->lock);
    c->observed->seen = seen;
    c->observed->known = true;
    pthread_mutex_unlock(&c->observed->lock);
    return ERR_OK;
}

/* ---- retention ---- */

typedef enum err drop_fn(struct tx *tx, int64_t before, size_t *ret);

static enum err drop_some(const struct timetable_config *c, drop_fn *drop, int64_t before,
                          size_t *ret)
{
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(c->db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = drop(&tx, before, ret);
    return e == ERR_OK ? tx_commit(&tx) : e;
}

static enum err drop_all(const struct timetable_config *c, drop_fn *drop, int64_t before,
                         const char *event)
{
    size_t n = STORE_CHORE_ROWS, sum = 0;
    enum err e = ERR_OK;
    for (int i = 0; i < DROP_ROUNDS && n == STORE_CHORE_ROWS && e == ERR_OK; i++) {
        e = drop_some(c, drop, before, &n);
        sum += e == ERR_OK ? n : 0;
    }
    if (sum > 0)
        log_info(&jobs_log, event, "count=%zu", sum);
    return e;
}

/* days: of the settings */
static enum err drop_older(const struct timetable_config *c, drop_fn *drop, int64_t now,
                           uint64_t days, const char *event)
{
    return days ? drop_all(c, drop, now - (int64_t)days * DAY, event) : ERR_OK;
}

static enum err drop_day(struct tx *tx, int64_t before, size_t *ret)
{
    bool dropped = false;
    enum err e = store_spans_drop_day(tx, before, &dropped);
    *ret = dropped;
    return e;
}

enum err job_drop_spans(const struct timetable_config *c, int64_t now)
{
    size_t days = 0, more = 1;
    enum err e = ERR_OK;
    if (c->retention.spans_days == 0)
        return ERR_OK;
    for (int i = 0; i < DROP_ROUNDS && more > 0 && e == ERR_OK; i++) {
        e = drop_some(c, drop_day, now - (int64_t)c->retention.spans_days * DAY, &more);
        days += e == ERR_OK && more > 0;
    }
    if (days > 0)
        log_info(&jobs_log, "span_days_dropped", "count=%zu", days);
    return e;
}

enum err job_drop_sessions(const struct timetable_config *c, int64_t now)
{
    return drop_older(c, store_sessions_drop, now, c->retention.sessions_days, "sessions_dropped");
}

enum err job_drop_spend(const struct timetable_config *c, int64_t now)
{
    return drop_older(c, store_spend_drop, now, c->retention.spend_days, "spend_dropped");
}

enum err job_trim_changes(const struct timetable_config *c, int64_t now)
{
    return drop_older(c, store_changes_trim, now, c->retention.changes_days, "changes_trimmed");
}

enum err job_drop_budget_periods(const struct timetable_config *c, int64_t now)
{
    return drop_all(c, store_budget_periods_drop, now - PERIOD_MEMORY, "budget_periods_dropped");
}

enum err job_forget_cursors(const struct timetable_config *c, int64_t now)
{
    return drop_all(c, store_cursors_forget, now - CURSOR_MEMORY, "cursors_forgotten");
}

enum err job_forget_replies(const struct timetable_config *c, int64_t now)
{
    return drop_all(c, store_replies_forget, now - REPLY_MEMORY, "replies_forgotten");
}

enum err job_forget_shares(const struct timetable_config *c, int64_t now)
{
    return drop_all(c, store_ceiling_forget, now - SHARE_MEMORY, "ceiling_shares_forgotten");
}

enum err job_forget_kept(const struct timetable_config *c, int64_t now)
{
    return drop_all(c, store_kept_drop, now - KEPT_MEMORY, "kept_objects_forgotten");
}
