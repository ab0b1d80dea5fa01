-- Files and batches that owners here have at providers. Providers list what an account has, and do not
-- say whose it is: lists are answered from these rows. What is gone stays for a while, so that a
-- client that deletes what it lists can go on from there.
CREATE TABLE kept_objects (
    org_id   text NOT NULL,
    owner_id text NOT NULL, -- an agent or a key
    kind     text NOT NULL, -- 'file', 'batch'
    account  text NOT NULL, -- a provider with one of its credentials, as data planes name it
    id       text NOT NULL, -- as the provider knows it
    made_at  timestamptz NOT NULL,
    gone_at  timestamptz,
    PRIMARY KEY (org_id, owner_id, kind, account, id)
);
CREATE INDEX kept_objects_made ON kept_objects (org_id, owner_id, kind, made_at, account, id);
CREATE INDEX kept_objects_gone ON kept_objects (gone_at) WHERE gone_at IS NOT NULL;
SELECT gatehouse_guard('kept_objects', 'SELECT, INSERT, UPDATE, DELETE');
