ALTER TABLE spans ADD COLUMN colour text;
