-- Who may come: teams and their people, agents and tasks, and the keys they show.
-- `spec` is the normalised document; what others join on is generated from it, so that each
-- reference is a real foreign key and no value is written twice.

CREATE TABLE teams (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX teams_name ON teams (org_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('teams', 'SELECT, INSERT, UPDATE');

CREATE TABLE users (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}',
    team_id    text GENERATED ALWAYS AS (spec ->> 'team') STORED REFERENCES teams (id)
);
CREATE UNIQUE INDEX users_name ON users (org_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('users', 'SELECT, INSERT, UPDATE');

CREATE TABLE agents (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}',
    team_id    text NOT NULL GENERATED ALWAYS AS (spec ->> 'team') STORED REFERENCES teams (id)
);
CREATE UNIQUE INDEX agents_name ON agents (org_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('agents', 'SELECT, INSERT, UPDATE');

CREATE TABLE tasks (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX tasks_name ON tasks (org_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('tasks', 'SELECT, INSERT, UPDATE');

-- A key's name is a label and may repeat: rotation keeps it. The digest may not.
-- digest: of the whole key, 64 hex digits; hmac under the installation key, or imported sha256.
CREATE TABLE keys (
    id          text PRIMARY KEY,
    org_id      text NOT NULL REFERENCES orgs (id),
    name        text NOT NULL,
    revision    bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,
    spec        jsonb NOT NULL DEFAULT '{}',
    agent_id    text GENERATED ALWAYS AS (spec ->> 'agent') STORED REFERENCES agents (id),
    team_id     text GENERATED ALWAYS AS (spec ->> 'team') STORED REFERENCES teams (id),
    public_part text GENERATED ALWAYS AS (spec ->> 'public_part') STORED,
    digest      text NOT NULL GENERATED ALWAYS AS (spec ->> 'digest') STORED,
    digest_kind text NOT NULL GENERATED ALWAYS AS (spec ->> 'digest_kind') STORED
                CHECK (digest_kind IN ('hmac', 'sha256')),
    revoked     boolean GENERATED ALWAYS AS ((spec -> 'revoked') = 'true'::jsonb) STORED,
    blocked     boolean GENERATED ALWAYS AS ((spec -> 'blocked') = 'true'::jsonb) STORED
);
-- not only the living: a digest that was revoked by deletion must never open again
CREATE UNIQUE INDEX keys_digest ON keys (digest_kind, digest);
CREATE INDEX keys_name ON keys (org_id, name) WHERE deleted_at IS NULL;
CREATE INDEX keys_page ON keys (org_id, created_at, id) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('keys', 'SELECT, INSERT, UPDATE');
