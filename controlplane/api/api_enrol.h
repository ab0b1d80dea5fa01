/*
 * api_enrol — where a data plane that has nothing but its one-time token gets its certificate.
 */
#pragma once

#include "controlplane/api/admin_call.h"

/* POST /enrol {"token","csr"} -> {"certificate","ca","id","name"} */
enum err api_enrol_use(struct call *c);
