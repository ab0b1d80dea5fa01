/* channel — one table from the body of a request to its handler. */
#include "controlplane/channel/channel.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/wire/proto_read.h"
#include "common/wire/usage_batch.h"
#include "controlplane/discovery/listing_scheduler.h"
#include "controlplane/discovery/tool_report.h"
#include "controlplane/ledger/ceiling_server.h"
#include "controlplane/policy/frame.h"
#include "controlplane/policy/publish.h"
#include "controlplane/store/store_kept.h"
#include "proto/channel.pb-c.h"

static const struct log_ctx channel_log = {.component = "channel"};

/* One request, and where its reply is written. */
struct exchange {
    const struct channel *c;
    struct rollout_plane plane;
    const Gatehouse__Request *request;
    struct buf *out;
};

static enum err send_reply(const struct exchange *x, Gatehouse__Reply *reply)
{
    reply->has_number = true;
    reply->number = x->request->number;
    return frame_pack(&reply->base, x->out);
}

static struct ledger_asker asker_of(const struct exchange *x)
{
    return (struct ledger_asker){.dataplane = slice_str(x->plane.id),
                                 .org = slice_str(x->plane.org),
                                 .epoch = x->request->epoch,
                                 .number = x->request->number};
}

static enum err done(const struct exchange *x)
{
    Gatehouse__Reply reply = GATEHOUSE__REPLY__INIT;
    return send_reply(x, &reply);
}

/* ---- policy ---- */

static feature_set features_of(const Gatehouse__Hello *m)
{
    feature_set features = FEATURES_NONE;
    for (size_t i = 0; i < m->n_features; i++)
        features |= feature_parse(slice_str(m->features[i]));
    return features;
}

/* The newest revision that both speak; 0: there is none. */
static uint32_t agreed_protocol(const Gatehouse__Hello *m)
{
    uint32_t newest = m->has_protocol_newest ? m->protocol_newest : m->protocol;
    if (m->protocol > CHANNEL_PROTOCOL_NEWEST || newest < CHANNEL_PROTOCOL_OLDEST ||
        newest < m->protocol)
        return 0;
    return newest < CHANNEL_PROTOCOL_NEWEST ? newest : CHANNEL_PROTOCOL_NEWEST;
}

static enum err on_hello(const struct exchange *x)
{
    const Gatehouse__Hello *m = x->request->hello;
    Gatehouse__Reply reply = GATEHOUSE__REPLY__INIT;
    Gatehouse__HelloReply body = GATEHOUSE__HELLO_REPLY__INIT;
    char *features[FEATURE_BITS];
    struct image_head head;

    body.protocol = agreed_protocol(m);
    if (body.protocol == 0)
        return ERR_PROTOCOL;
    image_head(x->c->image, &head);
    if (head.lineage[0] == '\0')
        return ERR_AGAIN;
    rollout_hello(x->c->rollout, slice_str(x->plane.id), x->request->epoch, slice_str(m->build),
                  features_of(m));
    if (x->c->publish) /* publish cuts a plane whose view changed */
        publish_hurry(x->c->publish);
    rollout_applied(x->c->rollout, slice_str(x->plane.id), slice_str(m->lineage), m->version);
    body.has_protocol = body.has_version = true;
    body.lineage = head.lineage;
    body.version = head.version;
    body.dataplane_id = (char *)x->plane.id;
    body.dataplane_name = (char *)x->plane.name;
    body.pool = (char *)x->plane.pool_name;
    body.features = features;
    body.n_features = feature_names(FEATURES_ROWS, features);
    reply.body_case = GATEHOUSE__REPLY__BODY_HELLO;
    reply.hello = &body;
    return send_reply(x, &reply);
}

/* The reply's frame is written here, because the chunk is packed already. */
static enum err on_snapshot(const struct exchange *x)
{
    const Gatehouse__SnapshotRequest *m = x->request->snapshot;
    char head[FRAME_HEAD_MAX];
    struct view_key view;
    struct buf chunk;

