/*
 * migrate — brings the schema to this binary's state: files of one folder, in order, once each.
 *
 * Runs as the owner role on a direct connection under an advisory lock, one transaction per
 * file; `schema_migrations` keeps name and SHA-256. A file that changed after it was applied
 * is refused. The run role, named by its URL, gets
 * only what the migrations grant it (gatehouse_guard).
 *
 * Fails    ERR_NOT_FOUND: no such folder, or no file in it; ERR_CONFLICT: an applied file
 *          differs; ERR_DATABASE or what the file's statement gave, logged with its name.
 * Threads  main, at start. Several control planes may start at once.
 */
#pragma once

#include "common/base/err.h"

MUST_USE enum err migrate_run(const char *owner_url, const char *run_url, const char *folder);
