/* sync — deltas in order, a snapshot where one was missed, never back to an older policy. */
#include "tests/unit/policy/policy_kit.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/policy/policy_sync.h"
#include "common/policy/snapshot_private.h"
#include "tests/kit/spared.h"

/* A control plane whose policy is a list of keys, one added per version; the first is version 1. */
struct hub {
    struct loop *loop;
    struct registry *registry;
    struct policy_sync *sync;
    char lineage[16];
    uint64_t version; /* newest */
    unsigned snapshots, acks, hellos;
    uint64_t published, acked;
    uint64_t stop_at; /* stop the loop once this version is published */
    bool away;
    bool wrong_digest;
    uint64_t first_acked;
    uint32_t refused;
    char refused_id[32];

    unsigned questions, hints;
    uint64_t question; /* its number */
    char hinted[32];   /* the provider */

    /* workers that end their turns when the test says so */
    bool slow_turns;
    void (*waiting)(void *arg);
    void *waiting_arg;
};

static void key_of(uint64_t version, char id[32])
{
    snprintf(id, 32, "k_%lu", (unsigned long)version);
}

/* The digest as the plane computes it: by building the same policy. */
static void digest_at(const struct hub *h, uint64_t version, uint8_t out[DIGEST_LEN])
{
    struct snapshot_build *b;
    struct registry *r = registry_new();
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    for (uint64_t v = 1; v <= version; v++) {
        char id[32];
        key_of(v, id);
        kit_key(b, id, v, NULL);
    }
    struct snapshot *s = snapshot_build_end(&b, slice_str(h->lineage), version);
    memcpy(out, s->digest.bytes, DIGEST_LEN);
    if (h->wrong_digest)
        out[0] ^= 1;
    snapshot_drop(s);
    registry_free(r);
}

struct object_message {
    Gatehouse__PolicyObject object;
    Gatehouse__Key key;
    uint8_t digest[DIGEST_LEN];
    char id[32];
};

static void fill_object(struct object_message *m, uint64_t version)
{
    gatehouse__policy_object__init(&m->object);
    gatehouse__key__init(&m->key);
    key_of(version, m->id);
    kit_digest(m->id, m->digest);
    m->key.org_id = "org";
    m->key.name = m->id;
    m->key.has_digest = true;
    m->key.digest = (ProtobufCBinaryData){DIGEST_LEN, m->digest};
    m->object.has_kind = m->object.has_revision = true;
    m->object.kind = GATEHOUSE__OBJECT_KIND__KIND_KEY;
    m->object.id = m->id;
    m->object.revision = version;
    m->object.body_case = GATEHOUSE__POLICY_OBJECT__BODY_KEY;
    m->object.key = &m->key;
}

static struct slice pack_push(struct hub *h, uint64_t from, uint64_t to)
{
    SPARED;
    uint8_t digest[DIGEST_LEN];
    static uint8_t packed[64 * 1024];
    struct object_message m[16];
    Gatehouse__PolicyObject *changes[16];
    Gatehouse__Push p = GATEHOUSE__PUSH__INIT;
    p.lineage = h->lineage;
    p.has_from = p.has_to = p.has_digest = true;
    p.from = from;
    p.to = to;
    digest_at(h, to, digest);
    p.digest = (ProtobufCBinaryData){DIGEST_LEN, digest};
    for (uint64_t v = from + 1; v <= to; v++) {
        fill_object(&m[p.n_changes], v);
        changes[p.n_changes] = &m[p.n_changes].object;
        p.n_changes++;
    }
    p.changes = changes;
    return slice_of(packed, gatehouse__push__pack(&p, packed));
}

/* from == to: a heartbeat */
static void push(struct hub *h, uint64_t from, uint64_t to)
{
    policy_sync_on_push(h->sync, pack_push(h, from, to));
}

struct reply {
    struct hub *hub;
    void (*done)(void *arg, enum err e, const void *reply);
    void *arg;
    int body;
    uint64_t version;
};

