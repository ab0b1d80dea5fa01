/*
 * nouns — every descriptor by name. Each stands in its own file.
 */
#pragma once

#include "controlplane/domain/noun.h"

extern const struct noun noun_org;
extern const struct noun noun_team;
extern const struct noun noun_user;
extern const struct noun noun_agent;
extern const struct noun noun_task;
extern const struct noun noun_key;
extern const struct noun noun_provider;
extern const struct noun noun_model;
extern const struct noun noun_mcp_server;
extern const struct noun noun_tool;
extern const struct noun noun_api_service;
extern const struct noun noun_grant;
extern const struct noun noun_block;
extern const struct noun noun_pool;
extern const struct noun noun_dataplane;
