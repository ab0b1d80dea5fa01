/*
 * planes — everything between this control plane and its data planes, opened and closed as one.
 *
 * Order of opening: CA and settings, image (the whole policy is compiled before any plane
 * may ask), publisher, the channel's hub. Closing is in the reverse order.
 *
 * Owns     its parts and their threads. db, seal and texts of the config are lent for its life.
 * Fails    planes_open: as db.h, ERR_TLS, ERR_IO (ports taken); the log says which part.
 * Threads  open and close: main. The rest: any.
 */
#pragma once

#include "common/net/address.h"
#include "controlplane/channel/enrolment.h"
#include "controlplane/policy/rollout.h"

struct planes;

struct planes_config {
    struct db *db;
    const char *direct_url; /* LISTEN and long reads; a pooler may stand before the other */
    const struct seal *seal;
    const char *state_dir; /* channel-ca.crt, channel.crt, channel.key are written there */
    union sockaddr_any push_at, request_at;
    unsigned threads; /* that handle requests of planes; each may hold one connection of db */
};

MUST_USE enum err planes_open(const struct planes_config *c, struct planes **ret);
void planes_close(struct planes **s); /* NULL inside is fine */

/* Issues the channel's server certificate anew once half its life is over. */
MUST_USE enum err planes_renew_certificate(struct planes *s, int64_t now);

struct enrolment *planes_enrolment(struct planes *s);
struct rollout *planes_rollout(struct planes *s);
struct ingest *planes_ingest(struct planes *s);
struct health_board *planes_health(struct planes *s);
struct questions *planes_questions(struct planes *s);
/* Where it listens: what the system chose, where the config said port 0. */
void planes_ports(struct planes *s, uint16_t *ret_push, uint16_t *ret_request);
/* When the channel's own certificate ends, and its CA's; wall, 0: not known. Any thread. */
int64_t planes_certificate_until(struct planes *s);
int64_t planes_ca_until(struct planes *s);
