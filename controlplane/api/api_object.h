/*
 * api_object — list, read, create, replace, patch, delete for every noun of the table.
 *
 * Threads  job threads.
 */
#pragma once

#include "controlplane/api/admin_call.h"

enum err api_object_list(struct call *c);
enum err api_object_get(struct call *c);
enum err api_object_create(struct call *c);
enum err api_object_replace(struct call *c);
enum err api_object_patch(struct call *c);
enum err api_object_delete(struct call *c);
