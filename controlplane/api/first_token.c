/*
 * first_token — random text, file, digest, in one transaction.
 */
#include "controlplane/api/first_token.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/log.h"
#include "controlplane/api/admin_auth.h"
#include "controlplane/store/store_token.h"

#define TOKEN_CHARS 43 /* 256 bits in base62 */
#define TOKEN_LEN (4 + TOKEN_CHARS)

static const struct log_ctx token_log = {.component = "first_token"};

static void make_text(char out[static TOKEN_LEN + 1])
{
    uint8_t random[DIGEST_LEN];
    digest_random(random, sizeof(random));
    memcpy(out, "gha-", 4);
    digest_base62(slice_of(random, sizeof(random)), TOKEN_CHARS, out + 4);
    secret_wipe(random, sizeof(random));
}

static bool write_all(int fd, const char *text, size_t len)
{
    return write(fd, text, len) == (ssize_t)len && write(fd, "\n", 1) == 1 && fsync(fd) == 0;
}

/* Written to a temporary file and renamed, so that a reader never sees a part of it. */
static enum err write_file(const char *path, const char *text, size_t len)
{
    char beside[512];
    int n = snprintf(beside, sizeof(beside), "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof(beside))
        return ERR_TOO_BIG;
    (void)unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return ERR_IO;
    bool good = write_all(fd, text, len);
    good = close(fd) == 0 && good;
    return good && rename(beside, path) == 0 ? ERR_OK : ERR_IO;
}

static enum err make_in(struct tx *tx, struct slice org_id, const struct secret *token_hmac,
                        const char *path)
{
    char text[TOKEN_LEN + 1];
    struct digest d;
    struct admin_token t = {.role = ROLE_OWNER, .name = "first owner"};
    make_text(text);
    admin_auth_digest(token_hmac, slice_of(text, TOKEN_LEN), &d);
    id_new("tok", t.id);
    snprintf(t.org_id, sizeof(t.org_id), "%.*s", SLICE_ARG(org_id));
    enum err e = store_token_put(tx, &t, &d);
    if (e == ERR_OK)
        e = write_file(path, text, TOKEN_LEN);
    secret_wipe(text, sizeof(text));
    if (e == ERR_OK)
        log_info(&token_log, "first_token_written", "path=%s", path);
    else
        log_error(&token_log, "first_token_failed", "path=%s why=%s", path, err_text(e));
    return e;
}

enum err first_token_make(struct db *db, struct slice org_id, const struct secret *token_hmac,
                          const char *path)
{
    TX_AUTO struct tx tx = {0};
    size_t count = 0;
    enum err e = tx_begin(db, TX_EVERY_ORG, &tx);
    if (e == ERR_OK)
        e = tx_lock(&tx, TX_LOCK_BOOT);
    if (e == ERR_OK)
        e = store_token_count(&tx, &count);
    if (e != ERR_OK || count > 0)
        return e;
    e = make_in(&tx, org_id, token_hmac, path);
    return e == ERR_OK ? tx_commit(&tx) : e;
}
