-- When a chore was last run, by whichever control plane: each is run once at its time, however many
-- control planes there are.
CREATE TABLE chores (
    name   text PRIMARY KEY,
    ran_at timestamptz NOT NULL
);
SELECT gatehouse_grant('chores', 'SELECT, INSERT, UPDATE');

-- Drops the oldest day of spans that ended before `before`, and rows of that age from the default
-- partition. Returns whether there was such a day. The lock on spans is waited for two seconds: what
-- comes in meanwhile waits behind it. The run role may drop nothing else.
CREATE FUNCTION gatehouse_drop_span_day(before date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '2s' AS $$
DECLARE
    part text;
BEGIN
    SELECT c.relname INTO part FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'spans'::regclass AND c.relname ~ '^spans_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < before
        ORDER BY c.relname LIMIT 1;
    IF part IS NOT NULL THEN
        EXECUTE format('DROP TABLE %I', part);
        RETURN true;
    END IF;
    DELETE FROM spans_other WHERE started_at < before::timestamp AT TIME ZONE 'UTC';
    RETURN false;
END $$;

-- A session's row is updated with every batch of its spans: no index may hold what changes then, or
-- each update writes into all of them. The day changes once a day.
DROP INDEX sessions_last;
DROP INDEX sessions_open;
ALTER TABLE sessions ADD COLUMN last_day date
    GENERATED ALWAYS AS ((last_at AT TIME ZONE 'UTC')::date) STORED;
CREATE INDEX sessions_day ON sessions (last_day);
CREATE INDEX sessions_unended ON sessions (started_at) WHERE ended_at IS NULL;
ALTER TABLE sessions SET (fillfactor = 70);
SELECT gatehouse_grant('sessions', 'SELECT, INSERT, UPDATE, DELETE');
SELECT gatehouse_grant('budget_accounts', 'SELECT, INSERT, UPDATE, DELETE');
