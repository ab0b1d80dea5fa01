-- Ways to a row that stay short with a hundred thousand of them: by name, and in order of creation.
-- The fence's own condition cannot lead an index, so these begin with what is asked for.
DO $$
DECLARE
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['teams', 'users', 'agents', 'tasks', 'keys', 'providers',
                                  'models', 'mcp_servers', 'tools', 'api_services', 'pools',
                                  'dataplanes'] LOOP
        EXECUTE format('CREATE INDEX %I ON %I (name)', target || '_by_name', target);
    END LOOP;
    FOREACH target IN ARRAY ARRAY['agents', 'tasks', 'keys', 'models', 'tools', 'grants',
                                  'blocks'] LOOP
        EXECUTE format('CREATE INDEX %I ON %I (created_at, id) WHERE deleted_at IS NULL',
                       target || '_by_age', target);
    END LOOP;
END $$;
