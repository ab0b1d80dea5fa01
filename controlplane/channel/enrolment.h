/*
 * enrolment — gives a data plane its identity: the control plane's own CA, one-time tokens, and
 * certificates that are renewed over the channel.
 *
 * The CA is made at first start and lies sealed in the database, so that every control plane on
 * it is the same authority. A token is 256 random bits of which only the digest is stored; it
 * is used up in the transaction that issues the certificate.
 *
 * Owns     the opened CA; its key in locked memory, wiped on close.
 * Fails    as db.h and enrol.h; ERR_DENIED for a token that is unknown, used, too old, or
 *          whose plane was removed: the reason is not sent.
 * Threads  any, once open.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/seal.h"
#include "common/wire/enrol.h"
#include "controlplane/store/store_plane.h"
#include "controlplane/store/tx.h"

#define ENROLMENT_TOKEN_US INT64_C(600000000) /* ten minutes (decisions.md) */

struct enrolment;

/* Loads the CA, making it where there is none. */
MUST_USE enum err enrolment_open(struct db *db, const struct seal *seal, struct enrolment **ret);
void enrolment_close(struct enrolment **e); /* NULL inside is fine */

struct slice enrolment_ca(const struct enrolment *e); /* PEM */
/* A fresh server certificate and key of this CA into the two files (0600). */
MUST_USE enum err enrolment_write_server(const struct enrolment *e, const char *ca_file,
                                         const char *cert_file, const char *key_file);

/* In the transaction that makes (or resets) the plane's row: a new token, valid ten minutes;
 * any earlier one is void. ret_expires may be NULL. */
MUST_USE enum err enrolment_create(const struct enrolment *e, struct tx *tx,
                                   struct slice dataplane_id, int64_t now,
                                   char token[static ENROL_TOKEN_MAX], int64_t *ret_expires);

struct enrolled {
    char id[ID_MAX];
    char name[PLANE_NAME_MAX];
    struct buf certificate; /* PEM */
};
void enrolled_fini(struct enrolled *e);
MUST_USE enum err enrolment_use(const struct enrolment *e, struct db *db, struct slice token,
                                struct slice csr_pem, int64_t now, struct enrolled *ret);
/* Over the channel: the plane is known from its certificate. */
MUST_USE enum err enrolment_renew(const struct enrolment *e, struct db *db,
                                  struct slice dataplane_id, struct slice csr_pem,
                                  struct buf *certificate);