    buf_init(&chunk, LIMIT_BUS_MESSAGE);
    rollout_view(&x->plane, &view);
    enum err e =
        image_chunk(x->c->image, &view, m->version, m->chunk, (int64_t)clock_mono_us(), &chunk);
    if (e == ERR_OK)
        e = done(x);
    if (e == ERR_OK)
        e = buf_append(x->out, slice_of(head, frame_head(FRAME_SNAPSHOT, chunk.len, head)));
    if (e == ERR_OK)
        e = buf_append(x->out, buf_slice(&chunk));
    if (chunk.data)
        secret_wipe(chunk.data, chunk.cap);
    buf_fini(&chunk);
    return e;
}

static enum err on_applied(const struct exchange *x)
{
    const Gatehouse__Applied *m = x->request->applied;
    rollout_refused(x->c->rollout, slice_str(x->plane.id), m->refused);
    rollout_applied(x->c->rollout, slice_str(x->plane.id), slice_str(m->lineage), m->version);
    return done(x);
}

/* ---- routing ---- */

static void log_news(const char *plane, const struct health_news *news)
{
    for (size_t i = 0; i < news->count; i++) {
        const Gatehouse__HealthHint *h = news->hints[i];
        const char *credential = h->credential_id ? h->credential_id : "";
        if (h->for_ms > 0)
            log_warn(&channel_log, "endpoint_unready",
                     "plane=%s provider=%s credential=%s why=%s for_ms=%u", plane, h->provider_id,
                     credential, h->why ? h->why : "", h->for_ms);
        else
            log_info(&channel_log, "endpoint_ready", "plane=%s provider=%s credential=%s", plane,
                     h->provider_id, credential);
    }
}

/* What made an endpoint unready here is told to the other planes of the pool. */
static enum err on_health(const struct exchange *x)
{
    struct health_news news;
    enum err e = health_board_report(x->c->health, slice_str(x->plane.id), x->request->epoch,
                                     x->request->health, clock_wall_us(), &news);
    if (e != ERR_OK)
        return e;
    log_news(x->plane.id, &news);
    if (news.count > 0 && x->c->publish)
        publish_hints(x->c->publish, slice_str(x->plane.id), news.hints, news.count);
    return done(x);
}

static enum err on_explained(const struct exchange *x)
{
    questions_answer(x->c->questions, slice_str(x->plane.id), x->request->explained);
    return done(x);
}

/* ---- money and usage ---- */

static enum err on_lease(const struct exchange *x)
{
    Gatehouse__Reply reply = GATEHOUSE__REPLY__INIT;
    struct ledger_asker asker = asker_of(x);
    struct lease_reply grants;
    enum err e = lease_server_ask(x->c->db, &asker, x->request->lease, clock_wall_us(), &grants);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; x->c->publish && i < grants.recall_count; i++)
        publish_recall(x->c->publish, slice_str(grants.recalls[i].dataplane),
                       slice_str(grants.recalls[i].account), grants.recalls[i].short_of);
    reply.body_case = GATEHOUSE__REPLY__BODY_LEASE;
    reply.lease = &grants.reply;
    e = send_reply(x, &reply);
    lease_server_reply_free(&grants);
    return e;
}

static enum err on_ceiling(const struct exchange *x)
{
    Gatehouse__Reply reply = GATEHOUSE__REPLY__INIT;
    struct ceiling_reply grants;
    enum err e = ceiling_server_ask(x->c->db, slice_str(x->plane.org), slice_str(x->plane.id),
                                    x->request->ceiling, clock_wall_us(), &grants);
    if (e != ERR_OK)
        return e;
    reply.body_case = GATEHOUSE__REPLY__BODY_CEILING;
    reply.ceiling = &grants.reply;
    e = send_reply(x, &reply);
    ceiling_reply_free(&grants);
    return e;
}

static enum err on_lease_end(const struct exchange *x)
{
    struct ledger_asker asker = asker_of(x);
    enum err e = lease_server_end(x->c->db, &asker, x->request->lease_end);
    return e == ERR_OK ? done(x) : e;
}

static enum err on_usage(const struct exchange *x)
{
    Gatehouse__UsageBatch *batch;
    Gatehouse__Reply reply = GATEHOUSE__REPLY__INIT;
    Gatehouse__UsageAck ack = GATEHOUSE__USAGE_ACK__INIT;
    struct ledger_asker asker = asker_of(x);

