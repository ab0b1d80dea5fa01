-- Who may reach what: grants open, blocks close at once.
-- Links say who refers to whom, also from inside lists, so that nothing in use is deleted.

CREATE TABLE grants (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL DEFAULT '',
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}',
    agent_id   text GENERATED ALWAYS AS (spec ->> 'agent') STORED REFERENCES agents (id),
    team_id    text GENERATED ALWAYS AS (spec ->> 'team') STORED REFERENCES teams (id),
    task_id    text GENERATED ALWAYS AS (spec ->> 'task') STORED REFERENCES tasks (id),
    server_id  text GENERATED ALWAYS AS (spec ->> 'server') STORED REFERENCES mcp_servers (id),
    service_id text GENERATED ALWAYS AS (spec ->> 'service') STORED REFERENCES api_services (id),
    CONSTRAINT grants_one_subject CHECK (num_nonnulls(agent_id, team_id) = 1)
);
SELECT gatehouse_guard('grants', 'SELECT, INSERT, UPDATE');

CREATE TABLE blocks (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL DEFAULT '',
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}',
    key_id     text GENERATED ALWAYS AS (spec ->> 'key') STORED REFERENCES keys (id),
    agent_id   text GENERATED ALWAYS AS (spec ->> 'agent') STORED REFERENCES agents (id),
    team_id    text GENERATED ALWAYS AS (spec ->> 'team') STORED REFERENCES teams (id),
    session_id text GENERATED ALWAYS AS (spec ->> 'session') STORED,
    CONSTRAINT blocks_one_subject CHECK (num_nonnulls(key_id, agent_id, team_id, session_id) = 1)
);
SELECT gatehouse_guard('blocks', 'SELECT, INSERT, UPDATE');

CREATE TABLE links (
    from_id text NOT NULL,
    field   text NOT NULL,
    to_id   text NOT NULL,
    org_id  text NOT NULL REFERENCES orgs (id),
    PRIMARY KEY (from_id, field, to_id)
);
CREATE INDEX links_to ON links (to_id);
SELECT gatehouse_guard('links', 'SELECT, INSERT, DELETE');
