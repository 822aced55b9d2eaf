-- When a trace was reopened, until it is committed: answers kept before are not used for it.
ALTER TABLE extraction_state ADD COLUMN anew_since TEXT NOT NULL DEFAULT '';
