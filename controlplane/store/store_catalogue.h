/*
 * store_catalogue — the catalogues that come with the program, brought up to date at start.
 *
 * The file is controlplane/catalogue/catalogue.json, or one of the operator's in the same form, or
 * LiteLLM's model_prices_and_context_window.json (domain/catalogue_import). A catalogue of a name
 * that is not there is added; one whose source begins with "built-in" and no later a date is
 * replaced where the file says something else; one that an administrator wrote stays as it is, and
 * one that was deleted stays away for as long as its name is reserved. Where nothing differs, no
 * version of the policy is made.
 *
 * Fails    ERR_NOT_FOUND, ERR_IO: the file cannot be read; ERR_INVALID: it is none; as tx.h.
 * Threads  main, at start. Several control planes may start at once.
 */
#pragma once

#include "controlplane/store/db.h"

#define CATALOGUE_FILE_MAX (4u * 1024 * 1024)

MUST_USE enum err store_catalogue_load(struct db *db, const char *org_id, const char *path);
