/* planes — what is opened in which order. */
#include "controlplane/channel/planes.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/tls.h"
#include "common/wire/bus.h"
#include "common/wire/enrol.h"
#include "controlplane/channel/channel.h"
#include "controlplane/policy/follow.h"

static const struct log_ctx planes_log = {.component = "planes"};

struct planes {
    struct enrolment *enrolment;
    struct image *image;
    struct rollout *rollout;
    struct publish *publish;
    struct follow *follow;
    struct channel channel;
    struct ingest *ingest;
    struct health_board *health;
    struct questions *questions;
    struct tls_context *tls;
    char ca_file[512], cert_file[512], key_file[512];
    int64_t renew_at; /* of the server certificate; wall */
    _Atomic int64_t certificate_until;
    struct bus_hub *hub;
    pthread_mutex_t lock; /* of hub, against the follower that cuts planes */
};

/* Called by the follower: in its first look there is no hub yet, and no plane to cut. */
static void on_removed(void *arg, struct slice plane_id)
{
    struct planes *s = arg;
    pthread_mutex_lock(&s->lock);
    if (s->hub)
        bus_hub_cut(s->hub, plane_id);
    pthread_mutex_unlock(&s->lock);
    health_board_forget(s->health, plane_id);
    log_info(&planes_log, "plane_removed", "id=%.*s", SLICE_ARG(plane_id));
}

static bool admit(void *arg, struct slice plane_id, char channel[static 64])
{
    struct planes *s = arg;
    return rollout_admit(s->rollout, plane_id, channel);
}

static bool is_removed(void *arg, struct slice plane_id)
{
    struct planes *s = arg;
    struct rollout_plane p;
    return rollout_find(s->rollout, plane_id, &p) && p.removed;
}

static bool is_here(void *arg, struct slice plane_id)
{
    return bus_hub_is_connected(arg, plane_id);
}

static void handle(void *arg, struct slice plane_id, struct slice request, struct buf *reply)
{
    struct planes *s = arg;
    channel_handle(&s->channel, plane_id, request, reply);
}

static enum err push_question(void *arg, struct slice plane_id,
                              Gatehouse__ExplainQuestion *question)
{
    struct planes *s = arg;
    return publish_question(s->publish, plane_id, question);
}

static enum err open_policy(struct planes *s, const struct planes_config *c)
{
    s->image = image_new();
    s->rollout = rollout_new();
    s->health = health_board_new();
    s->questions = questions_new(push_question, s);
    if (!s->image || !s->rollout || !s->health || !s->questions)
        return ERR_NOMEM;
    rollout_ask_image(s->rollout, s->image);
    enum err e = publish_start(s->image, s->rollout, &s->publish);
    if (e != ERR_OK)
        return e;
    const struct follow_config f = {.direct_url = c->direct_url,
                                    .seal = c->seal,
                                    .image = s->image,
                                    .rollout = s->rollout,
                                    .publish = s->publish,
                                    .on_removed = on_removed,
                                    .arg = s};
    return follow_start(&f, &s->follow);
}

static enum err write_certificate(struct planes *s, int64_t now)
{
    enum err e = enrolment_write_server(s->enrolment, s->ca_file, s->cert_file, s->key_file);
    if (e == ERR_OK)
        s->renew_at = now + ENROL_CERT_DAYS / 2 * INT64_C(86400000000);
    s->certificate_until =
        e == ERR_OK ? now + ENROL_CERT_DAYS * INT64_C(86400000000) : s->certificate_until;
    return e;
}

static enum err open_tls(struct planes *s, const struct planes_config *c)
{
    snprintf(s->ca_file, sizeof(s->ca_file), "%s/channel-ca.crt", c->state_dir);
    snprintf(s->cert_file, sizeof(s->cert_file), "%s/channel.crt", c->state_dir);
    snprintf(s->key_file, sizeof(s->key_file), "%s/channel.key", c->state_dir);
    enum err e = write_certificate(s, clock_wall_us());
    const struct tls_server_config t = {.cert_file = s->cert_file,
                                        .key_file = s->key_file,
                                        .client_ca_file = s->ca_file,
                                        .only_13 = true};
    return e == ERR_OK ? tls_server_new(&t, &s->tls) : e;
}