static void fill_snapshot(struct reply *a, Gatehouse__SnapshotReply *s)
{
    SPARED;
    static struct object_message m[64];
    static Gatehouse__PolicyObject *objects[64];
    static uint8_t digest[DIGEST_LEN];
    gatehouse__snapshot_reply__init(s);
    s->lineage = a->hub->lineage;
    s->version = a->version;
    s->chunks = 1;
    for (uint64_t v = 1; v <= a->version; v++) {
        fill_object(&m[s->n_objects], v);
        objects[s->n_objects] = &m[s->n_objects].object;
        s->n_objects++;
    }
    s->objects = objects;
    digest_at(a->hub, a->version, digest);
    s->digest = (ProtobufCBinaryData){DIGEST_LEN, digest};
}

static void reply_snapshot(struct reply *a, Gatehouse__Reply *r)
{
    Gatehouse__SnapshotReply s;
    fill_snapshot(a, &s);
    r->body_case = GATEHOUSE__REPLY__BODY_SNAPSHOT;
    r->snapshot = &s;
    a->done(a->arg, ERR_OK, r);
}

static void deliver(void *arg)
{
    struct reply *a = arg;
    Gatehouse__Reply r = GATEHOUSE__REPLY__INIT;
    if (a->body == GATEHOUSE__REQUEST__BODY_SNAPSHOT) {
        reply_snapshot(a, &r);
    } else {
        Gatehouse__HelloReply hello = GATEHOUSE__HELLO_REPLY__INIT;
        hello.lineage = a->hub->lineage;
        hello.version = a->hub->version;
        hello.dataplane_id = (char *)(uintptr_t) "dp_me";
        if (a->body == GATEHOUSE__REQUEST__BODY_HELLO) {
            r.body_case = GATEHOUSE__REPLY__BODY_HELLO;
            r.hello = &hello;
        }
        a->done(a->arg, ERR_OK, &r);
    }
    mem_free(a);
}

static enum err hub_request(void *arg, void *message,
                            void (*done)(void *done_arg, enum err e, const void *reply),
                            void *done_arg)
{
    SPARED;
    struct hub *h = arg;
    Gatehouse__Request *m = message;
    if (h->away)
        return ERR_CLOSED;
    struct reply *a = mem_zalloc(sizeof(*a));
    *a = (struct reply){
        .hub = h, .done = done, .arg = done_arg, .body = (int)m->body_case, .version = h->version};
    if (m->body_case == GATEHOUSE__REQUEST__BODY_SNAPSHOT)
        h->snapshots++;
    if (m->body_case == GATEHOUSE__REQUEST__BODY_HELLO)
        h->hellos++;
    if (m->body_case == GATEHOUSE__REQUEST__BODY_APPLIED) {
        h->acks++;
        h->acked = m->applied->version;
        if (h->acks == 1)
            h->first_acked = h->acked;
        h->refused = m->applied->refused;
        if (m->applied->n_refused_ids)
            snprintf(h->refused_id, sizeof(h->refused_id), "%s", m->applied->refused_ids[0]);
    }
    enum err e = loop_post(h->loop, deliver, a);
    if (e != ERR_OK)
        mem_free(a); /* the loop ends: open requests get no reply any more */
    return e;
}

static bool hub_is_there(void *arg)
{
    return !((struct hub *)arg)->away;
}

static void at_once(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
    SPARED;
    struct hub *h = arg;
    if (h->slow_turns) {
        assert_null(h->waiting);
        h->waiting = fn;
        h->waiting_arg = fn_arg;
        return;
    }
    assert_int_equal(loop_post(h->loop, fn, fn_arg), ERR_OK);
}

static void on_publish(void *arg, const struct snapshot *s)
{
    struct hub *h = arg;
    h->published = s->version;
    if (h->stop_at != 0 && h->published >= h->stop_at)
        loop_stop(h->loop);
}

static void on_explain(void *arg, const Gatehouse__ExplainQuestion *q)
{
    struct hub *h = arg;
    h->questions++;
    h->question = q->number;
}

static void on_hint(void *arg, const Gatehouse__HealthHint *m)
{
    struct hub *h = arg;
    h->hints++;
    snprintf(h->hinted, sizeof(h->hinted), "%s", m->provider_id);
}

