/*
 * enrol — X.509 for the channel: the control plane's own CA, and certificates that name planes.
 *
 * P-256 keys, certificates of 30 days. The CA's certificate pins the channel: a data plane learns
 * its digest from the enrolment token, so the first contact needs no other trust.
 *
 * Owns     nothing; texts are PEM in buffers the caller owns. Private keys are wiped after use.
 * Fails    ERR_INVALID for a request that is not exactly one P-256 CSR, ERR_TLS from OpenSSL.
 * Threads  any.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/digest.h"

#define ENROL_CERT_DAYS 30

MUST_USE enum err enrol_make_ca(struct buf *cert_pem, struct buf *key_pem);
/* server certificate of the control plane: SAN DNS `control-plane` */
MUST_USE enum err enrol_issue_server(struct slice ca_cert_pem, struct slice ca_key_pem,
                                     struct buf *cert_pem, struct buf *key_pem);
MUST_USE enum err enrol_make_request(struct buf *key_pem, struct buf *csr_pem);
/* client certificate with CN = plane_id; whatever names the CSR carries are ignored */
MUST_USE enum err enrol_issue_plane(struct slice ca_cert_pem, struct slice ca_key_pem,
                                    struct slice csr_pem, struct slice plane_id,
                                    struct buf *cert_pem);
MUST_USE enum err enrol_ca_digest(struct slice ca_cert_pem, struct digest *ret);
/* wall-clock microseconds at which a certificate ends */
MUST_USE enum err enrol_not_after(struct slice cert_pem, int64_t *ret_us);

/* The token: `ghe-` + base64url(CA digest 32 || secret 32). Stored is SHA-256 of the secret. */
#define ENROL_TOKEN_MAX 96
void enrol_token_make(const struct digest *ca, char out[static ENROL_TOKEN_MAX],
                      struct digest *ret_stored);
MUST_USE enum err enrol_token_read(struct slice token, struct digest *ret_ca,
                                   struct digest *ret_stored);
