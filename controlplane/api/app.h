/*
 * app — what every handler of the admin API may use: opened once by main, then only read.
 *
 * Owns     nothing; main does.
 * Threads  any; its parts say so themselves.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/metric.h"
#include "common/base/seal.h"
#include "common/base/secret.h"
#include "controlplane/store/db.h"

struct enrolment; /* controlplane/channel/enrolment.h */
struct rollout;   /* controlplane/policy/rollout.h */
struct planes;    /* controlplane/channel/planes.h */
struct timetable; /* controlplane/chores/timetable.h */

struct app {
    struct db *db;
    const struct seal *seal;
    char org_id[ID_MAX];         /* the default org */
    struct secret *key_hmac;     /* installation key under which virtual keys are digested */
    struct secret *token_hmac;   /* and the one for admin tokens */
    struct rollout *rollout;     /* NULL as planes */
    struct enrolment *enrolment; /* NULL: no plane can be given a token */
    struct planes *planes;       /* NULL: no channel (tests of the API alone) */
    struct timetable *timetable; /* NULL: no chores (tests of the API alone) */
    struct metric_set *metrics;  /* rows of api/api_metrics.h */
    _Atomic bool draining;       /* SIGTERM came: /readyz says so */
};
