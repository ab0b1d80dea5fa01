-- What lies behind the gates: providers and models, MCP servers and their tools, company APIs.
-- Their secrets lie apart, sealed; a row of `secrets` never leaves but towards a data plane.

CREATE TABLE providers (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX providers_name ON providers (org_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('providers', 'SELECT, INSERT, UPDATE');

CREATE TABLE models (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX models_name ON models (org_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('models', 'SELECT, INSERT, UPDATE');

CREATE TABLE mcp_servers (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,30}$'),
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX mcp_servers_name ON mcp_servers (org_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('mcp_servers', 'SELECT, INSERT, UPDATE');

-- Discovered by data planes, never created by hand; a name is unique within its server.
CREATE TABLE tools (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}',
    server_id  text NOT NULL GENERATED ALWAYS AS (spec ->> 'server') STORED
               REFERENCES mcp_servers (id),
    state      text NOT NULL GENERATED ALWAYS AS (spec ->> 'state') STORED
               CHECK (state IN ('pending', 'approved', 'quarantined'))
);
CREATE UNIQUE INDEX tools_name ON tools (server_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('tools', 'SELECT, INSERT, UPDATE');

CREATE TABLE api_services (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,30}$'),
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX api_services_name ON api_services (org_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('api_services', 'SELECT, INSERT, UPDATE');

-- Sealed with purpose "row-secret" and scope "secrets:<owner_id>/<slot>".
-- slot: a provider's credential id (cred_…), or "credential" of a server or service.
CREATE TABLE secrets (
    owner_id   text NOT NULL,
    slot       text NOT NULL,
    org_id     text NOT NULL REFERENCES orgs (id),
    sealed     bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner_id, slot)
);
SELECT gatehouse_guard('secrets', 'SELECT, INSERT, UPDATE, DELETE');
