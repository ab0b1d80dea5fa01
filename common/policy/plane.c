/* plane — opens its parts in the order in which they depend on each other, closes them in reverse.
 */
#include "common/policy/plane.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/seal.h"
#include "common/policy/ceiling_client.h"
#include "common/policy/epoch.h"
#include "common/policy/health_client.h"
#include "common/policy/listing_client.h"
#include "common/policy/policy_sync.h"
#include "common/policy/renewal.h"
#include "common/policy/shipper.h"
#include "common/scope/lease_client.h"
#include "common/wire/bus.h"
#include "common/wire/proto_secret.h"
#include "proto/channel.pb-c.h"

#define REQUEST_MS 10000
#define UNREACHABLE_MS 1000 /* a drain waits no longer for a control plane that is away */

struct plane {
    struct loop *loop;
    struct plane_events events;
    uint64_t epoch;
    uint64_t number; /* of the last request */
    struct registry *registry;
    struct seal *seal;
    struct policy_file *file;
    struct tls_context *tls;
    struct bus_plane *bus;
    struct policy_sync *sync;
    struct lease_client *lease_client;
    struct ceiling_client *ceilings;
    struct health_client *health;
    struct shipper *shipper;
    struct renewal *renewal;
    struct listing_client *discovery; /* NULL: this plane lists nothing */
    bool connected, removed;
    char state_dir[400];

    struct timer drain;
    uint64_t drain_until_us;
    uint64_t reached_us; /* draining: when the control plane last took what it was told */
    void (*drained)(void *arg);
    void *drained_arg;
};

/* ---- requests: numbered, packed, each with a reply message ---- */

struct pending_request {
    void (*done)(void *arg, enum err e, const void *reply);
    void *arg;
};

static void on_reply(void *arg, enum err e, struct slice bytes)
{
    struct pending_request f = *(struct pending_request *)arg;
    Gatehouse__Reply *reply = NULL;
    mem_free(arg);
    if (e == ERR_OK) {
        reply = gatehouse__reply__unpack(&proto_secret, bytes.len, (const uint8_t *)bytes.ptr);
        if (!reply)
            e = ERR_PROTOCOL;
    }
    f.done(f.arg, e, reply);
    gatehouse__reply__free_unpacked(reply, &proto_secret);
}

static enum err request(void *arg, void *message,
                        void (*done)(void *done_arg, enum err e, const void *reply), void *done_arg)
{
    struct plane *p = arg;
    Gatehouse__Request *m = message;
    if (!p->bus)
        return ERR_CLOSED;
    if (!m->has_number)
        m->number = ++p->number;
    m->has_epoch = m->has_number = true;
    m->epoch = p->epoch;
    size_t len = gatehouse__request__get_packed_size(m);
    struct pending_request *f = mem_zalloc(sizeof(*f));
    uint8_t *bytes = mem_alloc(len + 1);
    enum err e = ERR_NOMEM;
    if (f && bytes) {
        *f = (struct pending_request){.done = done, .arg = done_arg};
        gatehouse__request__pack(m, bytes);
        e = bus_plane_request(p->bus, slice_of(bytes, len), REQUEST_MS, on_reply, f);
    }
    mem_free(bytes);
    if (e != ERR_OK)
        mem_free(f);
    return e;
}

static bool is_connected(void *arg)
{
    const struct plane *p = arg;
    return p->connected;
}

static void after_turns(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
    struct plane *p = arg;
    p->events.after_turns(p->events.arg, fn, fn_arg);
}

/* ---- what comes up ---- */

static void on_push(void *arg, struct slice message)
{
    struct plane *p = arg;
    policy_sync_on_push(p->sync, message);
}

static void on_state(void *arg, bool up)
{
    struct plane *p = arg;
    if (p->connected == up)
        return;
    p->connected = up;
    log_info(NULL, up ? "channel_up" : "channel_down", "epoch=%lu", (unsigned long)p->epoch);
    policy_sync_on_state(p->sync, up);
    lease_client_on_state(p->lease_client, up);
    health_client_on_state(p->health, up);
    if (up)
        shipper_hurry(p->shipper);
}

