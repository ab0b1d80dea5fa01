-- What each data plane holds of a credential's requests or tokens a minute (common/ledger/ceiling_share.h).
CREATE TABLE ceiling_shares (
    org_id text NOT NULL,
    credential_id text NOT NULL,
    of_tokens boolean NOT NULL, -- else of requests
    dataplane_id text NOT NULL,
    share bigint NOT NULL,
    floor bigint NOT NULL,
    had bigint NOT NULL,
    want bigint NOT NULL,
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, credential_id, of_tokens, dataplane_id)
);
SELECT gatehouse_guard('ceiling_shares', 'SELECT, INSERT, UPDATE, DELETE');
