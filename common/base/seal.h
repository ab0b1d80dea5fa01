/*
 * seal — text that only the holder of the key can open or change: AES-256-GCM under a key derived
 * for one purpose, scope and day.
 *
 * Sealed form: 1 byte format, 4 bytes day (UTC days since 1970, big-endian), 12 bytes nonce,
 * ciphertext, 16 bytes tag. The key is HKDF(master, purpose, scope, day); purpose, scope
 * and the caller's associated data are authenticated.
 *
 * Owns     the master key, in locked memory.
 * Fails    ERR_INVALID for anything that was not sealed by us for this purpose, scope and
 *          associated data: the reasons are never told apart.
 * Threads  any; immutable once made.
 */
#pragma once

#include "common/base/slice.h"

#define SEAL_OVERHEAD (1 + 4 + 12 + 16)
#define SEAL_MASTER_LEN 32

struct seal;

MUST_USE struct seal *seal_new(struct slice master); /* NULL unless SEAL_MASTER_LEN bytes */
void seal_free(struct seal *s);
/* out holds plain.len + SEAL_OVERHEAD bytes */
MUST_USE enum err seal_close(const struct seal *s, struct slice purpose, struct slice scope,
                             struct slice aad, struct slice plain, uint8_t *out, size_t *ret_len);
/* out holds sealed.len - SEAL_OVERHEAD bytes */
MUST_USE enum err seal_open(const struct seal *s, struct slice purpose, struct slice scope,
                            struct slice aad, struct slice sealed, uint8_t *out, size_t *ret_len);
/* Reads a master key file (32 raw bytes, or 64 hex digits), making it (0600) where `create`. */
MUST_USE enum err seal_load(const char *path, bool create, struct seal **ret);
