/* channel_kit — the channel under a test, and what planes say on it. */
#include "tests/kit/db/channel_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "controlplane/policy/follow.h"
#include "controlplane/store/store_write.h"

struct channel channel;

static struct publish *publish;
static struct follow *follow;

/* ---- planes ---- */

static void on_removed(void *arg, struct slice plane_id)
{
    (void)arg;
    (void)plane_id;
}

void put_plane(const char *id)
{
    char sql[512];
    struct write w;
    snprintf(sql, sizeof(sql),
             "insert into dataplanes (id, org_id, name, spec) select '%s', '%s', 'name-of-%s',"
             " jsonb_build_object('pool', id) from pools where name = 'default'"
             " on conflict (id) do update set deleted_at = null, enrol_digest = null",
             id, base.boot.org_id, id);
    database_say(&base, sql);
    assert_int_equal(write_begin(base.db, slice_str(base.boot.org_id), &w), ERR_OK);
    assert_int_equal(write_commit(&w), ERR_OK);
}

void remove_plane(const char *id)
{
    char sql[256];
    struct write w;
    snprintf(sql, sizeof(sql), "update dataplanes set deleted_at = now() where id = '%s'", id);
    database_say(&base, sql);
    assert_int_equal(write_begin(base.db, slice_str(base.boot.org_id), &w), ERR_OK);
    assert_int_equal(write_commit(&w), ERR_OK);
}

static bool is_known(const char *id)
{
    char pool[VIEW_CHANNEL_MAX];
    return rollout_admit(channel.rollout, slice_str(id), pool);
}

void await_known(const char *id, bool known)
{
    for (int i = 0; i < 3000 && is_known(id) != known; i++)
        usleep(1000);
    assert_int_equal(is_known(id), known);
}

/* ---- what they say ---- */

Gatehouse__Reply *say_bytes(const char *plane, struct slice bytes)
{
    struct buf out;
    buf_init(&out, LIMIT_BUS_MESSAGE);
    channel_handle(&channel, slice_str(plane), bytes, &out);
    struct slice reply = buf_slice(&out);
    Gatehouse__Reply *m = gatehouse__reply__unpack(NULL, reply.len, (const uint8_t *)reply.ptr);
    assert_non_null(m);
    buf_fini(&out);
    return m;
}

Gatehouse__Reply *say_again(const char *plane, const Gatehouse__Request *request)
{
    static uint8_t bytes[256 * 1024];
    assert_true(gatehouse__request__get_packed_size(request) <= sizeof(bytes));
    size_t len = gatehouse__request__pack(request, bytes);
    Gatehouse__Reply *m = say_bytes(plane, slice_of(bytes, len));
    assert_int_equal(m->number, request->number);
    return m;
}

Gatehouse__Reply *say(const char *plane, Gatehouse__Request *request)
{
    static uint64_t number;
    request->has_epoch = request->has_number = true;
    request->epoch = 1;
    request->number = ++number;
    return say_again(plane, request);
}

void hush(Gatehouse__Reply *m)
{
    gatehouse__reply__free_unpacked(m, NULL);
}

/* ---- the channel ---- */

/* No plane hears pushes here. */
static enum err no_way(void *arg, struct slice plane_id, Gatehouse__ExplainQuestion *question)
{
    (void)arg;
    (void)plane_id;
    (void)question;
    return ERR_CLOSED;
}

void channel_kit_open(void)
{
    channel = (struct channel){.db = base.db, .image = image_new(), .rollout = rollout_new()};
    channel.health = health_board_new();
    channel.questions = questions_new(no_way, NULL);
    assert_int_equal(ingest_new(base.db, &channel.ingest), ERR_OK);
    assert_int_equal(enrolment_open(base.db, base.seal, &channel.enrolment), ERR_OK);
    assert_int_equal(publish_start(channel.image, channel.rollout, &publish), ERR_OK);
    const struct follow_config config = {.direct_url = base.run_url,
                                         .seal = base.seal,
                                         .image = channel.image,
                                         .rollout = channel.rollout,
                                         .publish = publish,
                                         .on_removed = on_removed};
    assert_int_equal(follow_start(&config, &follow), ERR_OK);
    put_plane("dp_a");
    await_known("dp_a", true);
}

void channel_kit_close(void)
{
    follow_stop(&follow);
    publish_stop(&publish);
    enrolment_close(&channel.enrolment);
    rollout_free(channel.rollout);
    ingest_free(channel.ingest);
    health_board_free(channel.health);
    questions_free(channel.questions);
    image_free(channel.image);
}
