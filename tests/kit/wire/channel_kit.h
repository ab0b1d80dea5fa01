/*
 * channel_kit — certificates in files and waiting with an end, for tests of the channel.
 *
 * Owns     a scratch folder, removed by kit_close.
 * Fails    never: what goes wrong here stops the test program.
 */
#pragma once

#include "common/base/buf.h"
#include "common/net/address.h"
#include "common/net/tls.h"
#include "tests/kit/scratch.h"

#define KIT_PATH_MAX 128

struct kit {
    char dir[SCRATCH_MAX];
    struct buf ca_cert, ca_key;
};

void kit_open(struct kit *k); /* makes a CA of its own: ca.crt */
void kit_close(struct kit *k);
/* dir/name */
const char *kit_path(const struct kit *k, const char *name, char out[static KIT_PATH_MAX]);
void kit_write(const struct kit *k, const char *name, struct slice text);
struct slice kit_read(const struct kit *k, const char *name, struct buf *to);

/* <name>.crt and <name>.key */
void kit_issue_server(const struct kit *k); /* server.crt */
void kit_issue_plane(const struct kit *k, const char *plane);
struct kit_odd {
    const char *common_name; /* NULL: an empty subject */
    const char *dns;         /* NULL: no alternative name */
    const char *purpose;     /* extended key usage; NULL: none */
    long days;               /* from now; negative: it is over */
};
void kit_issue_odd(const struct kit *k, const char *name, const struct kit_odd *odd);

/* <cert>.crt must be issued; believes: whose CA the other end must be of */
struct tls_context *kit_server_tls(const struct kit *k, const char *cert);
struct tls_context *kit_client_tls(const struct kit *k, const char *cert,
                                   const struct kit *believes); /* cert NULL: shows none */

union sockaddr_any kit_loopback(uint16_t port);
uint16_t kit_port(void);         /* free, and below those the system gives out itself */
size_t kit_descriptors(int pid); /* open descriptors of a process */
/* Asks until it is so, at most `ms`. */
bool kit_until(bool (*is)(void *arg), void *arg, unsigned ms);
