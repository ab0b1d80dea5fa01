-- Budgets by period, and the slices of them that data planes hold.
-- Per account: spent + leased + suspense <= limit at every grant; nothing is handed out twice.

-- A budget in one of its periods. The limit is a copy of the configured one, renewed at each grant.
CREATE TABLE budget_accounts (
    account       text NOT NULL, -- key:<id>, team:<id>
    period_start  timestamptz NOT NULL,
    org_id        text NOT NULL REFERENCES orgs (id),
    limit_nano    bigint NOT NULL,
    spent_nano    bigint NOT NULL DEFAULT 0 CHECK (spent_nano >= 0),
    leased_nano   bigint NOT NULL DEFAULT 0 CHECK (leased_nano >= 0),
    suspense_nano bigint NOT NULL DEFAULT 0 CHECK (suspense_nano >= 0),
    PRIMARY KEY (account, period_start)
);
SELECT gatehouse_guard('budget_accounts', 'SELECT, INSERT, UPDATE');

-- open: its plane may spend it. suspense: it expired, and its plane may have spent it.
-- closed: every charge is in, or it was written off. final: what its plane said they come to.
CREATE TABLE leases (
    id                 text PRIMARY KEY,
    org_id             text NOT NULL REFERENCES orgs (id),
    account            text NOT NULL,
    period_start       timestamptz NOT NULL,
    dataplane_id       text NOT NULL,
    epoch              bigint NOT NULL,
    state              text NOT NULL CHECK (state IN ('open', 'suspense', 'closed')),
    granted_nano       bigint NOT NULL CHECK (granted_nano >= 0),
    settled_nano       bigint NOT NULL DEFAULT 0 CHECK (settled_nano >= 0),
    final_nano         bigint,
    written_off_nano   bigint NOT NULL DEFAULT 0,
    expires_at         timestamptz NOT NULL,
    asked_number       bigint NOT NULL DEFAULT 0,
    asked_granted_nano bigint NOT NULL DEFAULT 0,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (account, period_start) REFERENCES budget_accounts (account, period_start)
);
CREATE INDEX leases_expiry ON leases (expires_at) WHERE state = 'open';
CREATE INDEX leases_account ON leases (account, period_start) WHERE state = 'open';
CREATE INDEX leases_plane ON leases (dataplane_id, epoch) WHERE state <> 'closed';
CREATE INDEX leases_age ON leases (updated_at) WHERE state = 'closed';
SELECT gatehouse_guard('leases', 'SELECT, INSERT, UPDATE, DELETE');