/* Connections that stand keep the old one. */
enum err planes_renew_certificate(struct planes *s, int64_t now)
{
    if (now < s->renew_at)
        return ERR_OK;
    enum err e = write_certificate(s, now);
    if (e == ERR_OK)
        e = tls_reload(s->tls);
    log_info(&planes_log, "channel_certificate", "renewed=%s", err_name(e));
    return e;
}

static enum err open_hub(struct planes *s, const struct planes_config *c)
{
    const struct bus_hub_config h = {.push_at = c->push_at,
                                     .request_at = c->request_at,
                                     .tls = s->tls,
                                     .threads = c->threads,
                                     .admit = admit,
                                     .removed = is_removed,
                                     .handle = handle,
                                     .arg = s};
    struct bus_hub *hub = NULL;
    enum err e = bus_hub_open(&h, &hub);
    if (e != ERR_OK)
        return e;
    pthread_mutex_lock(&s->lock);
    s->hub = hub;
    pthread_mutex_unlock(&s->lock);
    rollout_ask_presence(s->rollout, is_here, hub);
    log_info(&planes_log, "channel_listening", "push_port=%u request_port=%u",
             bus_hub_push_port(hub), bus_hub_request_port(hub));
    publish_to(s->publish, hub);
    return ERR_OK;
}

static enum err open_parts(struct planes *s, const struct planes_config *c, const char **part)
{
    *part = "authority";
    enum err e = enrolment_open(c->db, c->seal, &s->enrolment);
    if (e == ERR_OK) {
        *part = "policy";
        e = open_policy(s, c);
    }
    if (e == ERR_OK) {
        *part = "certificate";
        e = open_tls(s, c);
    }
    if (e == ERR_OK) {
        *part = "ingest";
        e = ingest_new(c->db, &s->ingest);
    }
    if (e == ERR_OK) {
        *part = "channel";
        s->channel = (struct channel){.db = c->db,
                                      .image = s->image,
                                      .rollout = s->rollout,
                                      .enrolment = s->enrolment,
                                      .publish = s->publish,
                                      .ingest = s->ingest,
                                      .health = s->health,
                                      .questions = s->questions};
        e = open_hub(s, c);
    }
    return e;
}

enum err planes_open(const struct planes_config *c, struct planes **ret)
{
    const char *part = "";
    struct planes *s = mem_zalloc(sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    pthread_mutex_init(&s->lock, NULL);
    enum err e = open_parts(s, c, &part);
    if (e != ERR_OK) {
        log_error(&planes_log, "start_failed", "part=%s error=%s", part, err_name(e));
        planes_close(&s);
        return e;
    }
    *ret = s;
    return ERR_OK;
}

void planes_close(struct planes **ref)
{
    struct planes *s = *ref;
    if (!s)
        return;
    *ref = NULL;
    follow_stop(&s->follow);
    if (s->publish)
        publish_to(s->publish, NULL);
    if (s->rollout)
        rollout_ask_presence(s->rollout, NULL, NULL);
    bus_hub_close(&s->hub);
    publish_stop(&s->publish);
    tls_drop(s->tls);
    enrolment_close(&s->enrolment);
    ingest_free(s->ingest);
    health_board_free(s->health);
    questions_free(s->questions);
    rollout_free(s->rollout);
    image_free(s->image);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

struct enrolment *planes_enrolment(struct planes *s)
{
    return s->enrolment;
}

struct rollout *planes_rollout(struct planes *s)
{
    return s->rollout;
}

struct ingest *planes_ingest(struct planes *s)
{
    return s->ingest;
}

struct health_board *planes_health(struct planes *s)
{
    return s->health;
}

struct questions *planes_questions(struct planes *s)
{
    return s->questions;
}

void planes_ports(struct planes *s, uint16_t *ret_push, uint16_t *ret_request)
{
    *ret_push = bus_hub_push_port(s->hub);
    *ret_request = bus_hub_request_port(s->hub);
}

int64_t planes_certificate_until(struct planes *s)
{
    return s->certificate_until;
}

int64_t planes_ca_until(struct planes *s)
{
    int64_t until = 0;
    return enrol_not_after(enrolment_ca(s->enrolment), &until) == ERR_OK ? until : 0;
}
