/*
 * api_enrol — gives a data plane its certificate for its one-time token.
 */
#pragma once

#include "controlplane/api/admin_call.h"

/* POST /enrol {"token","csr"} -> {"certificate","ca","id","name"} */
enum err api_enrol_use(struct call *c);
