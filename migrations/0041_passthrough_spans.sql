-- What passthrough moved, through which of a provider's accounts, and by which granted pattern.
ALTER TABLE spans ADD COLUMN route text, ADD COLUMN account text, ADD COLUMN bytes_in bigint,
    ADD COLUMN bytes_out bigint;