static void open_hub(struct hub *h, uint64_t version)
{
    *h = (struct hub){.version = version, .lineage = "line-1"};
    assert_int_equal(loop_new(&h->loop), ERR_OK);
    h->registry = registry_new();
    struct control_link links = {
        .request = hub_request, .is_connected = hub_is_there, .after_turns = at_once, .arg = h};
    struct policy_sync_events events = {
        .publish = on_publish, .explain = on_explain, .hint = on_hint, .arg = h};
    assert_int_equal(policy_sync_new(h->loop, h->registry, NULL, &links, &events, &h->sync),
                     ERR_OK);
}

static void close_hub(struct hub *h)
{
    policy_sync_free(h->sync);
    registry_free(h->registry);
    loop_free(h->loop);
}

/* Runs a scenario: the script is called on the loop every 10 ms with its scene's number until it
 * says false; nothing takes longer than five seconds. */
struct scenario {
    struct timer timer;
    struct hub *hub;
    int scene;
    bool (*script)(struct hub *h, int scene);
};

static void on_scene(struct timer *t)
{
    struct scenario *p = CONTAINER_OF(t, struct scenario, timer);
    if (p->scene < 500 && p->script(p->hub, p->scene++))
        timer_start(t, 10);
    else
        loop_stop(p->hub->loop);
}

static void run(struct hub *h, bool (*script)(struct hub *h, int scene))
{
    struct scenario p = {.hub = h, .script = script};
    timer_init(&p.timer, h->loop, on_scene);
    timer_start(&p.timer, 0);
    loop_run(h->loop);
    timer_cancel(&p.timer);
}

static bool connect_then_two_deltas(struct hub *h, int scene)
{
    if (scene == 0)
        policy_sync_on_state(h->sync, true);
    if (scene == 5) {
        h->version = 4;
        push(h, 3, 4);
        h->version = 6;
        push(h, 4, 6);
        push(h, 6, 6);
        push(h, 4, 6); /* sent twice */
    }
    return scene < 10;
}

static void a_new_plane_fetches_a_snapshot_and_then_follows_the_deltas(void **state)
{
    (void)state;
    struct hub h;
    open_hub(&h, 3);
    run(&h, connect_then_two_deltas);
    assert_int_equal(h.snapshots, 1);
    assert_int_equal(h.published, 6);
    assert_int_equal(h.acked, 6);
    close_hub(&h);
}

/* A heartbeat with a question to each of two planes, and a hint of each. */
static void push_words(struct hub *h)
{
    static uint8_t packed[64 * 1024];
    uint8_t digest[DIGEST_LEN];
    char *planes[] = {(char *)(uintptr_t) "dp_me", (char *)(uintptr_t) "dp_other"};
    Gatehouse__ExplainQuestion questions[2], *asked[2];
    Gatehouse__HealthHint hints[2], *told[2];
    Gatehouse__Push p = GATEHOUSE__PUSH__INIT;
    for (size_t i = 0; i < 2; i++) {
        gatehouse__explain_question__init(&questions[i]);
        gatehouse__health_hint__init(&hints[i]);
        questions[i].dataplane_id = hints[i].dataplane_id = planes[i];
        questions[i].has_number = true;
        questions[i].number = 7 + i;
        hints[i].provider_id = planes[i];
        asked[i] = &questions[i];
        told[i] = &hints[i];
    }
    digest_at(h, h->version, digest);
    p.lineage = h->lineage;
    p.has_from = p.has_to = p.has_digest = true;
    p.from = p.to = h->version;
    p.digest = (ProtobufCBinaryData){DIGEST_LEN, digest};
    p.n_questions = p.n_hints = 2;
    p.questions = asked;
    p.hints = told;
    policy_sync_on_push(h->sync, slice_of(packed, gatehouse__push__pack(&p, packed)));
}

static bool words_before_and_after_the_hello(struct hub *h, int scene)
{
    if (scene == 0) {
        push_words(h);
        assert_int_equal(h->questions, 0); /* it does not know yet which plane it is */
        policy_sync_on_state(h->sync, true);
    }
    if (scene == 5)
        push_words(h);
    return scene < 6;
}

