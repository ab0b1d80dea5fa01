-- Who owns what, what happened, and at which version the policy stands.
-- Every later table is called into the fence of this file: gatehouse_guard().

-- Puts a table behind row-level security under `gatehouse.org_id` ('*': a job for every org)
-- and gives the run role exactly the named rights. The role's name comes from the migrator.
CREATE FUNCTION gatehouse_guard(target text, rights text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    run_role text := current_setting('gatehouse.run_role', true);
BEGIN
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY org_fence ON %I USING '
                   '(current_setting(''gatehouse.org_id'', true) IN (org_id, ''*''))', target);
    PERFORM gatehouse_grant(target, rights);
END $$;

-- The rights alone, for the few tables that belong to the installation and to no org.
CREATE FUNCTION gatehouse_grant(target text, rights text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    run_role text := current_setting('gatehouse.run_role', true);
BEGIN
    IF run_role IS NULL OR run_role = '' OR run_role = current_user THEN
        RETURN;
    END IF;
    EXECUTE format('REVOKE ALL ON %I FROM %I', target, run_role);
    EXECUTE format('GRANT %s ON %I TO %I', rights, target, run_role);
END $$;

-- An org's row belongs to itself, so that the same fence serves it.
CREATE TABLE orgs (
    id         text PRIMARY KEY,
    org_id     text NOT NULL CHECK (org_id = id),
    name       text NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    spec       jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX orgs_one_default ON orgs (is_default) WHERE is_default;
CREATE UNIQUE INDEX orgs_name ON orgs (name) WHERE deleted_at IS NULL;
SELECT gatehouse_guard('orgs', 'SELECT, INSERT, UPDATE');

-- Values made once for the installation. Secrets among them are sealed under the master key.
CREATE TABLE installation (
    name       text PRIMARY KEY,
    value      bytea NOT NULL,
    sealed     boolean NOT NULL,
    revision   bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);
SELECT gatehouse_grant('installation', 'SELECT, INSERT, UPDATE');

-- One row: every write takes it, and so all writes stand in one line without gaps.
CREATE TABLE policy_head (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    lineage    text NOT NULL,
    version    bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
);
SELECT gatehouse_grant('policy_head', 'SELECT, INSERT, UPDATE');

-- Which objects of the policy changed in which version. kind: ObjectKind of proto/policy.proto.
CREATE TABLE change_log (
    version bigint NOT NULL,
    kind    integer NOT NULL,
    id      text NOT NULL,
    op      text NOT NULL CHECK (op IN ('put', 'delete')),
    org_id  text NOT NULL REFERENCES orgs (id),
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (version, kind, id)
);
SELECT gatehouse_guard('change_log', 'SELECT, INSERT, DELETE');

-- Who did what. Appended to, never changed: the run role may not. Each record holds the hash
-- of the one before it in its org; `json`, not `jsonb`, keeps the very bytes that were hashed.
CREATE TABLE audit (
    org_id      text NOT NULL REFERENCES orgs (id),
    seq         bigint NOT NULL,
    at          timestamptz NOT NULL,
    actor       text NOT NULL,
    actor_role  text NOT NULL,
    source      text NOT NULL,
    action      text NOT NULL,
    noun        text NOT NULL,
    object_id   text NOT NULL,
    object_name text NOT NULL,
    version     bigint NOT NULL,
    before      json,
    after       json,
    prev        bytea NOT NULL CHECK (length(prev) = 32),
    hash        bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (org_id, seq)
);
CREATE INDEX audit_object ON audit (org_id, object_id, seq);
SELECT gatehouse_guard('audit', 'SELECT, INSERT');

-- Only digests: a token is shown once, when it is made.
CREATE TABLE admin_tokens (
    id         text PRIMARY KEY,
    org_id     text NOT NULL REFERENCES orgs (id),
    name       text NOT NULL,
    role       text NOT NULL CHECK (role IN ('owner', 'admin', 'security', 'billing', 'viewer')),
    digest     bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
SELECT gatehouse_guard('admin_tokens', 'SELECT, INSERT, UPDATE');

-- Answers to POSTs that carried an Idempotency-Key. Answers may show a secret once: sealed.
CREATE TABLE idempotency (
    org_id     text NOT NULL REFERENCES orgs (id),
    actor      text NOT NULL,
    key        text NOT NULL,
    request    bytea NOT NULL CHECK (length(request) = 32),
    status     integer NOT NULL,
    answer     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, actor, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);
SELECT gatehouse_guard('idempotency', 'SELECT, INSERT, DELETE');
