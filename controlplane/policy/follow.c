/* follow — connects, listens, reads, waits; starts again whenever the database is lost. */
#include "controlplane/policy/follow.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/wire/enrol.h"
#include "controlplane/policy/compile.h"
#include "controlplane/store/store_plane.h"
#include "controlplane/store/store_policy.h"

#define POLL_MS 1000    /* without any notification */
#define REMOVED_MAX 200 /* removed planes that still get the refusal; a rollout holds more */
#define SLICE_MS 500    /* how long a stop may take */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_LAST_MS 2000 /* a failover takes seconds; more would add to it */

static const struct log_ctx follow_log = {.component = "follow"};

struct follow {
    struct follow_config config;
    struct db_conn *conn;
    pthread_t thread;
    atomic_bool stop;
    bool listening_broken; /* logged once */
};

/* ---- one look ---- */

/* As they are kept: names divided by commas. */
static feature_set read_features(struct slice names)
{
    feature_set features = FEATURES_NONE;
    struct slice one;
    while (slice_split(&names, ',', &one))
        features |= feature_parse(one);
    return features;
}

static enum err put_plane(struct follow *f, const struct db_result *r, size_t i)
{
    struct rollout_plane row = {.removed = db_bool(r, i, 4),
                                .version = (uint64_t)db_int(r, i, 6),
                                .heard_at = db_time(r, i, 7)};
    bool cut = false;
    db_copy(r, i, 0, row.id, sizeof(row.id));
    db_copy(r, i, 1, row.org, sizeof(row.org));
    db_copy(r, i, 2, row.name, sizeof(row.name));
    db_copy(r, i, 3, row.pool, sizeof(row.pool));
    db_copy(r, i, 8, row.pool_name, sizeof(row.pool_name));
    db_copy(r, i, 5, row.lineage, sizeof(row.lineage));
    row.features = read_features(db_text(r, i, 9));
    enum err e = rollout_put(f->config.rollout, &row, &cut);
    if (e == ERR_OK && cut)
        f->config.on_removed(f->config.arg, slice_str(row.id));
    if (e == ERR_TOO_BIG) { /* it is not admitted; connected planes must still get the policy */
        log_error(&follow_log, "too_many_planes", "refused=%s", row.name);
        e = ERR_OK;
    }
    return e;
}

/* Of the removed ones the latest, as long as their certificates last: they get the refusal
 * "removed"; a plane outside of the list is not admitted anyway. Pools of different orgs may share
 * a name; planes are told by the pool's id. */
static enum err look_at_planes(struct follow *f, struct tx *tx)
{
    DB_AUTO struct db_result *r = NULL;
    enum err e = store_planes_all(tx, ENROL_CERT_DAYS, REMOVED_MAX, &r);
    for (size_t i = 0; i < db_rows(r) && e == ERR_OK; i++)
        e = put_plane(f, r, i);
    return e;
}

static enum err look_at_policy(struct follow *f, struct tx *tx, struct image_delta *d)
{
    struct image_head head;
    image_head(f->config.image, &head);
    if (head.lineage[0] != '\0') {
        enum err e = compile_since(tx, f->config.seal, head.lineage, head.version, d);
        if (e != ERR_CONFLICT)
            return e;
        log_warn(&follow_log, "policy_reread", "had=%s/%llu", head.lineage,
                 (unsigned long long)head.version);
        image_delta_fini(d);
    }
    return compile_whole(tx, f->config.seal, d);
}

static enum err read_all(struct follow *f, struct tx *tx, struct image_delta *d)
{
    enum err e = look_at_planes(f, tx);
    return e == ERR_OK ? look_at_policy(f, tx, d) : e;
}

static enum err look(struct follow *f)
{
    struct tx tx = {.conn = f->conn}; /* no pool behind it: ended here by hand */
    struct image_delta d = {0};
    uint64_t began = clock_mono_us();

    enum err e = store_policy_begin(&tx);
    if (e == ERR_OK)
        e = read_all(f, &tx, &d);
    e = store_policy_end(&tx, e);
    if (e == ERR_OK && (d.whole || d.to != d.from)) {
        e = publish_delta(f->config.publish, &d);
        log_debug(&follow_log, "policy", "from=%llu to=%llu objects=%zu us=%llu",
                  (unsigned long long)d.from, (unsigned long long)d.to, d.objects.count,
                  (unsigned long long)(clock_mono_us() - began));
    }
    image_delta_fini(&d);
    return e;
}

/* ---- the thread ---- */

static enum err connect_and_listen(struct follow *f)
{
    enum err e = db_conn_open(f->config.direct_url, &f->conn);
    if (e != ERR_OK)
        return e;
    e = db_listen(f->conn, "gatehouse_policy");
    if (e == ERR_OK || !db_conn_alive(f->conn))
        return e;
    if (!f->listening_broken)
        log_warn(&follow_log, "no_notifications", "polling every %d ms", POLL_MS);
    f->listening_broken = true;
    return ERR_OK;
}

/* Until something came, a second passed, or it is time to stop. */
static enum err wait_for_word(struct follow *f)
{
    uint64_t until = clock_mono_us() + POLL_MS * 1000u;
    bool came = false;
    enum err e = ERR_OK;
    while (e == ERR_OK && !came && !atomic_load(&f->stop) && clock_mono_us() < until)
        e = db_wait_notify(f->conn, SLICE_MS, &came);
    return e;
}

static void pause_ms(struct follow *f, unsigned ms)
{
    for (unsigned done = 0; done < ms && !atomic_load(&f->stop); done += 50)
        usleep(50000);
}

static void *run(void *arg)
{
    struct follow *f = arg;
    unsigned backoff = BACKOFF_FIRST_MS;
    enum err e = ERR_OK;

    while (!atomic_load(&f->stop)) {
        if (!f->conn)
            e = connect_and_listen(f);
        if (e == ERR_OK)
            e = look(f);
        if (e == ERR_OK) {
            backoff = BACKOFF_FIRST_MS;
            publish_away(f->config.publish, false);
            e = wait_for_word(f);
        }
        if (e == ERR_OK)
            continue;
        log_warn(&follow_log, "database_lost", "error=%s again_ms=%u", err_name(e), backoff);
        publish_away(f->config.publish, true);
        db_conn_close(&f->conn);
        pause_ms(f, backoff);
        backoff = backoff * 2 < BACKOFF_LAST_MS ? backoff * 2 : BACKOFF_LAST_MS;
        e = ERR_OK;
    }
    db_conn_close(&f->conn);
    return NULL;
}

enum err follow_start(const struct follow_config *c, struct follow **ret)
{
    struct follow *f = mem_zalloc(sizeof(*f));
    if (!f)
        return ERR_NOMEM;
    f->config = *c;
    enum err e = connect_and_listen(f);
    if (e == ERR_OK)
        e = look(f);
    if (e == ERR_OK && pthread_create(&f->thread, NULL, run, f) != 0)
        e = ERR_NOMEM;
    if (e != ERR_OK) {
        db_conn_close(&f->conn);
        mem_free(f);
        return e;
    }
    *ret = f;
    return ERR_OK;
}

void follow_stop(struct follow **ref)
{
    struct follow *f = *ref;
    if (!f)
        return;
    *ref = NULL;
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
    mem_free(f);
}