static void a_plane_takes_its_own_questions_and_the_hints_of_others(void **state)
{
    (void)state;
    struct hub h;
    open_hub(&h, 3);
    run(&h, words_before_and_after_the_hello);
    assert_int_equal(h.questions, 1);
    assert_int_equal(h.question, 7);
    assert_string_equal(h.hinted, "dp_other");
    assert_int_equal(h.published, 3); /* and they are heartbeats all the same */
    close_hub(&h);
}

static void turns_end(struct hub *h)
{
    void (*fn)(void *arg) = h->waiting;
    h->waiting = NULL;
    if (fn)
        fn(h->waiting_arg);
}

static bool a_newer_version_comes_before_the_turns_end(struct hub *h, int scene)
{
    if (scene == 0)
        policy_sync_on_state(h->sync, true);
    if (scene == 5) { /* version 3 waits for the workers' turns */
        assert_int_equal(h->acks, 0);
        h->version = 4;
        push(h, 3, 4);
        turns_end(h);
    }
    if (scene == 10) {
        assert_int_equal(h->acks, 1);
        turns_end(h);
    }
    return scene < 15;
}

static void the_version_that_every_worker_had_is_acknowledged_and_not_a_newer_one(void **state)
{
    (void)state;
    struct hub h;
    struct policy_sync_status s;
    open_hub(&h, 3);
    h.slow_turns = true;
    run(&h, a_newer_version_comes_before_the_turns_end);
    assert_int_equal(h.first_acked, 3);
    assert_int_equal(h.acks, 2);
    assert_int_equal(h.acked, 4);
    policy_sync_status(h.sync, &s);
    assert_int_equal(s.acknowledged, 4);
    close_hub(&h);
}

/* The keys so far, and one object of a kind that comes with a later build. */
static void push_unknown_kind(struct hub *h)
{
    uint8_t packed[4096];
    Gatehouse__PolicyObject later = GATEHOUSE__POLICY_OBJECT__INIT, gone = later;
    Gatehouse__PolicyObject *changes[] = {&later, &gone};
    Gatehouse__Push p = GATEHOUSE__PUSH__INIT;
    struct snapshot_build *b;
    struct registry *r = registry_new();
    later.has_kind = later.has_revision = true;
    later.kind = (Gatehouse__ObjectKind)77;
    later.id = "x_1";
    later.revision = 4;
    gone.has_kind = gone.has_deleted = gone.deleted = true;
    gone.kind = GATEHOUSE__OBJECT_KIND__KIND_KEY;
    gone.id = "k_1";
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    kit_key(b, "k_2", 2, NULL);
    kit_key(b, "k_3", 3, NULL);
    assert_int_equal(snapshot_build_apply(b, &later), ERR_OK);
    struct snapshot *s = snapshot_build_end(&b, slice_str(h->lineage), 4);
    p.lineage = h->lineage;
    p.has_from = p.has_to = p.has_digest = true;
    p.from = 3;
    p.to = h->version = 4;
    p.digest = (ProtobufCBinaryData){DIGEST_LEN, s->digest.bytes};
    p.n_changes = 2;
    p.changes = changes;
    policy_sync_on_push(h->sync, slice_of(packed, gatehouse__push__pack(&p, packed)));
    snapshot_drop(s);
    registry_free(r);
}

static bool a_noun_of_tomorrow(struct hub *h, int scene)
{
    if (scene == 0)
        policy_sync_on_state(h->sync, true);
    if (scene == 5)
        push_unknown_kind(h);
    return scene < 10;
}

static void
an_unknown_kind_does_not_hold_up_a_revocation_and_is_told_with_the_acknowledgement(void **state)
{
    (void)state;
    struct hub h;
    struct policy_sync_status s;
    open_hub(&h, 3);
    run(&h, a_noun_of_tomorrow);
    assert_int_equal(h.snapshots, 1); /* the delta was applied: nothing was fetched again */
    assert_int_equal(h.published, 4);
    assert_int_equal(h.acked, 4);
    assert_int_equal(h.refused, 1);
    assert_string_equal(h.refused_id, "77:x_1");
    policy_sync_status(h.sync, &s);
    assert_int_equal(s.refused, 1);
    close_hub(&h);
}

