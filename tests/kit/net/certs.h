/*
 * certs — a certificate authority in a temporary folder, for tests.
 *
 * Made fresh in each run, so no key lies in the repository and nothing expires one day.
 *
 * Owns     the folder; certs_free removes it with what was issued into it.
 * Fails    never: a test without its certificates is a bug (MUST).
 * Threads  one at a time.
 */
#pragma once

#include <stdbool.h>

struct certs;

struct certs *certs_new(void);
void certs_free(struct certs *c);
const char *certs_ca(const struct certs *c); /* PEM file of the authority */

/* Files of what was issued; they live as long as the authority. */
struct certs_files {
    char cert[128];
    char key[128];
};

struct certs_order {
    const char *name; /* file name and common name */
    const char *san;  /* "DNS:localhost,IP:127.0.0.1"; NULL: none */
    bool client;      /* for clientAuth, else serverAuth */
    bool expired;
};

/* Issuing the same name again replaces its files, as a renewal does. */
struct certs_files certs_issue(struct certs *c, const struct certs_order *order);
/* The usual one: localhost and both loopback addresses. */
struct certs_files certs_server(struct certs *c);
