-- What calls cost, summed up in the transaction that takes their spans in: a row for each hour and
-- each combination of what spend is grouped by. '' stands for none, so that the key holds no NULL.
-- Sums are of spans of kind "call"; `unpriced` counts calls that used tokens and have no price.
CREATE TABLE spend_hours (
    org_id             text NOT NULL,
    hour               timestamptz NOT NULL,
    gate               text NOT NULL,
    team_id            text NOT NULL,
    agent_id           text NOT NULL,
    key_id             text NOT NULL,
    task_id            text NOT NULL,
    model              text NOT NULL,
    provider           text NOT NULL,
    server             text NOT NULL,
    tool               text NOT NULL,
    service            text NOT NULL,
    calls              bigint NOT NULL,
    refusals           bigint NOT NULL,
    errors             bigint NOT NULL,
    unpriced           bigint NOT NULL,
    tokens_input       bigint NOT NULL,
    tokens_cache_read  bigint NOT NULL,
    tokens_cache_write bigint NOT NULL,
    tokens_output      bigint NOT NULL,
    tokens_reasoning   bigint NOT NULL,
    cost_nano          bigint NOT NULL,
    PRIMARY KEY (org_id, hour, key_id, agent_id, team_id, task_id, gate, model, provider, server, tool,
                 service)
) WITH (fillfactor = 60); -- the hour's rows are updated with every batch, in place
SELECT gatehouse_guard('spend_hours', 'SELECT, INSERT, UPDATE, DELETE');

-- What was recorded before there were sums.
INSERT INTO spend_hours
SELECT org_id, date_trunc('hour', started_at, 'UTC'), left(gate, 128), left(coalesce(team_id, ''), 128),
       left(coalesce(agent_id, ''), 128), left(coalesce(key_id, ''), 128), left(coalesce(task_id, ''), 128),
       left(coalesce(model, ''), 128), left(coalesce(provider, ''), 128), left(coalesce(server, ''), 128),
       left(coalesce(tool, ''), 128), left(coalesce(service, ''), 128), sum(calls),
       coalesce(sum(calls) FILTER (WHERE status = 'refused'), 0),
       coalesce(sum(calls) FILTER (WHERE status = 'error'), 0),
       coalesce(sum(calls) FILTER (WHERE tokens_input IS NOT NULL AND cost_nano IS NULL), 0),
       coalesce(sum(tokens_input), 0), coalesce(sum(tokens_cache_read), 0),
       coalesce(sum(tokens_cache_write), 0), coalesce(sum(tokens_output), 0),
       coalesce(sum(tokens_reasoning), 0), coalesce(sum(cost_nano), 0)
FROM spans WHERE kind = 'call'
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12;

-- Sessions that were active within a stretch of time.
CREATE INDEX sessions_last ON sessions (org_id, last_at);
-- A request's spans, by the id that its client was told.
CREATE INDEX spans_request ON spans (request_id) WHERE kind = 'call';
