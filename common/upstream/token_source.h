/*
 * token_source — where the credential of an account is had from that is not a secret of the policy:
 * a machine's or a container's metadata service, or a token endpoint to which the account proves
 * itself. Nothing of it is guessed from the machine: each address stands in the policy.
 *
 *   aws_container         GET url, with an authorization token            (secret, token_file; or
 * none) aws_imds              IMDSv2: a session token, the role's name, its credentials
 *   aws_web_identity      STS AssumeRoleWithWebIdentity                   (secret or token_file)
 *   gcp_metadata          the metadata server's token of a service account
 *   gcp_external_account  a subject token, exchanged at Google's STS, and where `impersonation_url`
 *                         is given for a service account's   (secret, token_file or token_url)
 *   azure_client          OAuth 2.0 client credentials of Entra ID        (secret, or an assertion
 * in token_file)
 *
 * Owns     nothing; the texts are the policy's.
 * Threads  constant.
 */
#pragma once

#include "common/base/digest.h"
#include "common/base/secret.h"
#include "common/net/http_client.h"

struct token_kind;

struct token_source {
    const struct token_kind *kind;
    bool signs;        /* it gives keys to sign with; else a bearer token */
    struct slice url;  /* empty: the kind's own, where it has one */
    struct slice role; /* aws_imds: its name, else the one listed; aws_web_identity: its ARN */
    struct slice session_name;
    struct slice token_file;  /* below the folder that the data plane was told of */
    struct slice token_url;   /* where the subject token is fetched */
    struct slice token_field; /* the member that is the token, where file or response are JSON */
    struct slice audience, subject_token_type, impersonation_url;
    struct slice service_account; /* gcp_metadata; empty: "default" */
    struct slice project;         /* of Vertex */
    struct slice tenant, client_id, scope;
};

/* NULL: this data plane does not know the word. */
const struct token_kind *token_kind_named(struct slice word);
struct slice token_kind_name(const struct token_kind *k);
bool token_kind_signs(const struct token_kind *k);
/* Its addresses can be read, and what it needs is there. `has_secret`: the account has one. */
bool token_source_is_whole(const struct token_source *s, struct slice region, bool has_secret);

/* What was given. Counted; its worker's alone. */
struct access_token {
    unsigned holds;
    struct secret *secret; /* the bearer token, or AWS's secret access key */
    struct slice key_id;   /* of AWS; empty: `secret` is a bearer token */
    struct secret *session_token;
    char key_id_text[];
};

struct access_token *access_token_hold(struct access_token *t);
void access_token_drop(struct access_token *t); /* NULL is fine */

/* Where a token is fetched for, and by which rules. It is copied; what it points to is the owner's.
 */
struct access_token_spec {
    struct digest key;                 /* over all that the token depends on */
    struct slice provider_id;          /* whose account it is, for access_tokens_keep */
    struct slice upstream, credential; /* their names, for the log */
    const struct token_source *source; /* NULL: `account` is a service account's JSON */
    const struct secret *account;      /* NULL: the source wants none */
    struct slice scope, region;
    struct egress_rule rule;
    struct tls_context *tls;
    const struct stream_proxy *proxy;
    /* What the rule, tls and proxy belong to: held while a fetch is under way. */
    void *owner;
    void (*hold)(void *owner);
    void (*drop)(void *owner);
};

/* Where token files are, an open folder that is the caller's; -1: none is read. Of the process, set
 * before its workers start. */
void token_source_set_folder(int fd);
