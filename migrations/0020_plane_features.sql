-- What a data plane said it understands beyond protocol revision 1, as names divided by commas: a
-- restarted control plane then gives it the right view from its first connection on. A control
-- plane that does not know the column leaves it as it is.
ALTER TABLE dataplane_state ADD COLUMN features text NOT NULL DEFAULT '';
