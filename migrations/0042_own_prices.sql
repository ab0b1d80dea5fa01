-- A provider and a team may have prices of their own: a catalogue that comes before the vendor's.
ALTER TABLE providers ADD COLUMN catalogue_id text
    GENERATED ALWAYS AS (spec ->> 'catalogue') STORED REFERENCES catalogues (id);
ALTER TABLE teams ADD COLUMN catalogue_id text
    GENERATED ALWAYS AS (spec ->> 'catalogue') STORED REFERENCES catalogues (id);
