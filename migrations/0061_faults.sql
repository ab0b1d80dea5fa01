-- Faults that data planes inject into calls, for a time, so that an outage can be rehearsed.
CREATE TABLE faults (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX faults_name ON faults (org_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('faults', 'SELECT, INSERT, UPDATE');
