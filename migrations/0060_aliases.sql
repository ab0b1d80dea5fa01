-- Names by which clients ask for models, of an org, a team, an agent or a key.
CREATE TABLE aliases (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}',
    key_id     text GENERATED ALWAYS AS (spec ->> 'key') STORED REFERENCES keys (id),
    agent_id   text GENERATED ALWAYS AS (spec ->> 'agent') STORED REFERENCES agents (id),
    team_id    text GENERATED ALWAYS AS (spec ->> 'team') STORED REFERENCES teams (id),
    CONSTRAINT aliases_one_subject CHECK (num_nonnulls(key_id, agent_id, team_id) <= 1)
);
-- each of these has a name once
CREATE UNIQUE INDEX aliases_name ON aliases
    (org_id, name, (coalesce(spec ->> 'key', spec ->> 'agent', spec ->> 'team', '')))
    WHERE deleted_at IS NULL;
SELECT gatehouse_guard('aliases', 'SELECT, INSERT, UPDATE');

-- What the client called the model, where that is another name than the model's.
ALTER TABLE spans ADD COLUMN requested_model text;