/* The certificate is not accepted any more. The next start finds none, and has to be enrolled. */
static void set_certificate_aside(const struct plane *p)
{
    char from[512], to[512];
    snprintf(from, sizeof(from), "%s/plane.crt", p->state_dir);
    snprintf(to, sizeof(to), "%s/" PLANE_CERT_REMOVED, p->state_dir);
    if (rename(from, to) != 0)
        log_error(NULL, "state_dir_not_writable", "path=%s", from);
}

static void on_removed(void *arg)
{
    struct plane *p = arg;
    p->removed = true;
    log_error(NULL, "removed", "why=%s",
              "the control plane removed this data plane; it serves"
              " no client until it is enrolled again");
    set_certificate_aside(p);
    if (p->events.removed)
        p->events.removed(p->events.arg);
}

static void recall(void *arg, struct slice account, int64_t short_nano)
{
    struct plane *p = arg;
    lease_client_recall(p->lease_client, account, short_nano);
}

/* A plane that does not say answers so: the control plane would wait in vain. */
static void explain(void *arg, const Gatehouse__ExplainQuestion *question)
{
    struct plane *p = arg;
    if (p->events.explain)
        p->events.explain(p->events.arg, question);
    else
        plane_explained(p, question->number, SLICE_NONE,
                        SLICE("this data plane does not explain its routing"), false);
}

static void hint(void *arg, const Gatehouse__HealthHint *h)
{
    struct plane *p = arg;
    health_client_hint(p->health, h);
    if (p->events.hint)
        p->events.hint(p->events.arg, h);
}

static void publish(void *arg, const struct snapshot *s)
{
    struct plane *p = arg;
    lease_client_policy(p->lease_client); /* before workers may acknowledge the version */
    ceiling_client_policy(p->ceilings, s);
    health_client_policy(p->health, s);
    p->events.publish(p->events.arg, s);
    if (p->discovery)
        listing_client_policy(p->discovery, s);
}

/* ---- start ---- */

/* Beside the key, which lies outside of the state folder; planes that share a key have each their
 * own. */
static void mark_path(const struct plane_config *c, char *out, size_t size)
{
    struct digest d;
    digest_sha256(slice_str(c->state_dir), &d);
    snprintf(out, size, "%s.%02x%02x%02x%02x.mark", c->state_key_file, d.bytes[0], d.bytes[1],
             d.bytes[2], d.bytes[3]);
}

static enum err open_seal(struct plane *p, const struct plane_config *c)
{
    if (!c->state_key_file || c->state_key_file[0] == '\0') {
        log_warn(NULL, "policy_not_kept", "why=no_state_key_file");
        return ERR_OK;
    }
    enum err e = seal_load(c->state_key_file, false, &p->seal);
    if (e == ERR_OK) {
        char mark[600];
        mark_path(c, mark, sizeof(mark));
        e = policy_file_open(c->state_dir, p->seal, mark, &p->file);
    }
    return e;
}

static enum err open_tls(struct plane *p, const struct plane_config *c)
{
    char ca[512], cert[512], key[512];
    snprintf(ca, sizeof(ca), "%s/ca.crt", c->state_dir);
    snprintf(cert, sizeof(cert), "%s/plane.crt", c->state_dir);
    snprintf(key, sizeof(key), "%s/plane.key", c->state_dir);
    struct tls_client_config t = {
        .ca_file = ca, .cert_file = cert, .key_file = key, .only_13 = true};
    return tls_client_new(&t, &p->tls);
}

