/* enrol_token — the one text an operator carries from the control plane to a new data plane. */
#include "common/wire/enrol.h"

#define PREFIX "ghe-"
#define PREFIX_LEN 4
#define SECRET_LEN 32

struct content {
    struct digest ca;
    uint8_t secret[SECRET_LEN];
};
_Static_assert(sizeof(struct content) == 64, "the token is two digests, packed");
_Static_assert(PREFIX_LEN + 4 * ((64 + 2) / 3) + 1 <= ENROL_TOKEN_MAX, "a token fits its buffer");

void enrol_token_make(const struct digest *ca, char out[static ENROL_TOKEN_MAX],
                      struct digest *ret_stored)
{
    struct content c = {.ca = *ca};
    digest_random(c.secret, sizeof(c.secret));
    memcpy(out, PREFIX, PREFIX_LEN);
    digest_base64url(slice_of(&c, sizeof(c)), out + PREFIX_LEN);
    digest_sha256(slice_of(c.secret, sizeof(c.secret)), ret_stored);
    explicit_bzero(&c, sizeof(c));
}

enum err enrol_token_read(struct slice token, struct digest *ret_ca, struct digest *ret_stored)
{
    struct content c;
    size_t len = 0;
    if (!slice_starts(token, SLICE(PREFIX)))
        return ERR_INVALID;
    enum err e = digest_unbase64url(slice_from(token, PREFIX_LEN), (uint8_t *)&c, sizeof(c), &len);
    if (!e && len != sizeof(c))
        e = ERR_INVALID;
    if (!e) {
        *ret_ca = c.ca;
        digest_sha256(slice_of(c.secret, sizeof(c.secret)), ret_stored);
    }
    explicit_bzero(&c, sizeof(c));
    return e;
}
