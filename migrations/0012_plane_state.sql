-- What was last heard from each data plane: kept, so that a restarted control plane can say it.
-- A cache of the planes' own words; losing it loses nothing.

CREATE TABLE dataplane_state (
    dataplane_id    text PRIMARY KEY REFERENCES dataplanes (id),
    org_id          text NOT NULL REFERENCES orgs (id),
    lineage         text NOT NULL DEFAULT '',
    applied_version bigint NOT NULL DEFAULT 0,
    build           text NOT NULL DEFAULT '',
    last_heard_at   timestamptz NOT NULL
);
SELECT gatehouse_guard('dataplane_state', 'SELECT, INSERT, UPDATE');
