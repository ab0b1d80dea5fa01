/*
 * api_audit — the chain, page by page, and whether it holds.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum err api_audit_list(struct call *c);
enum err api_audit_verify(struct call *c);