static enum err open_parts(struct plane *p, const struct plane_config *c)
{
    struct control_link links = {
        .request = request, .is_connected = is_connected, .after_turns = after_turns, .arg = p};
    struct policy_sync_events up = {
        .recall = recall, .publish = publish, .explain = explain, .hint = hint, .arg = p};
    struct shipper_config ship = {.dir = c->state_dir,
                                  .epoch = p->epoch,
                                  .workers = c->workers,
                                  .journal_bytes = c->journal_bytes};
    enum err e = lease_client_new(p->loop, p->registry, &links, &p->lease_client);
    if (e == ERR_OK)
        e = ceiling_client_new(p->loop, &links, &p->ceilings);
    if (e == ERR_OK)
        e = health_client_new(p->loop, &links, &p->health);
    if (e == ERR_OK)
        e = shipper_new(p->loop, &ship, &links, &p->shipper);
    if (e == ERR_OK)
        e = policy_sync_new(p->loop, p->registry, p->file, &links, &up, &p->sync);
    if (e == ERR_OK)
        e = renewal_new(p->loop, c->state_dir, p->tls, &links, &p->renewal);
    const struct listing_client_events found = {.list = p->events.list, .arg = p->events.arg};
    if (e == ERR_OK && found.list)
        e = listing_client_new(p->loop, &links, &found, &p->discovery);
    return e;
}

static enum err open_bus(struct plane *p, const struct plane_config *c)
{
    char instance[64];
    int n = snprintf(instance, sizeof(instance), "%d-%lu", (int)getpid(), (unsigned long)p->epoch);
    struct bus_plane_config bus = {.host = c->channel_host,
                                   .push_port = c->push_port,
                                   .request_port = c->request_port,
                                   .tls = p->tls,
                                   .instance = slice_of(instance, (size_t)n)};
    static const struct bus_plane_events events = {
        .on_push = on_push, .on_state = on_state, .on_removed = on_removed};
    return bus_plane_open(&bus, p->loop, &events, p, &p->bus);
}

