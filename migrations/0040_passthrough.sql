-- A grant may open paths of a provider's own API, which passthrough serves.
ALTER TABLE grants ADD COLUMN provider_id text
    GENERATED ALWAYS AS (spec ->> 'provider') STORED REFERENCES providers (id);
