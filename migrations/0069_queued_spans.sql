-- How long a call waited for a ceiling of a provider's credentials, before anything was sent.
ALTER TABLE spans ADD COLUMN queued_us bigint;
