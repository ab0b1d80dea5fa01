-- What the models of each vendor cost, for models without a price of their own.

CREATE TABLE catalogues (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX catalogues_name ON catalogues (org_id, name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('catalogues', 'SELECT, INSERT, UPDATE');
