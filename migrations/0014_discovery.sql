-- What is known of a server's list of tools: when it was read, why it could not be, who is at it.
-- Servers without a row were never looked at. A tool that a server no longer names keeps its row.

CREATE TABLE tool_listings (
    server_id    text PRIMARY KEY REFERENCES mcp_servers (id),
    org_id       text NOT NULL REFERENCES orgs (id),
    asks         bigint NOT NULL DEFAULT 0, -- somebody asked for it so often;
    answered     bigint NOT NULL DEFAULT 0, -- what is in here answers so many of those
    revision     bigint,                    -- of the server, at the last try
    due_at       timestamptz,               -- the next try at the latest
    held_by      text REFERENCES dataplanes (id),
    hold_until   timestamptz,               -- held: not for others until then; else: not before
    tried_at     timestamptz,
    listed_at    timestamptz,
    dataplane_id text REFERENCES dataplanes (id), -- that tried
    tools        integer NOT NULL DEFAULT 0,
    left_out     integer NOT NULL DEFAULT 0,
    error        text,
    failures     integer NOT NULL DEFAULT 0
);
SELECT gatehouse_guard('tool_listings', 'SELECT, INSERT, UPDATE');
