/*
 * admin_auth — the check, and the two tables that make guessing slow.
 */
#include "controlplane/api/admin_auth.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "controlplane/api/api_metrics.h"
#include "controlplane/store/store_token.h"

#define SOURCES 1024 /* beyond these the row with the oldest window is reused */
#define GOOD 64      /* administrators at work at the same time */
#define WINDOW_US 60000000u
#define FREE_FAILURES 10
#define WAIT_FIRST_US 1000000u
#define WAIT_MOST_US 300000000u
#define TRUST_US 2000000u   /* a good token is not looked up again within this time */
#define KNOWN_US 600000000u /* and passes within this time although its source waits */
#define TOKEN_MAX 256

struct source {
    char name[INET6_ADDRSTRLEN]; /* source_key */
    uint64_t since_us;           /* of the window; 0: free */
    unsigned failures;
    uint64_t wait_us;
    uint64_t until_us;
};

struct good {
    struct digest digest;
    struct admin_token token;
    uint64_t seen_us; /* in the database; 0: free */
};

struct admin_auth {
    const struct secret *key;
    pthread_mutex_t lock;
    struct source sources[SOURCES];
    struct good good[GOOD];
};

struct admin_auth *admin_auth_new(const struct secret *token_hmac)
{
    struct admin_auth *a = mem_zalloc(sizeof(*a));
    if (a == NULL)
        return NULL;
    a->key = token_hmac;
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

void admin_auth_free(struct admin_auth *a)
{
    if (a == NULL)
        return;
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

void admin_auth_digest(const struct secret *token_hmac, struct slice token, struct digest *ret)
{
    digest_hmac(secret_reveal(token_hmac), token, ret);
}

/* Failures count for an IPv4 address, and for an IPv6 /64: a site has at least that many addresses
 * (RFC 6177). A mapped address is the IPv4 address. */
static void source_key(const char *address, char out[static INET6_ADDRSTRLEN])
{
    struct in6_addr a;
    snprintf(out, INET6_ADDRSTRLEN, "%s", address);
    if (inet_pton(AF_INET6, address, &a) != 1)
        return;
    if (IN6_IS_ADDR_V4MAPPED(&a)) {
        inet_ntop(AF_INET, &a.s6_addr[12], out, INET6_ADDRSTRLEN);
        return;
    }
    memset(&a.s6_addr[8], 0, 8);
    inet_ntop(AF_INET6, &a, out, INET6_ADDRSTRLEN);
}

/* With the lock held: the source's row, or the one that was idle longest. */
static struct source *source_of(struct admin_auth *a, const char *name)
{
    struct source *oldest = &a->sources[0];
    for (size_t i = 0; i < SOURCES; i++) {
        struct source *s = &a->sources[i];
        if (s->since_us != 0 && strcmp(s->name, name) == 0)
            return s;
        if (s->since_us < oldest->since_us)
            oldest = s;
    }
    *oldest = (struct source){0};
    snprintf(oldest->name, sizeof(oldest->name), "%s", name);
    return oldest;
}

/* With the lock held. */
static uint64_t note_failure(struct admin_auth *a, const char *address, uint64_t now)
{
    char key[INET6_ADDRSTRLEN];
    source_key(address, key);
    struct source *s = source_of(a, key);
    if (s->since_us == 0 || now - s->since_us > WINDOW_US + s->wait_us) {
        s->since_us = now;
        s->failures = 0;
        s->wait_us = 0;
    }
    if (++s->failures <= FREE_FAILURES)
        return 0;
    s->wait_us = s->wait_us == 0 ? WAIT_FIRST_US : s->wait_us * 2;
    if (s->wait_us > WAIT_MOST_US)
        s->wait_us = WAIT_MOST_US;
    s->until_us = now + s->wait_us;
    s->since_us = now;
    return s->wait_us;
}

static uint64_t waiting_of(struct admin_auth *a, const char *address, uint64_t now)
{
    char key[INET6_ADDRSTRLEN];
    uint64_t left = 0;
    source_key(address, key);
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < SOURCES; i++) {
        const struct source *s = &a->sources[i];
        if (s->since_us != 0 && s->until_us > now && strcmp(s->name, key) == 0)
            left = s->until_us - now;
    }
    pthread_mutex_unlock(&a->lock);
    return left;
}

static struct good *good_of(struct admin_auth *a, const struct digest *d)
{
    for (size_t i = 0; i < GOOD; i++)
        if (a->good[i].seen_us != 0 && digest_equal(slice_of(a->good[i].digest.bytes, DIGEST_LEN),
                                                    slice_of(d->bytes, DIGEST_LEN)))
            return &a->good[i];
    return NULL;
}

/* Microseconds since the token was last found in the database; UINT64_MAX: not in the table. */
static uint64_t age_of(struct admin_auth *a, const struct digest *d, uint64_t now,
                       struct admin_token *ret)
{
    uint64_t age = UINT64_MAX;
    pthread_mutex_lock(&a->lock);
    const struct good *g = good_of(a, d);
    if (g != NULL) {
        *ret = g->token;
        age = now > g->seen_us ? now - g->seen_us : 0;
    }
    pthread_mutex_unlock(&a->lock);
    return age;
}

static void remember(struct admin_auth *a, const struct digest *d, const struct admin_token *t,
                     uint64_t now)
{
    pthread_mutex_lock(&a->lock);
    struct good *g = good_of(a, d);
    for (size_t i = 0; g == NULL && i < GOOD; i++)
        if (a->good[i].seen_us == 0)
            g = &a->good[i];
    if (g == NULL) {
        g = &a->good[0];
        for (size_t i = 1; i < GOOD; i++)
            if (a->good[i].seen_us < g->seen_us)
                g = &a->good[i];
    }
    *g = (struct good){.digest = *d, .token = *t, .seen_us = now};
    pthread_mutex_unlock(&a->lock);
}

static void forget(struct admin_auth *a, const struct digest *d)
{
    pthread_mutex_lock(&a->lock);
    struct good *g = good_of(a, d);
    if (g != NULL)
        *g = (struct good){0};
    pthread_mutex_unlock(&a->lock);
}

static enum err refuse_wait(struct call *c, uint64_t wait_us)
{
    metric_add(c->app->metrics, API_METRIC_SIGN_IN_DELAYED, 0, 1);
    call_header(c, "retry-after", "%llu", (unsigned long long)((wait_us + 999999) / 1000000));
    enum err e = call_problem(c, PROBLEM_TOO_MANY_SIGN_INS,
                              "too many failed sign-ins from this address: wait");
    return e == ERR_OK ? ERR_DENIED : e;
}

static enum err refuse_plainly(struct call *c)
{
    metric_add(c->app->metrics, API_METRIC_SIGN_IN_FAILED, 0, 1);
    call_header(c, "www-authenticate", "Bearer realm=\"gatehouse\"");
    enum err e = call_problem(c, PROBLEM_NOT_SIGNED_IN, "a valid bearer token is needed");
    return e == ERR_OK ? ERR_DENIED : e;
}

static enum err refuse(struct admin_auth *a, struct call *c, uint64_t now)
{
    pthread_mutex_lock(&a->lock);
    uint64_t wait = note_failure(a, c->actor.source, now);
    pthread_mutex_unlock(&a->lock);
    return wait > 0 ? refuse_wait(c, wait) : refuse_plainly(c);
}

uint64_t admin_auth_waiting(struct admin_auth *a, const struct call *c, uint64_t now_us)
{
    return waiting_of(a, c->actor.source, now_us);
}

void admin_auth_failed(struct admin_auth *a, const struct call *c, uint64_t now_us)
{
    pthread_mutex_lock(&a->lock);
    note_failure(a, c->actor.source, now_us);
    pthread_mutex_unlock(&a->lock);
}

static enum err look_up(struct call *c, const struct digest *d, struct admin_token *ret)
{
    TX_AUTO struct tx tx = {0};
    enum err e = tx_begin(c->app->db, TX_EVERY_ORG, &tx);
    return e == ERR_OK ? store_token_find(&tx, d, ret) : e;
}

static void become(struct call *c, const struct admin_token *t)
{
    snprintf(c->actor.id, sizeof(c->actor.id), "%s", t->id);
    snprintf(c->actor.name, sizeof(c->actor.name), "%s", t->name);
    snprintf(c->actor.org_id, sizeof(c->actor.org_id), "%s", t->org_id);
    c->actor.role = t->role;
    c->actor.role_name = role_name(t->role);
}

enum err admin_auth_check(struct admin_auth *a, struct call *c, struct slice header, uint64_t now)
{
    struct digest d;
    struct admin_token t;
    struct slice token = slice_trim(slice_from(header, 7));
    uint64_t wait = waiting_of(a, c->actor.source, now);
    bool shaped = header.len > 7 && slice_ieq(slice_first(header, 7), SLICE("Bearer ")) &&
                  token.len > 0 && token.len <= TOKEN_MAX;
    if (header.ptr == NULL)
        return refuse_plainly(c); /* the request has no token: not counted as a guess */
    if (!shaped)
        return wait > 0 ? refuse_wait(c, wait) : refuse(a, c, now);
    admin_auth_digest(a->key, token, &d);
    uint64_t age = age_of(a, &d, now, &t);
    if (age > TRUST_US) {
        if (wait > 0 && age > KNOWN_US)
            return refuse_wait(c, wait);
        enum err e = look_up(c, &d, &t);
        if (e == ERR_NOT_FOUND) {
            forget(a, &d);
            return refuse(a, c, now);
        }
        if (e != ERR_OK)
            return e;
        remember(a, &d, &t, now);
    }
    become(c, &t);
    return ERR_OK;
}
