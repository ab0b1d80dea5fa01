/*
 * ai_mark — what stands behind the name of a thing that a provider keeps, or that only it can read,
 * so that none but its owner can name it, and it goes to none but the account that made it.
 *
 *   resp_68af…  →  resp_68af…_gh<account, 8><code, 16>
 *
 * The account is a digest of provider and credential; the code is an HMAC-SHA256, cut to 96 bits,
 * over owner, account and value, under a key derived from the installation's. Equal values are
 * marked equal, whichever data plane does it, so nothing is kept. A value whose code is another's
 * is one that was not made here, and is told apart from none.
 *
 * Threads  any; constant once made.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/policy/snapshot.h"

#define AI_ACCOUNT_LEN 8
#define AI_MARK_LEN (3 + AI_ACCOUNT_LEN + 16)

struct ai_account {
    char text[AI_ACCOUNT_LEN + 1]; /* empty: none */
};

/* All zero: values are neither marked nor known. */
struct ai_marker {
    bool ready;
    struct digest_hmac_key key;
    struct slice owner; /* the id of the principal; lent */
};

/* owner: the id of the agent or the key. Where the policy has no master yet it stays all zero. */
void ai_marker_init(struct ai_marker *m, const struct snapshot *policy, struct slice owner);

/* credential: its id; empty where the provider wants none */
void ai_account_of(struct slice provider, struct slice credential, struct ai_account *ret);
bool ai_account_eq(const struct ai_account *a, const struct ai_account *b);

/* out holds AI_MARK_LEN bytes. false: the marker is not ready. */
MUST_USE bool ai_mark_write(const struct ai_marker *m, const struct ai_account *account,
                            struct slice value, char out[static AI_MARK_LEN]);
/* Does it look like something marked, by this installation or another? *value and *account are what
 * it says. */
bool ai_mark_split(struct slice marked, struct slice *value, struct ai_account *account);
/* The same, and the code is right for this owner. */
MUST_USE bool ai_mark_read(const struct ai_marker *m, struct slice marked, struct slice *value,
                           struct ai_account *account);
