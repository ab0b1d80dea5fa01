/*
 * app — what every handler of the admin API may use: opened once by main, then only read.
 *
 * Owns     nothing; main does.
 * Threads  any; its parts say so themselves.
 */
#pragma once

#include "common/base/metric.h"
#include "common/base/seal.h"
#include "common/base/secret.h"
#include "controlplane/store/db.h"

struct sync; /* controlplane/sync/sync.h */

struct app {
    struct db *db;
    const struct seal *seal;
    char org_id[40];            /* the default org */
    struct secret *key_hmac;    /* installation key under which virtual keys are digested */
    struct secret *token_hmac;  /* and the one for admin tokens */
    struct sync *sync;          /* NULL: no channel (tests of the API alone) */
    struct metric_set *metrics; /* rows of api/api_metrics.h */
    _Atomic bool draining;
};