static bool a_delta_is_missing(struct hub *h, int scene)
{
    if (scene == 0)
        policy_sync_on_state(h->sync, true);
    if (scene == 5) {
        h->version = 5;
        push(h, 4, 5); /* 3 to 4 never came */
        h->version = 6;
        push(h, 5, 6); /* comes while the snapshot is fetched */
    }
    return scene < 10;
}

static void a_gap_is_mended_by_a_snapshot_and_what_came_meanwhile_is_not_lost(void **state)
{
    (void)state;
    struct hub h;
    open_hub(&h, 3);
    run(&h, a_delta_is_missing);
    assert_int_equal(h.snapshots, 2);
    assert_int_equal(h.published, 6);
    close_hub(&h);
}

static bool a_heartbeat_tells_of_more(struct hub *h, int scene)
{
    if (scene == 0)
        policy_sync_on_state(h->sync, true);
    if (scene == 5) {
        h->version = 9;
        push(h, 9, 9);
    }
    return scene < 10;
}

static void a_heartbeat_shows_what_was_lost(void **state)
{
    (void)state;
    struct hub h;
    open_hub(&h, 3);
    run(&h, a_heartbeat_tells_of_more);
    assert_int_equal(h.published, 9);
    close_hub(&h);
}

static bool same_version_other_content(struct hub *h, int scene)
{
    if (scene == 0)
        policy_sync_on_state(h->sync, true);
    if (scene == 5) {
        h->wrong_digest = true;
        push(h, 3, 3);
        h->wrong_digest = false;
    }
    return scene < 10;
}

static void another_digest_at_the_same_version_is_mended(void **state)
{
    (void)state;
    struct hub h;
    open_hub(&h, 3);
    run(&h, same_version_other_content);
    assert_int_equal(h.snapshots, 2);
    close_hub(&h);
}

static bool the_past_comes_back(struct hub *h, int scene)
{
    if (scene == 0)
        policy_sync_on_state(h->sync, true);
    if (scene == 5) {
        policy_sync_on_state(h->sync, false);
        h->version = 2; /* a control plane on an older copy of the database */
        policy_sync_on_state(h->sync, true);
    }
    if (scene == 15)
        push(h, 2, 2);
    return scene < 20;
}

static void an_older_policy_of_the_same_lineage_is_never_taken(void **state)
{
    (void)state;
    struct hub h;
    open_hub(&h, 3);
    run(&h, the_past_comes_back);
    assert_int_equal(h.published, 3);
    close_hub(&h);
}

static bool a_restored_database(struct hub *h, int scene)
{
    if (scene == 0)
        policy_sync_on_state(h->sync, true);
    if (scene == 5) {
        strcpy(h->lineage, "line-2");
        h->version = 2;
        push(h, 2, 2);
    }
    return scene < 10;
}

static void a_new_lineage_is_fetched_whole(void **state)
{
    (void)state;
    struct hub h;
    open_hub(&h, 3);
    run(&h, a_restored_database);
    assert_int_equal(h.published, 2);
    close_hub(&h);
}

static bool silence(struct hub *h, int scene)
{
    struct policy_sync_status s;
    if (scene == 0)
        policy_sync_on_state(h->sync, true);
    policy_sync_status(h->sync, &s);
    if (scene == 50)
        assert_false(s.stale);
    return !s.stale;
}

static void silence_is_noticed_and_asked_about(void **state)
{
    (void)state;
    struct hub h;
    struct policy_sync_status s;
    open_hub(&h, 3);
    uint64_t before = clock_mono_us();
    run(&h, silence);
    policy_sync_status(h.sync, &s);
    assert_true(s.stale);
    assert_true(s.has_policy); /* and it goes on with what it has */
    assert_in_range(clock_mono_us() - before, 900000, 20000000); /* after a second */
    assert_int_equal(h.hellos, 2);
    close_hub(&h);
}

