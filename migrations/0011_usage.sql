-- What went through the gates: spans, the sessions they add up to, and how far each journal is in.
-- Spans lie in one partition a day; one more takes what no day was made for.

-- committed: the highest sequence of that worker's journal whose record is in the database.
CREATE TABLE ingest_cursor (
    dataplane_id text NOT NULL,
    epoch        bigint NOT NULL,
    worker       integer NOT NULL,
    committed    bigint NOT NULL DEFAULT 0,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dataplane_id, epoch, worker)
);
SELECT gatehouse_grant('ingest_cursor', 'SELECT, INSERT, UPDATE, DELETE');

-- Ids as they were reported, no foreign keys: a trace outlives what it names.
CREATE TABLE spans (
    started_at          timestamptz NOT NULL,
    id                  text NOT NULL,
    org_id              text NOT NULL,
    parent              text,
    trace_id            text,
    session_id          text,
    gate                text NOT NULL,
    kind                text NOT NULL,
    name                text,
    team_id             text,
    agent_id            text,
    key_id              text,
    task_id             text,
    external_id         text,
    named_by            text,
    duration_us         bigint NOT NULL,
    overhead_us         bigint,
    status              text NOT NULL,
    code                text,
    http_status         integer,
    model               text,
    provider            text,
    server              text,
    tool                text,
    service             text,
    method              text,
    path                text,
    tokens_input        bigint,
    tokens_cache_read   bigint,
    tokens_cache_write  bigint,
    tokens_output       bigint,
    tokens_reasoning    bigint,
    cost_nano           bigint,
    usage_source        text,
    attempts            integer,
    cache               text,
    events              jsonb,
    request_id          text,
    upstream_request_id text,
    dataplane_id        text NOT NULL
) PARTITION BY RANGE (started_at);
CREATE INDEX spans_time ON spans (org_id, started_at);
CREATE INDEX spans_session ON spans (session_id, started_at);
CREATE TABLE spans_other PARTITION OF spans DEFAULT;
SELECT gatehouse_guard('spans', 'SELECT, INSERT');

-- The run role may make nothing; this it may ask for. Returns how many days were made. A day
-- whose spans already lie in the default partition stays there.
CREATE FUNCTION gatehouse_span_days(first date, days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    day  date;
    part text;
    made integer := 0;
BEGIN
    FOR day IN SELECT first + n FROM generate_series(0, least(days, 366) - 1) n LOOP
        part := 'spans_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE %I PARTITION OF spans FOR VALUES FROM (%L) TO (%L)', part,
                           day::timestamp AT TIME ZONE 'UTC',
                           (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        EXCEPTION WHEN check_violation THEN
            CONTINUE;
        END;
    END LOOP;
    RETURN made;
END $$;
SELECT gatehouse_span_days((now() AT TIME ZONE 'UTC')::date - 1, 9);

CREATE TABLE sessions (
    id                 text PRIMARY KEY, -- s_…, derived from its owner and its name
    org_id             text NOT NULL,
    external_id        text,
    named_by           text,
    agent_id           text,
    key_id             text,
    team_id            text,
    task_id            text,
    started_at         timestamptz NOT NULL,
    last_at            timestamptz NOT NULL, -- end of its last span
    ended_at           timestamptz,
    calls_model        bigint NOT NULL DEFAULT 0,
    calls_tool         bigint NOT NULL DEFAULT 0,
    calls_api          bigint NOT NULL DEFAULT 0,
    tokens_input       bigint NOT NULL DEFAULT 0,
    tokens_cache_read  bigint NOT NULL DEFAULT 0,
    tokens_cache_write bigint NOT NULL DEFAULT 0,
    tokens_output      bigint NOT NULL DEFAULT 0,
    tokens_reasoning   bigint NOT NULL DEFAULT 0,
    cost_nano          bigint NOT NULL DEFAULT 0,
    unpriced           bigint NOT NULL DEFAULT 0, -- calls that used tokens and have no price
    refusals           bigint NOT NULL DEFAULT 0
);
CREATE INDEX sessions_page ON sessions (org_id, started_at DESC, id);
CREATE INDEX sessions_agent ON sessions (agent_id, started_at DESC);
CREATE INDEX sessions_external ON sessions (org_id, external_id);
CREATE INDEX sessions_open ON sessions (last_at) WHERE ended_at IS NULL;
SELECT gatehouse_guard('sessions', 'SELECT, INSERT, UPDATE');
