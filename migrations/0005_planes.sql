-- Data planes, named by their certificates, in pools that share a policy and its secrets.
-- A plane enrols once: the digest of its one-time token lies here until it is used or too old.

CREATE TABLE pools (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX pools_name ON pools (org_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('pools', 'SELECT, INSERT, UPDATE');

CREATE TABLE dataplanes (
    id               text PRIMARY KEY,
    org_id           text NOT NULL REFERENCES orgs (id),
    name             text NOT NULL,
    revision         bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    deleted_at       timestamptz,
    spec             jsonb NOT NULL DEFAULT '{}',
    pool_id          text NOT NULL GENERATED ALWAYS AS (spec ->> 'pool') STORED
                     REFERENCES pools (id),
    enrol_digest     bytea CHECK (length(enrol_digest) = 32),
    enrol_expires_at timestamptz,
    enrolled_at      timestamptz,
    cert_not_after   timestamptz
);
CREATE UNIQUE INDEX dataplanes_name ON dataplanes (org_id, name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX dataplanes_enrol ON dataplanes (enrol_digest);
SELECT gatehouse_guard('dataplanes', 'SELECT, INSERT, UPDATE');

-- What an id is called, for answers that show names. Its readers' fence holds here too.
CREATE VIEW object_names WITH (security_invoker = true) AS
          SELECT id, name, 'team' AS noun FROM teams
UNION ALL SELECT id, name, 'user' FROM users
UNION ALL SELECT id, name, 'agent' FROM agents
UNION ALL SELECT id, name, 'task' FROM tasks
UNION ALL SELECT id, name, 'key' FROM keys
UNION ALL SELECT id, name, 'provider' FROM providers
UNION ALL SELECT id, name, 'model' FROM models
UNION ALL SELECT id, name, 'mcp-server' FROM mcp_servers
UNION ALL SELECT id, name, 'tool' FROM tools
UNION ALL SELECT id, name, 'api-service' FROM api_services
UNION ALL SELECT id, name, 'pool' FROM pools
UNION ALL SELECT id, name, 'dataplane' FROM dataplanes;
SELECT gatehouse_grant('object_names', 'SELECT');