    enum err e = usage_batch_open(x->request->usage, &batch);
    if (e != ERR_OK)
        return e;
    ack.has_epoch = ack.has_worker = ack.has_committed = true;
    ack.epoch = batch->epoch;
    ack.worker = batch->worker;
    e = ingest_take(x->c->ingest, &asker, batch, &ack.committed);
    usage_batch_free(batch);
    if (e != ERR_OK)
        return e;
    reply.body_case = GATEHOUSE__REPLY__BODY_USAGE;
    reply.usage = &ack;
    return send_reply(x, &reply);
}

/* ---- the rest ---- */

static enum err on_tools(const struct exchange *x)
{
    const struct tool_reporter reporter = {
        .plane = slice_str(x->plane.id), .org = slice_str(x->plane.org), .now_us = clock_wall_us()};
    enum err e = tool_report_store(x->c->db, &reporter, x->request->tools);
    return e == ERR_OK ? done(x) : e;
}

static enum err on_listing(const struct exchange *x)
{
    Gatehouse__Reply reply = GATEHOUSE__REPLY__INIT;
    struct listing_reply orders = {0};
    enum err e = listing_scheduler_ask(x->c->db, x->c->rollout, &x->plane, x->request->listing,
                                       clock_wall_us(), &orders);
    if (e != ERR_OK)
        return e;
    reply.body_case = GATEHOUSE__REPLY__BODY_LISTING;
    reply.listing = &orders.reply;
    e = send_reply(x, &reply);
    listing_reply_free(&orders);
    return e;
}

/* The org is the plane's, never what a message says. */
static enum err on_kept(const struct exchange *x)
{
    TX_AUTO struct tx tx = {0};
    Gatehouse__Reply reply = GATEHOUSE__REPLY__INIT;
    struct kept_page page = {.rows = NULL};
    struct slice org = slice_str(x->plane.org);
    enum err e = tx_begin(x->c->db, org, &tx);
    if (e == ERR_OK)
        e = store_kept_list(&tx, org, x->request->kept, &page);
    if (e == ERR_OK)
        e = tx_commit(&tx);
    if (e == ERR_OK) {
        reply.body_case = GATEHOUSE__REPLY__BODY_KEPT;
        reply.kept = &page.reply;
        e = send_reply(x, &reply);
    }
    kept_page_fini(&page);
    return e;
}

static enum err on_renew(const struct exchange *x)
{
    Gatehouse__Reply reply = GATEHOUSE__REPLY__INIT;
    Gatehouse__RenewReply body = GATEHOUSE__RENEW_REPLY__INIT;
    struct buf cert, ca;

    buf_init(&cert, LIMIT_PEM);
    buf_init(&ca, LIMIT_PEM);
    enum err e = enrolment_renew(x->c->enrolment, x->c->db, slice_str(x->plane.id),
                                 slice_str(x->request->renew->csr_pem), &cert);
    if (e == ERR_OK)
        e = buf_append(&cert, slice_of("", 1)); /* texts end with a NUL in a message */
    if (e == ERR_OK)
        e = buf_append(&ca, enrolment_ca(x->c->enrolment));
    if (e == ERR_OK)
        e = buf_append(&ca, slice_of("", 1));
    if (e == ERR_OK) {
        body.certificate_pem = (char *)buf_slice(&cert).ptr;
        body.ca_pem = (char *)buf_slice(&ca).ptr;
        reply.body_case = GATEHOUSE__REPLY__BODY_RENEW;
        reply.renew = &body;
        e = send_reply(x, &reply);
    }
    buf_fini(&cert);
    buf_fini(&ca);
    return e;
}