enum err plane_open(const struct plane_config *c, const struct plane_events *events,
                    struct loop *main_loop, struct plane **ret)
{
    struct plane *p = mem_zalloc(sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    p->loop = main_loop;
    p->events = *events;
    snprintf(p->state_dir, sizeof(p->state_dir), "%s", c->state_dir);
    timer_init(&p->drain, main_loop, NULL);
    p->registry = registry_new();
    enum err e = p->registry ? epoch_next(c->state_dir, &p->epoch) : ERR_NOMEM;
    if (e == ERR_OK)
        e = open_seal(p, c);
    if (e == ERR_OK)
        e = open_tls(p, c);
    if (e == ERR_OK)
        e = open_parts(p, c);
    if (e == ERR_OK) {
        policy_sync_load(p->sync);
        e = open_bus(p, c);
    }
    if (e != ERR_OK) {
        plane_close(&p);
        return e;
    }
    *ret = p;
    return ERR_OK;
}

struct journal *plane_journal(struct plane *p, unsigned worker)
{
    return shipper_journal(p->shipper, worker);
}

void plane_status(const struct plane *p, struct plane_status *ret)
{
    struct policy_sync_status s;
    struct shipper_counts c;
    policy_sync_status(p->sync, &s);
    shipper_counts(p->shipper, &c);
    *ret = (struct plane_status){.has_policy = s.has_policy,
                                 .connected = p->connected,
                                 .stale = s.stale,
                                 .removed = p->removed,
                                 .version = s.version,
                                 .newest = s.newest,
                                 .acknowledged = s.acknowledged,
                                 .refused_objects = s.refused,
                                 .policy_age_us = s.age_us,
                                 .policy_marked = p->file && policy_file_has_mark(p->file),
                                 .database_away = s.database_away,
                                 .journal_waiting = c.waiting,
                                 .journal_dropped = c.dropped,
                                 .journal_folded = c.folded,
                                 .lost_calls = c.lost};
    lease_client_status(p->lease_client, &ret->leases);
}

void plane_listed(struct plane *p, struct tool_list **list)
{
    listing_client_listed(p->discovery, list);
}

void plane_tools_changed(struct plane *p, struct slice server_id)
{
    if (p->discovery)
        listing_client_changed(p->discovery, server_id);
}

/* ---- routing ---- */

static void on_told(void *arg, enum err e, const void *reply)
{
    (void)arg;
    (void)reply;
    if (e != ERR_OK)
        log_info(NULL, "answer_not_taken", "error=%s", err_name(e));
}

void plane_explained(struct plane *p, uint64_t number, struct slice answer, struct slice problem,
                     bool unknown)
{
    Gatehouse__Explained body = GATEHOUSE__EXPLAINED__INIT;
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    char *text =
        mem_strndup(answer.ptr ? answer.ptr : problem.ptr, answer.ptr ? answer.len : problem.len);
    if (!text)
        return; /* the control plane waits no longer than it says */
    body.has_number = body.has_unknown = true;
    body.number = number;
    body.unknown = unknown;
    *(answer.ptr ? &body.answer : &body.problem) = text;
    m.body_case = GATEHOUSE__REQUEST__BODY_EXPLAINED;
    m.explained = &body;
    enum err e = request(p, &m, on_told, p);
    if (e != ERR_OK)
        log_info(NULL, "answer_not_sent", "error=%s", err_name(e));
    mem_free(text);
}

struct report {
    void (*done)(void *arg, enum err e);
    void *arg;
};

/* A control plane that does not know the request refuses it by a word. */
static void on_reported(void *arg, enum err e, const void *reply)
{
    struct report r = *(struct report *)arg;
    const Gatehouse__Reply *m = reply;
    mem_free(arg);
    r.done(r.arg, e == ERR_OK && m->error ? ERR_DENIED : e);
}

enum err plane_report_health(struct plane *p, Gatehouse__HealthReport *report,
                             void (*done)(void *arg, enum err e), void *arg)
{
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    struct report *r = mem_alloc(sizeof(*r));
    if (!r)
        return ERR_NOMEM;
    *r = (struct report){done, arg};
    m.body_case = GATEHOUSE__REQUEST__BODY_HEALTH;
    m.health = report;
    enum err e = request(p, &m, on_reported, r);
    if (e != ERR_OK)
        mem_free(r);
    return e;
}

/* ---- what owners keep at providers ---- */

struct kept_question {
    struct kept_list *list;
    void (*done)(void *arg, struct kept_list *list);
    void *arg;
};

static bool copy_word(char *to, size_t max, const char *word)
{
    size_t len = word ? strlen(word) : 0;
    if (len == 0 || len >= max)
        return false;
    memcpy(to, word, len + 1);
    return true;
}

static enum err read_kept(const Gatehouse__KeptReply *m, struct kept_list *l)
{
    if (m->unknown)
        return ERR_NOT_FOUND;
    for (size_t i = 0; i < m->n_objects; i++) {
        struct kept_object *o = &l->objects[l->count];
        if (l->count == KEPT_LIST_MAX ||
            !copy_word(o->account, sizeof(o->account), m->objects[i]->account) ||
            !copy_word(o->id, sizeof(o->id), m->objects[i]->id))
            return ERR_PROTOCOL;
        l->count++;
    }
    l->more = m->more;
    return ERR_OK;
}

static enum err error_of_reply(const Gatehouse__Reply *m)
{
    if (m && m->error && strcmp(m->error, "database") == 0)
        return ERR_DATABASE;
    return m && m->error && strcmp(m->error, "not_ready") == 0 ? ERR_CLOSED : ERR_PROTOCOL;
}

static void on_kept(void *arg, enum err e, const void *reply)
{
    struct kept_question q = *(struct kept_question *)arg;
    const Gatehouse__Reply *m = reply;
    mem_free(arg);
    if (e == ERR_OK)
        e = m && !m->error && m->kept ? read_kept(m->kept, q.list) : error_of_reply(m);
    q.list->error = e;
    q.done(q.arg, q.list);
}

static enum err ask_kept(struct plane *p, const struct kept_list *l, struct kept_question *q)
{
    Gatehouse__Request m = GATEHOUSE__REQUEST__INIT;
    Gatehouse__KeptAsk body = GATEHOUSE__KEPT_ASK__INIT;
    if (!p->connected)
        return ERR_CLOSED;
    body.owner = (char *)(uintptr_t)l->owner;
    body.kind = (char *)(uintptr_t)l->kind;
    if (l->after.id[0]) {
        body.after_account = (char *)(uintptr_t)l->after.account;
        body.after_id = (char *)(uintptr_t)l->after.id;
    }
    body.has_ascending = body.has_limit = true;
    body.ascending = l->ascending;
    body.limit = l->limit;
    m.body_case = GATEHOUSE__REQUEST__BODY_KEPT;
    m.kept = &body;
    return request(p, &m, on_kept, q);
}

void plane_ask_kept(struct plane *p, struct kept_list *list,
                    void (*done)(void *arg, struct kept_list *list), void *arg)
{
    struct kept_question *q = mem_alloc(sizeof(*q));
    enum err e = ERR_NOMEM;
    list->count = 0;
    list->more = false;
    if (q) {
        *q = (struct kept_question){list, done, arg};
        e = ask_kept(p, list, q);
    }
    if (e == ERR_OK)
        return;
    mem_free(q);
    list->error = e;
    done(arg, list);
}

/* ---- draining ---- */

/* The control plane takes no message now. */
static bool is_unreachable(const struct plane *p)
{
    struct policy_sync_status s;
    policy_sync_status(p->sync, &s);
    return !p->connected || s.stale || s.database_away;
}

/* What cannot be shipped stays in the journal, and the next start ships it: so an outage does not
 * hold up the end of the process. */
static bool has_time(struct plane *p)
{
    uint64_t now = clock_mono_us();
    if (!is_unreachable(p))
        p->reached_us = now;
    return !p->removed && now < p->drain_until_us && now - p->reached_us < UNREACHABLE_MS * 1000u;
}

static void on_drain_tick(struct timer *t)
{
    struct plane *p = CONTAINER_OF(t, struct plane, drain);
    shipper_hurry(p->shipper);
    bool done = shipper_is_empty(p->shipper) && lease_client_end_all(p->lease_client);
    if (!done && has_time(p)) {
        timer_start(&p->drain, 20);
        return;
    }
    if (!done) {
        struct lease_status leases;
        lease_client_status(p->lease_client, &leases);
        log_warn(NULL, "drain_incomplete", "journal_empty=%d leases=%zu",
                 shipper_is_empty(p->shipper), leases.leases);
    }
    p->drained(p->drained_arg);
}

void plane_drain(struct plane *p, unsigned drain_ms, void (*done)(void *arg), void *arg)
{
    p->reached_us = clock_mono_us();
    p->drain_until_us = p->reached_us + (uint64_t)drain_ms * 1000;
    p->drained = done;
    p->drained_arg = arg;
    shipper_inherit(p->shipper);
    timer_init(&p->drain, p->loop, on_drain_tick);
    timer_start(&p->drain, 0);
}

void plane_close(struct plane **p)
{
    struct plane *mine = *p;
    *p = NULL;
    if (!mine)
        return;
    timer_cancel(&mine->drain);
    if (mine->bus)
        bus_plane_close(&mine->bus);
    mine->connected = false;
    renewal_free(mine->renewal);
    listing_client_free(mine->discovery);
    policy_sync_free(mine->sync);
    ceiling_client_free(mine->ceilings);
    health_client_free(mine->health);
    lease_client_free(mine->lease_client);
    shipper_free(mine->shipper);
    tls_drop(mine->tls);
    policy_file_close(mine->file);
    seal_free(mine->seal);
    registry_free(mine->registry);
    mem_free(mine);
}
