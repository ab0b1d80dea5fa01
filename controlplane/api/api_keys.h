/*
 * api_keys — keys are made here, shown once, and closed here.
 */
#pragma once

#include "controlplane/api/change.h"

enum err api_keys_make(struct change *x); /* object_hook */
enum err api_keys_revoke(struct call *c);
enum err api_keys_block(struct call *c);
enum err api_keys_unblock(struct call *c);
enum err api_keys_rotate(struct call *c);
