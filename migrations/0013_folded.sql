-- How many calls a row stands for: one, unless its plane folded many into sums for want of room.
-- What such a row has no place for (session, path, status code) is absent.

ALTER TABLE spans ADD COLUMN calls bigint NOT NULL DEFAULT 1;