static void heartbeat(struct hub *h, bool database_away)
{
    Gatehouse__Push p = GATEHOUSE__PUSH__INIT;
    uint8_t packed[256];
    p.lineage = h->lineage;
    p.has_from = p.has_to = true;
    p.from = p.to = h->version;
    p.has_database_away = true;
    p.database_away = database_away;
    policy_sync_on_push(h->sync, slice_of(packed, gatehouse__push__pack(&p, packed)));
}

static bool database_away(struct hub *h, int scene)
{
    struct policy_sync_status s;
    if (scene == 0)
        policy_sync_on_state(h->sync, true);
    if (scene == 5)
        heartbeat(h, true);
    policy_sync_status(h->sync, &s);
    if (scene == 4)
        assert_false(s.database_away);
    if (scene == 6) {
        assert_true(s.database_away);
        heartbeat(h, false);
    }
    if (scene == 7) {
        assert_false(s.database_away);
        heartbeat(h, true);
    }
    if (scene == 8)
        policy_sync_on_state(h->sync, false); /* what it said holds for that connection only */
    if (scene == 9)
        assert_false(s.database_away);
    return scene < 10;
}

static void a_heartbeat_says_whether_the_database_can_be_reached(void **state)
{
    (void)state;
    struct hub h;
    open_hub(&h, 3);
    run(&h, database_away);
    close_hub(&h);
}

static bool rubbish(struct hub *h, int scene)
{
    if (scene == 0)
        policy_sync_on_state(h->sync, true);
    if (scene == 5) {
        policy_sync_on_push(h->sync, SLICE("\xff\xff\xff rubbish"));
        policy_sync_on_push(h->sync, SLICE(""));
    }
    return scene < 10;
}

static void rubbish_on_the_channel_changes_nothing(void **state)
{
    (void)state;
    struct hub h;
    open_hub(&h, 3);
    run(&h, rubbish);
    assert_int_equal(h.published, 3);
    close_hub(&h);
}

static size_t failing; /* which allocation */
static bool hit;

/* From the first word with the control plane to the last delta; heartbeats go on as they do. */
static bool follow_with_a_failure(struct hub *h, int scene)
{
    if (scene == 0) {
        mem_fail_after(failing);
        policy_sync_on_state(h->sync, true);
    }
    if (scene == 3) {
        h->version = 5;
        push(h, 3, 5);
    }
    if (scene == 4) {
        h->version = 6;
        push(h, 5, 6);
    }
    if (scene > 4)
        push(h, h->version, h->version);
    if (scene == 6) {
        hit = mem_failed();
        mem_fail_after(0);
    }
    return scene <= 6 || h->acked < 6;
}

static void each_allocation_may_fail_and_the_plane_still_catches_up(void **state)
{
    (void)state;
    for (failing = 1, hit = true; hit; failing++) {
        struct hub h;
        open_hub(&h, 3);
        run(&h, follow_with_a_failure);
        assert_int_equal(h.published, 6);
        assert_int_equal(h.acked, 6);
        close_hub(&h);
        assert_true(failing < 1000);
    }
    assert_true(failing > 10); /* some were hit */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_plane_fetches_a_snapshot_and_then_follows_the_deltas),
        cmocka_unit_test(a_plane_takes_its_own_questions_and_the_hints_of_others),
        cmocka_unit_test(the_version_that_every_worker_had_is_acknowledged_and_not_a_newer_one),
        cmocka_unit_test(
            an_unknown_kind_does_not_hold_up_a_revocation_and_is_told_with_the_acknowledgement),
        cmocka_unit_test(a_gap_is_mended_by_a_snapshot_and_what_came_meanwhile_is_not_lost),
        cmocka_unit_test(a_heartbeat_shows_what_was_lost),
        cmocka_unit_test(another_digest_at_the_same_version_is_mended),
        cmocka_unit_test(an_older_policy_of_the_same_lineage_is_never_taken),
        cmocka_unit_test(a_new_lineage_is_fetched_whole),
        cmocka_unit_test(silence_is_noticed_and_asked_about),
        cmocka_unit_test(a_heartbeat_says_whether_the_database_can_be_reached),
        cmocka_unit_test(rubbish_on_the_channel_changes_nothing),
        cmocka_unit_test(each_allocation_may_fail_and_the_plane_still_catches_up),
    };
    return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