static const struct {
    Gatehouse__Request__BodyCase body;
    enum err (*handle)(const struct exchange *x);
} handlers[] = {
    {GATEHOUSE__REQUEST__BODY_HELLO, on_hello},
    {GATEHOUSE__REQUEST__BODY_SNAPSHOT, on_snapshot},
    {GATEHOUSE__REQUEST__BODY_EXPLAINED, on_explained},
    {GATEHOUSE__REQUEST__BODY_HEALTH, on_health},
    {GATEHOUSE__REQUEST__BODY_APPLIED, on_applied},
    {GATEHOUSE__REQUEST__BODY_LEASE, on_lease},
    {GATEHOUSE__REQUEST__BODY_LEASE_END, on_lease_end},
    {GATEHOUSE__REQUEST__BODY_USAGE, on_usage},
    {GATEHOUSE__REQUEST__BODY_TOOLS, on_tools},
    {GATEHOUSE__REQUEST__BODY_RENEW, on_renew},
    {GATEHOUSE__REQUEST__BODY_LISTING, on_listing},
    {GATEHOUSE__REQUEST__BODY_CEILING, on_ceiling},
    {GATEHOUSE__REQUEST__BODY_KEPT, on_kept},
};

static enum err handle(const struct exchange *x)
{
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
        if (handlers[i].body == x->request->body_case)
            return handlers[i].handle(x);
    return ERR_INVALID;
}

static const char *word_for(enum err e)
{
    switch (e) {
    case ERR_INVALID:
    case ERR_TOO_BIG:
        return "invalid";
    case ERR_PROTOCOL:
        return "protocol";
    case ERR_AGAIN:
        return "not_ready";
    case ERR_DENIED:
        return "denied";
    case ERR_DATABASE:
    case ERR_TIMEOUT:
        return "database";
    default:
        return "internal";
    }
}

static void refuse(const struct exchange *x, const char *word)
{
    Gatehouse__Reply reply = GATEHOUSE__REPLY__INIT;
    reply.error = (char *)word;
    buf_clear(x->out);
    if (send_reply(x, &reply) != ERR_OK)
        buf_clear(x->out); /* an empty text is no Reply, and the plane takes it as an error */
}

/* More rows would unpack into a hundred times their bytes. */
static bool has_too_many_endpoints(struct slice report)
{
    struct proto_field f;
    size_t count = 0;
    while (proto_take(&report, &f) == ERR_OK)
        count += f.number == 1;
    return count > LIMIT_HEALTH_ENDPOINTS;
}

/* NULL: it is no request, or one that would unpack into more than it may. Of two batches in one
 * request protobuf would make one. */
static Gatehouse__Request *unpack(struct slice request)
{
    struct slice rest = request;
    struct proto_field f;
    bool seen = false;
    enum err e;
    while ((e = proto_take(&rest, &f)) == ERR_OK) {
        if (f.number == GATEHOUSE__REQUEST__BODY_HEALTH && has_too_many_endpoints(f.bytes))
            return NULL;
        if (f.number != GATEHOUSE__REQUEST__BODY_USAGE)
            continue;
        if (seen || usage_batch_check(f.bytes) != ERR_OK)
            return NULL;
        seen = true;
    }
    if (e != ERR_NOT_FOUND)
        return NULL;
    return gatehouse__request__unpack(NULL, request.len, (const uint8_t *)request.ptr);
}

void channel_handle(const struct channel *c, struct slice plane_id, struct slice request,
                    struct buf *reply)
{
    static const Gatehouse__Request nothing = GATEHOUSE__REQUEST__INIT;
    Gatehouse__Request *m = unpack(request);
    struct exchange x = {.c = c, .request = m ? m : &nothing, .out = reply};

    if (!m) {
        refuse(&x, "unreadable");
    } else if (!rollout_find(c->rollout, plane_id, &x.plane) || x.plane.removed) {
        refuse(&x, "unknown_plane");
    } else {
        rollout_heard(c->rollout, plane_id, clock_wall_us());
        enum err e = handle(&x);
        if (e != ERR_OK) {
            /* The store has logged the loss of the database once; planes send a hundred requests a
             * second, and would repeat it. */
            if (e != ERR_DATABASE)
                log_warn(&channel_log, "request_failed", "plane=%s body=%d error=%s", x.plane.id,
                         (int)m->body_case, err_name(e));
            refuse(&x, word_for(e));
        }
    }
    gatehouse__request__free_unpacked(m, NULL);
}
